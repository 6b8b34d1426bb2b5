"""MAFOCOPS, Algorithm 1: first-order constrained optimisation in policy space, agent by agent.

The optimal policy of the trust-region problem (7)-(9) is pi* = pi_k exp((M - nu . A_c) / lambda) / Z (eq. 15).
Projecting it onto the network's policies gives the loss whose gradient is eq. 17:

    L = mean_s 1[KL_s <= delta] { KL_s - ratio (M - nu . A_c) / lambda },   KL_s = KL(pi_theta || pi_k)(s).

KL_s is the sum over the action's dimensions, which are independent. `kl_reduction=mean` takes their mean wherever KL
stands above; that is lambda / A and A delta with the sum, and what the published ratios to HAPPO speak for.

Read with FOCOPS (Zhang et al. 2020), from which it is derived: states outside the trust region are gated, and line 15
of Algorithm 1, printed with the inequality inverted, stops the epochs when mean KL > delta. nu descends the dual
(line 9): nu <- clip(nu + alpha (J_C - d), 0, nu_max). lambda is the multiplier of the one KL constraint: a single
constant.

Line 9 is printed once per agent and iteration; here it comes before every minibatch step unless nu_update says
otherwise. Either is integral control of J_C. Under the published time limit the printed law does not lose the
constraint: it is slow, violates it for half of the training and then over-corrects; results/README.md has the runs.
"""

from dataclasses import dataclass

import numpy as np
import torch

from .core.config import Config as CoreConfig
from .core.learner import Batch
from .core.policy import Actor


@dataclass(frozen=True)
class Config(CoreConfig):
    """Settings of MAFOCOPS; defaults are Table 5."""

    minibatch_size: int = 256
    critic_minibatch_size: int = 256
    lam: float = 2.2  # lambda, temperature of the optimal policy
    nu_max: float = 1.3
    nu_lr: float = 5e-5  # alpha
    nu_init: float = 0.0  # not printed; 0 is FOCOPS' default
    nu_update: str = "minibatch"  # minibatch: line 9 before every policy step | iteration: once per agent and iteration
    kl_threshold: float = 0.0125  # delta, of both the gate and the stop
    kl_reduction: str = "sum"  # over the action's A dimensions: sum, which is the KL of eq. 17 | mean
    gate: bool = True  # the indicator of FOCOPS, which the supplement does not print

    def __post_init__(self) -> None:
        """Refuse an unknown nu_update or kl_reduction and a lambda that cannot divide."""
        super().__post_init__()
        for name, known in (("nu_update", ("minibatch", "iteration")), ("kl_reduction", ("sum", "mean"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)} is not valid: choose {' or '.join(known)}")
        if self.lam == 0:
            raise ValueError("lam=0.0 is out of range: it must be positive")


class MAFOCOPS:
    """First-order ascent towards the optimal policy of eq. 15, with one nu per agent and cost."""

    Config = Config
    sequential = True

    def __init__(self, actors: list[Actor], config: Config, costs: int, generator: torch.Generator) -> None:
        """Improve `actors` under C = `costs` constraints with minibatches drawn by `generator`."""
        self.actors, self.config, self.generator = actors, config, generator
        self.state = {"nu": np.full((len(actors), costs), config.nu_init)}  # (N, C)

    def update_agent(self, i: int, batch: Batch) -> dict[str, float]:
        """Improve policy i on `batch` (lines 9-18), whose advantage is M^{1:h}, and return diagnostics."""
        config, actor, nu = self.config, self.actors[i], self.state["nu"][i]
        share = 1 / batch.action.shape[1] if config.kl_reduction == "mean" else 1.0  # of the sum that counts as KL_s
        if config.nu_update == "iteration":
            nu[:] = self.next_nu(nu, batch.violation)
        gated, epoch = [], 0
        for epoch in range(1, config.epochs + 1):
            for mini in batch.minibatches(config.minibatch_size, self.generator):
                if config.nu_update == "minibatch":
                    nu[:] = self.next_nu(nu, batch.violation)
                policy = actor.policy(mini.observation)
                d_log_prob, d_kl = self.slopes(
                    np.exp(policy.log_prob(mini.action) - mini.log_prob),
                    policy.kl(mini.old),
                    mini.advantage - mini.cost_advantage @ nu.astype(mini.advantage.dtype),
                    share,
                )
                actor.descend(actor.gradient(policy, mini.action, d_log_prob, mini.old, d_kl))
                gated.append(d_kl == 0)
            if epoch < config.epochs and share * self.mean_kl(actor, batch) > config.kl_threshold:
                break
        each = {f"nu_{j}": float(value) for j, value in enumerate(nu)} if len(nu) > 1 else {}
        return {"nu": float(nu.mean()), **each, "gated": float(np.concatenate(gated).mean()), "epochs": float(epoch)}

    def mean_kl(self, actor: Actor, batch: Batch) -> float:
        """Return the mean over all rows of KL(pi_theta || pi_k), summed over dimensions, for line 15."""
        return float(actor.policy(batch.observation, taped=False).kl(batch.old).mean())

    def next_nu(self, nu: np.ndarray, violation: np.ndarray) -> np.ndarray:
        """Return nu (C,) after line 9: a projected step against the dual's slope d - J_C (C,) (Corollary 2)."""
        return np.minimum(np.maximum(nu + self.config.nu_lr * violation, 0), self.config.nu_max)

    def slopes(
        self, ratio: np.ndarray, kl: np.ndarray, advantage: np.ndarray, share: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return dL/d log pi(a|s) and dL/d kl, both (B,), of the loss above with KL_s = share kl.

        Args:
            ratio: pi_theta / pi_k of each row (B,).
            kl: KL(pi_theta || pi_k), summed over the action's dimensions (B,).
            advantage: M - nu . A_c (B,).
            share: 1, or 1 / A for the mean over A dimensions.
        """
        inside = share * kl <= self.config.kl_threshold if self.config.gate else np.ones(len(kl), bool)
        weight = inside / kl.dtype.type(len(kl))
        return -weight * ratio * advantage / self.config.lam, share * weight
