"""HAPPO with a PID-controlled Lagrange multiplier (Stooke et al. 2020, arXiv 2007.03964, Algorithm 2).

Every agent ascends HAPPO's clipped surrogate on the sequential advantage of the Lagrangian, M (A - lambda . A_c) /
(1 + sum lambda). Once an iteration a controller sets lambda from the violation e = J_C - d and e', the one before:
I <- max(0, I + K_I e), lambda = max(0, K_P e + I + K_D max(0, e - e')).
"""

from dataclasses import dataclass

import numpy as np
import torch

from .core.clip import clipped_update
from .core.config import Config as CoreConfig
from .core.learner import Batch
from .core.policy import Actor


@dataclass(frozen=True)
class Config(CoreConfig):
    """Settings of PID-Lagrangian HAPPO."""

    clip: float = 0.2  # epsilon
    entropy_coef: float = 0.01
    k_p: float = 0.1  # lambda per unit of violation
    k_i: float = 0.01  # per unit and iteration
    k_d: float = 0.1  # per unit of growth since the iteration before


class PIDHAPPO:
    """Clipped policy ascent on M (A - lambda . A_c) / (1 + sum lambda)."""

    Config = Config
    sequential = True

    def __init__(self, actors: list[Actor], config: Config, costs: int, generator: torch.Generator) -> None:
        """Improve `actors` under C = `costs` constraints with minibatches drawn by `generator`."""
        self.actors, self.config, self.generator = actors, config, generator
        # What the next update depends on, as arrays: checkpoints save and restore it.
        self.state = {name: np.zeros((len(actors), costs)) for name in ("integral", "last")}

    def update_agent(self, i: int, batch: Batch) -> dict[str, float]:
        """Improve policy i on `batch`, whose advantage carries M, and return diagnostics: columns of metrics.csv."""
        lam = self.next_multiplier(i, batch.violation)
        price = batch.factor * (batch.cost_advantage @ lam.astype(np.float32))
        penalised = (batch.advantage - price) / np.float32(1 + lam.sum())
        found = clipped_update(self.actors[i], batch._replace(advantage=penalised), self.config, self.generator)
        return found | {"lam": float(lam.mean())}

    def next_multiplier(self, i: int, error: np.ndarray) -> np.ndarray:
        """Return lambda (C,) of agent i after the violation `error` (C,), and keep what the next call needs."""
        config, integral, last = self.config, self.state["integral"][i], self.state["last"][i]
        integral[:] = np.maximum(integral + config.k_i * error, 0)
        lam = config.k_p * error + integral + config.k_d * np.maximum(error - last, 0)
        last[:] = error
        return np.maximum(lam, 0)
