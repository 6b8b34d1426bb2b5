"""MAPPO (Yu et al. 2022): PPO for several agents with a centralised critic and no safety constraint.

One policy is shared by all agents (they are told apart by the one-hot index in their observation). A minibatch of
minibatch_size samples holds the rows of all N agents, minibatch_size * N in the mean, so that an iteration takes as
many steps as with one agent - those of on-policy and HARL, which fix the number of minibatches. With
share_policy=false each agent has its own policy and they improve independently.
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
    """Settings of MAPPO."""

    clip: float = 0.2  # epsilon
    entropy_coef: float = 0.01
    share_policy: bool = True


class MAPPO:
    """Clipped policy ascent on the same advantage for all agents."""

    Config = Config
    sequential = False

    def __init__(self, actors: list[Actor], config: Config, costs: int, generator: torch.Generator) -> None:
        """Improve `actors` with minibatches drawn by `generator`; costs are recorded, never constrained."""
        self.actors, self.config, self.generator = actors, config, generator
        self.state: dict[str, np.ndarray] = {}

    def update_agent(self, i: int, batch: Batch) -> dict[str, float]:
        """Improve policy i on `batch` and return diagnostics."""
        return clipped_update(self.actors[i], batch, self.config, self.generator)
