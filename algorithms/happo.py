"""HAPPO (Kuba et al. 2022): agents improve one after another, each knowing the changes before it; no constraint.

Agent i_h ascends E[ M min(ratio A, clip(ratio) A) ], where ratio is its own and M the product of the ratios of
i_1 ... i_{h-1}. M is positive, so the batch's advantage M A can be clipped as one.
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
    """Settings of HAPPO; the supplement prints none, so they are those of MAPPO-L in the MACPO code base."""

    clip: float = 0.2  # epsilon
    entropy_coef: float = 0.01


class HAPPO:
    """Clipped policy ascent on the sequential advantage M A."""

    Config = Config
    sequential = True

    def __init__(self, actors: list[Actor], config: Config, costs: int, generator: torch.Generator) -> None:
        """Improve `actors` with minibatches drawn by `generator`; costs are recorded, never constrained."""
        self.actors, self.config, self.generator = actors, config, generator
        self.state: dict[str, np.ndarray] = {}

    def update_agent(self, i: int, batch: Batch) -> dict[str, float]:
        """Improve policy i on `batch`, whose advantage carries M, and return diagnostics."""
        return clipped_update(self.actors[i], batch, self.config, self.generator)
