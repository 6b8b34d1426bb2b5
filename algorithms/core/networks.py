"""Networks of the MACPO code base with their derivatives written out, on one flat parameter vector each.

The architecture is fixed (LayerNorm on the input, then Linear - ReLU - LayerNorm twice, then Linear; original code,
r_actor_critic.py and mlp.py), so the backward pass is a page of matrix products. At minibatches of 256 rows an
autograd graph costs three times the arithmetic; this is what makes training run at the speed of the physics. The
tests hold every derivative here against autograd. One flat vector per network makes Adam, trust-region steps and
checkpoints one-liners.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

EPS_NORM = 1e-5  # of LayerNorm, PyTorch's default
STD_SCALE = 0.5  # std = 0.5 * sigmoid(p), so every std stays below 0.5 (original code, distributions.py)
CHUNK = 1024  # rows at a time: larger batches go through in chunks, so that activations stay in the cache


class MLP:
    """Multi-layer perceptron with LayerNorm; `theta` (P,) holds all parameters, `grad` (P,) the last gradient."""

    def __init__(self, sizes: tuple[int, ...], output_gain: float, generator: torch.Generator, extra: int = 0) -> None:
        """Initialise orthogonally: gain sqrt(2) for hidden layers, `output_gain` for the last; zero biases.

        Args:
            sizes: input size, hidden sizes, output size.
            output_gain: gain of the last layer.
            generator: source of the initial weights.
            extra: further parameters (the policy's std) kept at the end of `theta`.
        """
        self.sizes = sizes
        shapes = [(sizes[0],), (sizes[0],)]  # LayerNorm: weight, bias
        for i, o in pairwise(sizes[:-1]):
            shapes += [(i, o), (o,), (o,), (o,)]  # Linear: weight, bias; LayerNorm: weight, bias
        shapes += [sizes[-2:], (sizes[-1],), (extra,)]
        self._shapes = shapes
        self.bind(torch.zeros(sum(math.prod(s) for s in shapes)))
        for k, view in enumerate(self.parameters[:-1]):
            if view.dim() == 2:
                last = k == len(shapes) - 3
                torch.nn.init.orthogonal_(view, output_gain if last else math.sqrt(2), generator=generator)
            elif k == 0 or (k >= 2 and (k - 2) % 4 == 2):
                view.fill_(1.0)

    def bind(self, theta: Tensor) -> None:
        """Use `theta` (P,) as the parameters: views, not copies."""
        self.theta, self.grad = theta, torch.zeros_like(theta)
        self.parameters = self._views(self.theta)
        self._grads = self._views(self.grad)
        self._tapes: tuple[list[tuple[Tensor, ...]], ...] = ()

    def _views(self, flat: Tensor) -> list[Tensor]:
        parts = flat.split([math.prod(s) for s in self._shapes])
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def forward(self, x: Tensor, taped: bool = True) -> Tensor:
        """Map x (B, I) to (B, O); with `taped`, keep what `backward` and `jvp` need."""
        outputs, tapes = zip(*map(self._forward, _chunks(x)), strict=True)
        if taped:
            self._tapes = tapes
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _forward(self, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """Map one chunk; the tape has a row per LayerNorm: its input, mean, 1 / deviation and output."""
        p = self.parameters
        h, mean, rstd = torch.native_layer_norm(x, (x.shape[1],), p[0], p[1], EPS_NORM)
        tape = [(x, mean, rstd, h)]
        for k in range(2, len(p) - 3, 4):
            a = torch.addmm(p[k + 1], h, p[k]).relu_()
            h, mean, rstd = torch.native_layer_norm(a, (a.shape[1],), p[k + 2], p[k + 3], EPS_NORM)
            tape.append((a, mean, rstd, h))
        return torch.addmm(p[-2], h, p[-3]), tape

    def backward(self, dy: Tensor) -> Tensor:
        """Return the gradient (P,) of sum(dy * output) over the last taped forward; dy (B, O). Valid until the next."""
        self.grad.zero_()
        for tape, rows in zip(self._tapes, _chunks(dy), strict=True):
            self._backward(tape, rows)
        return self.grad

    def _backward(self, tape: list[tuple[Tensor, ...]], dy: Tensor) -> None:
        """Add the gradient of one chunk."""
        p, g = self.parameters, self._grads
        g[-3].addmm_(tape[-1][3].t(), dy)
        g[-2].add_(dy.sum(0))
        dh = torch.mm(dy, p[-3].t())
        for layer in range(len(tape) - 1, 0, -1):
            k = 4 * layer - 2
            a, mean, rstd, _ = tape[layer]
            dh, dweight, dbias = torch.ops.aten.native_layer_norm_backward(
                dh, a, (a.shape[1],), mean, rstd, p[k + 2], p[k + 3], (True, True, True)
            )
            g[k + 2].add_(dweight)
            g[k + 3].add_(dbias)
            dz = torch.ops.aten.threshold_backward(dh, a, 0.0)  # zero where ReLU was
            g[k].addmm_(tape[layer - 1][3].t(), dz)
            g[k + 1].add_(dz.sum(0))
            dh = torch.mm(dz, p[k].t())
        x, mean, rstd, _ = tape[0]
        _, dweight, dbias = torch.ops.aten.native_layer_norm_backward(
            dh, x, (x.shape[1],), mean, rstd, p[0], p[1], (False, True, True)
        )
        g[0].add_(dweight)
        g[1].add_(dbias)

    def jvp(self, direction: Tensor) -> Tensor:
        """Return the change (B, O) of the last taped output along `direction` (P,), to first order."""
        views = self._views(direction)
        return torch.cat([self._jvp(tape, views) for tape in self._tapes])

    def _jvp(self, tape: list[tuple[Tensor, ...]], v: list[Tensor]) -> Tensor:
        """Return the change of one chunk's output."""
        p = self.parameters
        x, mean, rstd, h = tape[0]
        dh = torch.addcmul(v[1], (x - mean).mul_(rstd), v[0])
        for layer in range(1, len(tape)):
            k = 4 * layer - 2
            dz = torch.addmm(v[k + 1], h, v[k]).addmm_(dh, p[k])
            a, mean, rstd, h = tape[layer]
            normal = (a - mean).mul_(rstd)
            da = torch.ops.aten.threshold_backward(dz, a, 0.0)
            shift = normal * (da * normal).mean(1, keepdim=True)
            change = da.sub_(da.mean(1, keepdim=True)).sub_(shift).mul_(rstd)
            dh = torch.addcmul(v[k + 3], normal, v[k + 2]).addcmul_(change, p[k + 2])
        return torch.addmm(v[-2], h, v[-3]).addmm_(dh, p[-3])


def _chunks(rows: Tensor) -> tuple[Tensor, ...]:
    return rows.split(CHUNK) if len(rows) > CHUNK else (rows,)


class Adam:
    """Adam (Kingma and Ba 2015) on one flat vector, with the gradient's norm clipped first.

    Our own because importing `torch.optim` costs every process 1.6 s, and its step more than the network's backward.
    """

    def __init__(self, theta: Tensor, lr: float, max_grad_norm: float, eps: float = 1e-5) -> None:
        """Start with zero moments; eps 1e-5 as in the MACPO code base."""
        self.lr, self.max_grad_norm, self.eps = lr, max_grad_norm, eps
        self.m, self.v, self.t = torch.zeros_like(theta), torch.zeros_like(theta), 0

    def step(self, theta: Tensor, grad: Tensor) -> None:
        """Move `theta` (P,) one step against `grad` (P,); `grad` is clipped in place."""
        grad.mul_(torch.clamp(self.max_grad_norm / (torch.linalg.vector_norm(grad) + 1e-6), max=1.0))
        self.t += 1
        self.m.lerp_(grad, 0.1)  # beta_1 = 0.9
        self.v.mul_(0.999).addcmul_(grad, grad, value=0.001)
        root = (self.v / (1 - 0.999**self.t)).sqrt_().add_(self.eps)
        theta.addcdiv_(self.m, root, value=-self.lr / (1 - 0.9**self.t))

    def state_dict(self) -> dict:
        """Return moments and step count."""
        return {"m": self.m, "v": self.v, "t": self.t}

    def load_state_dict(self, state: dict) -> None:
        """Continue from `state_dict()`."""
        self.m.copy_(state["m"])
        self.v.copy_(state["v"])
        self.t = state["t"]


class Gaussian(NamedTuple):
    """Diagonal Gaussian policies at B observations; log-probability and KL are sums over action dimensions."""

    mean: Tensor  # (B, A)
    std: Tensor  # (A,)

    def log_prob(self, action: Tensor, summed: bool = True) -> Tensor:
        """Return log pi(action | observation) (B,) for action (B, A); by dimension (B, A) if not `summed`."""
        z = (action - self.mean) / self.std
        constant = self.std.log() + 0.5 * math.log(2 * math.pi)
        if not summed:
            return z.square().mul_(-0.5).sub_(constant)
        return z.square().sum(1).mul_(-0.5).sub_(constant.sum())

    def kl(self, other: "Gaussian") -> Tensor:
        """Return KL(self || other) (B,)."""
        variance = other.std.square()
        ratio = self.std.square() / variance
        constant = 0.5 * (ratio - 1 - ratio.log()).sum()
        return ((self.mean - other.mean).square() @ (0.5 / variance)).add_(constant)

    def rows(self, index: Tensor) -> "Gaussian":
        """Return the policies at the rows `index`."""
        return Gaussian(self.mean.index_select(0, index), self.std)


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
        self.parameters[-1].fill_(1.0)
        self.action_size = action_size
        self.optimiser = Adam(self.theta, lr, max_grad_norm)

    def to(self, device: torch.device) -> None:
        """Move parameters and moments to `device`."""
        self.bind(self.theta.to(device))
        self.optimiser = Adam(self.theta, self.optimiser.lr, self.optimiser.max_grad_norm)

    def descend(self, gradient: Tensor) -> None:
        """Take one Adam step against `gradient` (P,), which is clipped in place."""
        self.optimiser.step(self.theta, gradient)

    def state_dict(self) -> dict:
        """Return parameters and moments."""
        return {"theta": self.theta, "adam": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Continue from `state_dict()`."""
        self.theta.copy_(state["theta"])
        self.optimiser.load_state_dict(state["adam"])

    def std(self) -> Tensor:
        """Return the standard deviations (A,)."""
        return STD_SCALE * torch.sigmoid(self.parameters[-1])

    def policy(self, observation: Tensor) -> Gaussian:
        """Return the policy at observation (B, O), taped for `gradient`."""
        return Gaussian(self.forward(observation), self.std())

    def policy_of_all(self, observation: Tensor) -> Gaussian:
        """Return the policy at many observations, without a tape."""
        return Gaussian(self.forward(observation, taped=False), self.std())

    def gradient(
        self,
        policy: Gaussian,
        action: Tensor,
        d_log_prob: Tensor,
        old: Gaussian | None = None,
        d_kl: Tensor | None = None,
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
        """
        z = (action - policy.mean) / policy.std
        weight = d_log_prob.view(len(z), -1)
        d_mean = z / policy.std * weight
        d_log_std = (weight * (z.square() - 1)).sum(0) + d_entropy  # the entropy of a dimension is log std + constant
        if d_kl is not None:
            variance = old.std.square()
            d_mean.add_((policy.mean - old.mean) / variance * d_kl[:, None])
            d_log_std += (policy.std.square() / variance - 1) * d_kl.sum()
        self.backward(d_mean)
        torch.mul(d_log_std, 1 - policy.std / STD_SCALE, out=self._grads[-1])  # d log std / d p
        return self.grad

    def fisher_vector_product(self, policy: Gaussian, direction: Tensor) -> Tensor:
        """Return F v (P,), F the mean Fisher matrix at the taped observations: the Hessian of KL(pi_k || pi) at pi_k.

        For a Gaussian F = J^T diag(1 / std^2) J / B for the mean, and 2 (d log std / d p)^2 for the std: no double
        backward through the KL is needed.
        """
        change = self.jvp(direction).div_(policy.std.square() * policy.mean.shape[0])
        self.backward(change)
        slope = 1 - policy.std / STD_SCALE
        torch.mul(2 * slope.square(), direction[-policy.std.numel() :], out=self._grads[-1])
        return self.grad


def minibatches(rows: int, size: int, generator: torch.Generator, device: torch.device) -> Iterator[Tensor]:
    """Yield a random partition of range(rows) into index tensors of `size`; the smaller tail is kept."""
    return iter(torch.randperm(rows, generator=generator).to(device).split(size))
