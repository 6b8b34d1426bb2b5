"""MACPO (Gu et al. 2023): a constrained trust-region step for one agent after another.

Agent i_h solves  max E[ratio M]  s.t.  J_C + E[ratio A_c] <= d  and  KL(pi_k || pi) <= delta, to first order in objective and
constraint and second order in the KL: a natural-gradient step by conjugate gradients and CPO's dual, then a line search on
the true quantities. M is not applied to the costs (the constraint has none). The constraint and the standardised cost
advantage are brought to the same scale: c = (J_C - d) / (episode length * sigma_c). Several costs: all constraints enter the
dual at once (see `core.trust_region`), and the line search asks for each of them.
"""

from dataclasses import dataclass

import numpy as np
import torch

from .core.config import Config as CoreConfig
from .core.learner import Batch
from .core.networks import Actor, Gaussian, minibatches
from .core.trust_region import BOUNDARY, RECOVERY, Solution, conjugate_gradient, solve


@dataclass(frozen=True)
class Config(CoreConfig):
    """Settings of MACPO; kl_threshold and fraction_coef are Table 5's."""

    kl_threshold: float = 0.008  # delta
    fraction_coef: float = 0.3  # first trial step, as a part of the full one
    line_search_fraction: float = 0.5
    line_search_steps: int = 10
    cg_iterations: int = 10
    damping: float = 0.1  # H = Fisher matrix + damping * I
    trust_region: str = "minibatch"  # minibatch: one step on each of the minibatches | iteration: one step on all data
    constraint_scale: str = "episode_length"  # of J_C - d: episode_length, as in CPO | discount, times 1 - gamma

    def __post_init__(self) -> None:
        """Refuse unknown words."""
        super().__post_init__()
        for name, valid in {
            "trust_region": ("minibatch", "iteration"),
            "constraint_scale": ("episode_length", "discount"),
        }.items():
            if getattr(self, name) not in valid:
                raise ValueError(f"{name}={getattr(self, name)} is not valid: choose {' or '.join(valid)}")


class MACPO:
    """Sequential constrained trust-region steps; keeps no multipliers between iterations."""

    Config = Config
    sequential = True

    def __init__(self, actors: list[Actor], config: Config, costs: int, generator: torch.Generator) -> None:
        """Improve `actors` under C = `costs` constraints with minibatches drawn by `generator`."""
        self.actors, self.config, self.generator = actors, config, generator
        self.state: dict[str, torch.Tensor] = {}

    def update_agent(self, i: int, batch: Batch) -> dict[str, float]:
        """Improve policy i on `batch`, whose advantage is M^{1:h}, and return means over its steps."""
        actor, size = self.actors[i], self.config.minibatch_size
        if self.config.trust_region == "iteration":
            size = len(batch.action)
        found = [
            self.step(actor, batch.rows(rows))
            for rows in minibatches(len(batch.action), size, self.generator, batch.action.device)
        ]
        return {name: float(np.mean([step[name] for step in found])) for name in found[0]}

    def step(self, actor: Actor, batch: Batch) -> dict[str, float]:
        """Take one trust-region step of `actor` on `batch` and return what it did."""
        policy = actor.policy(batch.observation)
        ratio = torch.exp(policy.log_prob(batch.action) - batch.log_prob)
        signals = torch.cat([-batch.advantage[:, None], batch.cost_advantage], 1)  # (B, 1 + C): all to be decreased
        slopes = signals * ratio[:, None] / len(ratio)
        gradients = torch.stack([actor.gradient(policy, batch.action, slope).clone() for slope in slopes.unbind(1)])

        def hessian(direction: torch.Tensor) -> torch.Tensor:
            return actor.fisher_vector_product(policy, direction).clone().add_(direction, alpha=self.config.damping)

        natural = torch.stack([conjugate_gradient(hessian, g, self.config.cg_iterations) for g in gradients])
        products = (gradients @ natural.T).double().cpu().numpy()  # q, r, s of the dual in one matrix
        c = self.constraint(batch).double().cpu().numpy()
        solution = solve(products[0, 0], products[1:, 0], products[1:, 1:], c, self.config.kl_threshold)
        weights = np.concatenate([[solution.case != RECOVERY], solution.nu]) / solution.lam
        step = torch.tensor(weights, dtype=natural.dtype, device=natural.device) @ natural
        searched = self.line_search(actor, batch, policy, signals, step, solution, c)
        return {f"case_{k}": float(solution.case == k) for k in range(4)} | {
            "lam": solution.lam,
            "nu": float(solution.nu.mean()),
            "c": float(c.mean()),
            "q": products[0, 0],
            "r": products[1:, 0].mean(),
            "s": products[1:, 1:].diagonal().mean(),
            **searched,
        }

    def constraint(self, batch: Batch) -> torch.Tensor:
        """Return c (C,): the violation per step, in units of the standardised cost advantage."""
        if self.config.constraint_scale == "episode_length":
            per_step = batch.violation / batch.episode_length
        else:
            per_step = batch.violation * (1 - self.config.gamma)
        return per_step / (batch.cost_scale + 1e-5)

    def line_search(
        self,
        actor: Actor,
        batch: Batch,
        old: Gaussian,
        signals: torch.Tensor,
        step: torch.Tensor,
        solution: Solution,
        c: np.ndarray,
    ) -> dict[str, float]:
        """Shorten `step` until the trust region, the reward (where it must improve) and every cost agree; else stay.

        A cost may rise by its slack max(-c, 0), and a violated one may not rise.
        """
        start = actor.theta.clone()
        slack = torch.as_tensor(np.maximum(-c, 0), dtype=step.dtype, device=step.device)
        before = (torch.exp(old.log_prob(batch.action) - batch.log_prob) @ signals) / len(signals)
        for trial in range(self.config.line_search_steps):
            scale = self.config.fraction_coef * self.config.line_search_fraction**trial
            torch.add(start, step, alpha=-scale, out=actor.theta)
            new = Gaussian(actor.forward(batch.observation, taped=False), actor.std())
            kl = float(old.kl(new).mean())
            change = (torch.exp(new.log_prob(batch.action) - batch.log_prob) @ signals) / len(signals) - before
            improved = bool(change[0] < 0) or solution.case < BOUNDARY
            if kl <= self.config.kl_threshold and improved and bool((change[1:] <= slack).all()):
                return {"line_search": float(trial), "accepted": 1.0, "kl_old_new": kl}
        actor.theta.copy_(start)
        return {"line_search": float(self.config.line_search_steps), "accepted": 0.0, "kl_old_new": 0.0}
