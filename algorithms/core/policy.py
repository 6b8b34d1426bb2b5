"""The policy of one agent: a diagonal Gaussian with its log-probability, its KL and their derivatives."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .networks import MLP, Adam, NotFinite, kernels

STD_SCALE = 0.5  # std = 0.5 * sigmoid(p), so every std stays below 0.5 (original code, distributions.py)


class Gaussian(NamedTuple):
    """Diagonal Gaussian policies at B observations; log-probability and KL are sums over action dimensions."""

    mean: np.ndarray  # (B, A)
    std: np.ndarray  # (A,)

    def log_prob(self, action: np.ndarray, summed: bool = True) -> np.ndarray:
        """Return log pi(action | observation) (B,) for action (B, A); by dimension (B, A) if not `summed`."""
        square, precision = np.square(action - self.mean), -0.5 / np.square(self.std)
        constant = np.log(self.std) + 0.5 * math.log(2 * math.pi)
        return square @ precision - constant.sum() if summed else square * precision - constant

    def kl(self, other: "Gaussian") -> np.ndarray:
        """Return KL(self || other) (B,)."""
        variance = np.square(other.std)
        ratio = np.square(self.std) / variance
        return np.square(self.mean - other.mean) @ (0.5 / variance) + 0.5 * (ratio - 1 - np.log(ratio)).sum()

    def entropy(self) -> np.ndarray:
        """Return the entropy (), a sum over action dimensions; it is the same at all observations."""
        return np.asarray(np.log(self.std).sum() + len(self.std) * 0.5 * math.log(2 * math.pi * math.e), self.std.dtype)


def chain_rule(
    mean: np.ndarray,
    std: np.ndarray,
    old_mean: np.ndarray,
    old_std: np.ndarray,
    d_kl: np.ndarray,
    action: np.ndarray,
    d_log_prob: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return dL/dmean (B, A) and dL/dlog std (A,) of a loss from its derivatives by rows; see `Actor.gradient`.

    Here d_log_prob is (B, 1) or (B, A).

    This is the definition. Where there is a compiler its namesake in kernels.py takes a fifth of the time.
    """
    shift, precision, old_precision = action - mean, 1 / np.square(std), 1 / np.square(old_std)
    towards = shift * d_log_prob * precision
    away = (mean - old_mean) * d_kl[:, None] * old_precision
    d_log_std = np.einsum("ba,ba->a", shift, towards) - d_log_prob.sum(0)
    return towards + away, d_log_std + (old_precision / precision - 1) * d_kl.sum()


