"""MAPPO-Lagrangian (Gu et al. 2023): HAPPO's sequential clipped ascent on the penalised advantage A - lambda . A_c.

Each agent owns a multiplier lambda_j per cost and moves it after every minibatch by the original code's law
(r_mappo_lagr.py): lambda <- max(0, lambda + rate [(J_C - d)(1 - gamma) + mean(ratio A_c)]). At the published rate of
1e-7 lambda moves by less than 0.1 in a whole run, so it is in effect the constant that Table 5 tunes per task.
"""

from dataclasses import dataclass

import numpy as np
import torch

from .core.clip import clipped_slope
from .core.config import LEGACY
from .core.config import Config as CoreConfig
from .core.learner import Batch
from .core.policy import Actor


@dataclass(frozen=True)
class Config(CoreConfig):
    """Settings of MAPPO-Lagrangian."""

    clip: float = 0.2  # epsilon
    entropy_coef: float = 0.01
    lamda_lagr: float = 0.78  # initial lambda; Table 5 has one value per family of tasks
    lagrangian_coef_rate: float = 1e-7  # step size of lambda

    # errors of the original code, see `VARIANTS`
    legacy_unsummed: bool = False  # Q2: ratio, clip and M by action dimension instead of the joint probability
    legacy_factor_on_cost: bool = False  # Q3: M multiplies the cost advantage too


class MAPPOLagrangian:
    """Clipped policy ascent on M A - lambda . A_c with one multiplier per agent and cost."""

    Config = Config
    VARIANTS = {  # noqa: RUF012
        "legacy": LEGACY
        | {
            "legacy_unsummed": "true",
            "legacy_factor_on_cost": "true",
        }
    }
    sequential = True

    def __init__(self, actors: list[Actor], config: Config, costs: int, generator: torch.Generator) -> None:
        """Improve `actors` under C = `costs` constraints with minibatches drawn by `generator`."""
        self.actors, self.config, self.generator = actors, config, generator
        self.state = {"lam": np.full((len(actors), costs), config.lamda_lagr)}  # (N, C)

    def update_agent(self, i: int, batch: Batch) -> dict[str, float]:
        """Improve policy i on `batch`, move its multipliers, and return diagnostics."""
        config, actor, lam = self.config, self.actors[i], self.state["lam"][i]
        for _ in range(config.epochs):
            for mini in batch.minibatches(config.minibatch_size, self.generator):
                policy, rows = actor.policy(mini.observation), len(mini.action)
                ratio = np.exp(policy.log_prob(mini.action, not config.legacy_unsummed) - mini.log_prob)
                price = mini.cost_advantage @ lam.astype(ratio.dtype)
                penalty = mini.like_log_prob(price)  # without M: there is none in the constraint
                penalised = mini.advantage - (penalty * mini.factor if config.legacy_factor_on_cost else penalty)
                slope = clipped_slope(ratio, penalised, config.clip)
                bonus = config.entropy_coef / actor.action_size
                actor.descend(actor.gradient(policy, mini.action, -slope / rows, d_entropy=-bonus))
                surrogate = ratio.reshape(rows, -1).mean(1) @ mini.cost_advantage / rows
                lam[:] = self.next_multipliers(lam, batch.violation, surrogate)
        each = {f"lam_{j}": float(value) for j, value in enumerate(lam)} if len(lam) > 1 else {}
        return {"lam": float(lam.mean()), **each}

    def next_multipliers(self, lam: np.ndarray, violation: np.ndarray, surrogate: np.ndarray) -> np.ndarray:
        """Return lambda (C,) after one step, given J_C - d (C,) and the surrogate cost mean(ratio A_c) (C,)."""
        step = violation * (1 - self.config.gamma) + surrogate
        return np.maximum(lam + self.config.lagrangian_coef_rate * step, 0)
