"""What the tasks of Safe MAMuJoCo share: who drives which motor, noise at reset, one standardised view for all agents.

Every agent sees the whole base vector and its one-hot number, standardised by the mean and the deviation of that very
vector, as in the original.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from mujoco.batch import Batch

from .scenarios import Scenario
from .task import Task

NOISE = 0.1  # half-width of the uniform noise on positions, deviation of the normal noise on velocities


class Robot(Task):
    """A task in which all agents see the same robot.

    Attributes:
        base_size: entries of the base vector.
        noisy: how many leading entries of qpos and qvel the reset perturbs; loose walls come after the robot.
        root_quat: where in qpos the root's orientation stands; None for a robot in a plane.
    """

    base_size: int
    noisy: tuple[int, int]
    root_quat: slice | None = None

    def __init__(self, batch: Batch, scenario: Scenario, options: Mapping[str, str]) -> None:
        """Take views of the batch's arrays; a subclass sets `base_size` and `noisy` first."""
        self._qpos, self._qvel = batch.bind("qpos"), batch.bind("qvel")
        self._agents, actuators = scenario.agents, scenario.agents * scenario.actions_per_agent
        self._robot_ctrl = batch.bind("ctrl")[:, :actuators]  # an obstacle's motor comes after the robot's
        self._columns = slice(None) if options["partition"] == "original" else np.concatenate(scenario.declared)
        self._base = np.empty((batch.nsim, self.base_size))
        self.observation_size = self.base_size + scenario.agents
        self.observation_limit = float(np.sqrt(self.observation_size))  # of a number standardised over O numbers
        self.state_columns = slice(self.observation_size)  # agent 0's view: it holds all that any agent sees

    def act(self, flat: np.ndarray) -> None:
        """Write the actions to the motors of each agent's part."""
        self._robot_ctrl[:, self._columns] = flat

    @abstractmethod
    def fill(self, base: np.ndarray) -> None:
        """Write the base vector of every world, (E, base_size)."""

    def observe(self) -> np.ndarray:
        """Return (E, N, O) float32: base vector and one-hot number, standardised over the O entries.

        Mean and deviation are the same for all agents, for the one-hot part always adds one to both sums.
        """
        base, size = self._base, self.observation_size
        self.fill(base)
        mean = (base.sum(axis=1, keepdims=True) + 1.0) / size  # (E, 1)
        square = (np.einsum("ij,ij->i", base, base)[:, None] + 1.0) / size
        scale = 1.0 / np.sqrt(square - mean * mean)
        zero = -mean * scale  # what a 0 of the one-hot part becomes
        observation = np.empty((len(base), self._agents, size), dtype=np.float32)
        observation[:, :, : self.base_size] = (base * scale + zero)[:, None, :]
        observation[:, :, self.base_size :] = zero[:, :, None]
        observation.reshape(len(base), -1)[:, self.base_size :: size + 1] = zero + scale
        return observation

    def begin(self, worlds: np.ndarray, generators: Sequence[np.random.Generator]) -> None:
        """Add noise to the robot's pose, never to loose walls."""
        positions, velocities = self.noisy
        for world in worlds:
            generator = generators[world]
            self._qpos[world, :positions] += generator.uniform(-NOISE, NOISE, positions)
            self._qvel[world, :velocities] = NOISE * generator.standard_normal(velocities)
        if self.root_quat is not None:
            # the noise leaves the quaternion unnormalised, and MuJoCo 4 mends that only in its first step
            quat = self._qpos[worlds, self.root_quat]
            self._qpos[worlds, self.root_quat] = quat / np.linalg.norm(quat, axis=1, keepdims=True)