class Actor(MLP):
    """A Gaussian policy with a state-independent std, and its optimiser."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: tuple[int, ...],
        generator: torch.Generator,
        lr: float,
        max_grad_norm: float,
    ) -> None:
        """Start with mean near 0 (last gain 0.01) and std 0.5 sigmoid(1) = 0.3655."""
        super().__init__((observation_size, *hidden, action_size), 0.01, generator, extra=action_size)
        self.theta[-action_size:] = 1.0
        self.action_size = action_size
        self._policy: Gaussian | None = None  # the last one that `gradient` can refer to
        self._cause: dict[str, np.ndarray] = {}  # what the last gradient was computed from, should it not be finite
        self.optimiser = Adam(self.theta, lr, max_grad_norm)

    def to(self, device: torch.device) -> None:
        """Move parameters and moments to `device`."""
        self.bind(self.theta.to(device))
        self.optimiser = Adam(self.theta, self.optimiser.lr, self.optimiser.max_grad_norm)

    def descend(self, gradient: Tensor) -> None:
        """Take one Adam step against `gradient` (P,).

        Raises:
            NotFinite: it is not finite; the parameters stay.
        """
        if not self.optimiser.step(gradient):
            raise self.fault(gradient)

    def finite(self, gradient: Tensor) -> Tensor:
        """Return what `gradient()` returned last, or raise NotFinite."""
        if not torch.isfinite(gradient).all():
            raise self.fault(gradient)
        return gradient

    def fault(self, gradient: Tensor) -> NotFinite:
        """Return the error that `gradient` is not finite, with the minibatch it came from."""
        cause = {"parameter": self.theta, "observation": self.taped_input, **self._cause}
        return NotFinite("policy", cause | {"gradient": gradient})

    def state_dict(self) -> dict:
        """Return parameters and moments."""
        return {"theta": self.theta, "adam": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Continue from `state_dict()`."""
        self.theta.copy_(state["theta"])
        self.optimiser.load_state_dict(state["adam"])

    def named(self) -> dict[str, Tensor]:
        """Return copies of the parameters by name: those of `layers`, and p (A,) of std = 0.5 sigmoid(p) as `std`."""
        found = {name: value.detach().cpu().clone() for name, value in self.module.state_dict().items()}
        return found | {"std": self.theta[-self.action_size :].cpu().clone()}

    def load_named(self, parameters: dict[str, Tensor]) -> None:
        """Take over what `named` returned."""
        self.module.load_state_dict({name: value for name, value in parameters.items() if name != "std"})
        self.theta[-self.action_size :] = parameters["std"]

    def std(self) -> np.ndarray:
        """Return the standard deviations (A,)."""
        return STD_SCALE / (1 + np.exp(-self.theta.cpu().numpy()[-self.action_size :]))

    def policy(self, observation: Tensor, taped: bool = True) -> Gaussian:
        """Return the policy at observation (B, O); with `taped`, `gradient` refers to it until the next."""
        policy = Gaussian(self.forward(observation, taped), self.std())
        if taped:
            self._policy = policy
        return policy

    def gradient(
        self,
        policy: Gaussian,
        action: np.ndarray,
        d_log_prob: np.ndarray,
        old: Gaussian | None = None,
        d_kl: np.ndarray | None = None,
        d_entropy: float = 0.0,
    ) -> Tensor:
        """Return the gradient (P,) of a loss from its derivatives by rows: the chain rule through the Gaussian.

        Args:
            policy: what `policy(observation)` returned last.
            action: (B, A).
            d_log_prob: dL/d log pi(action) (B,), or (B, A) if the loss sees each dimension's own log-probability.
            old: the policy pi_k of KL(pi || pi_k), needed with d_kl.
            d_kl: dL/d KL(pi || pi_k) (B,).
            d_entropy: dL/d entropy of each action dimension.

        Raises:
            ValueError: `policy` is not the last one: the network has forgotten what it was computed from.
        """
        self._check_last(policy)
        self._cause = {"mean": policy.mean, "action": action, "d_log_prob": d_log_prob}
        if d_kl is not None:
            self._cause["d_kl"] = d_kl
        compiled = kernels()
        rule = compiled.chain_rule if compiled else chain_rule
        d_kl = np.zeros(len(action), action.dtype) if d_kl is None else d_kl
        by_dimension = np.ascontiguousarray(d_log_prob).reshape(len(action), -1)
        d_mean, d_log_std = rule(*policy, *(old or policy), d_kl, action, by_dimension)
        d_log_std += d_entropy  # the entropy of a dimension is log std + constant
        return self.backward(d_mean, d_log_std * (1 - policy.std / STD_SCALE))  # d log std / d p

    def gradient_of(
        self,
        loss: Callable[[Tensor, Tensor, Tensor], Tensor],
        policy: Gaussian,
        action: np.ndarray,
        old: Gaussian | None = None,
    ) -> Tensor:
        """Return the gradient (P,) of `loss(log_prob, kl, entropy)`, a scalar, by autograd over these few rows alone.

        Args:
            loss: of log pi(action) (B,), KL(pi || pi_k) (B,) and the entropy (), a sum over action dimensions.
            policy: what `policy(observation)` returned last.
            action: (B, A).
            old: the policy pi_k; without it kl is zero.

        Raises:
            ValueError: `policy` is not the last one.
        """
        kl = np.zeros(len(action), action.dtype) if old is None else policy.kl(old)
        values = (policy.log_prob(action), kl, policy.entropy())
        rows = [torch.from_numpy(value).requires_grad_() for value in values]
        with torch.enable_grad():
            result = loss(*rows)
        slopes = torch.autograd.grad(result, rows, torch.ones_like(result), allow_unused=True)
        d_log_prob, d_kl, d_entropy = (
            np.zeros_like(value) if slope is None else slope.numpy()
            for value, slope in zip(values, slopes, strict=True)
        )
        return self.gradient(policy, action, d_log_prob, old, None if old is None else d_kl, float(d_entropy))

    def _check_last(self, policy: Gaussian) -> None:
        if policy is not self._policy:
            raise ValueError("the policy is not what policy(observation) returned last: derivatives refer to the last")

    def fisher_vector_product(self, policy: Gaussian, direction: Tensor) -> Tensor:
        """Return F v (P,), F the mean Fisher matrix at the taped observations: the Hessian of KL(pi_k || pi) at pi_k.

        For a Gaussian F = J^T diag(1 / std^2) J / B for the mean, and 2 (d log std / d p)^2 for the std: no double
        backward through the KL is needed.
        """
        self._check_last(policy)
        metric = 1 / (np.square(policy.std) * policy.mean.dtype.type(len(policy.mean)))
        curvature = 2 * np.square(1 - policy.std / STD_SCALE)
        return self.gauss_newton(direction, metric, curvature * direction.cpu().numpy()[-self.action_size :])
