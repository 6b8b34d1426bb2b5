"""What a family of tasks says and does; `VectorEnv` calls nothing else, so a new family is a file and a row.

All quantities are batched over E worlds with N agents.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
from mujoco.batch import Batch

from envs.scenarios import Scenario


class Task(ABC):
    """Actions, outcome, observation and start of the worlds of one family, on the arrays of a batch.

    Attributes:
        cost_names: names of the separate costs; `outcome` gives a term `cost_<name>` for each.
        stage: what MuJoCo computes at the new state after a step, an mjtStage.
        observation_size: O, of one agent.
        observation_limit: no entry of an observation is larger in magnitude.
        outcomes: names of the terms that say, at the end of an episode, how it went: of evaluations, not learned from.
        state_columns: the entries of a flattened (N * O) observation that a critic reads, each of the state's numbers
            once: a slice or an array of indices.
    """

    cost_names: tuple[str, ...]
    stage: int
    observation_size: int
    observation_limit: float = np.inf
    outcomes: tuple[str, ...] = ()
    state_columns: slice | np.ndarray

    @staticmethod
    @abstractmethod
    def build(scenario: Scenario, options: Mapping[str, str]) -> mujoco.MjModel:
        """Compile the model of a scenario; `options` are the task's, complete."""

    @abstractmethod
    def __init__(self, batch: Batch, scenario: Scenario, options: Mapping[str, str]) -> None:
        """Take views of the batch's arrays and allocate what a step reuses."""

    @abstractmethod
    def act(self, flat: np.ndarray) -> None:
        """Write the actions of all agents, (E, N * A) agent by agent, and remember what `outcome` measures from."""

    @abstractmethod
    def outcome(self, control: np.ndarray, failed: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Judge the step that has just been simulated.

        Args:
            control: (E,) squared norm of the raw actions of all agents.
            failed: (E,) worlds whose simulation became unstable and was put back to the model's pose.

        Returns:
            reward (E,), terminated (E,) and the terms (E,) of reward and cost by name.
        """

    @abstractmethod
    def observe(self) -> np.ndarray:
        """Return what the agents see, a new (E, N, O) float32."""

    @abstractmethod
    def begin(self, worlds: np.ndarray, generators: Sequence[np.random.Generator]) -> None:
        """Write the start of an episode into `worlds`, sorted numbers whose state is the model's; one draw order each.

        Args:
            worlds: (W,) numbers of the worlds.
            generators: of all E worlds.
        """
