"""The Ant task: run along a folded corridor without coming near its walls and without falling.

All quantities are batched over E worlds. The cost is 1 when unsafe, as the text of the paper and the original code have
it; equation 25 is printed with the condition inverted. It is measured against fixed lines 1.8 m (along y) on either
side of each wall, wherever a loose wall has gone meanwhile, and is zero again beyond the wall. `cfrc_ext` belongs to
the new state, where the original reads the last Runge-Kutta stage before it: about 7e-4 of reward on average.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch

from envs.models import CORRIDOR_HALF_WIDTH
from envs.scenarios import Scenario

CONTROL_WEIGHT = 0.5
CONTACT_WEIGHT = 5e-4
SURVIVE_REWARD = 1.0  # also paid on the step that ends the episode
HEALTHY_HEIGHT = (0.2, 1.0)  # m
MIN_UPRIGHT = -0.7  # cosine of the torso's tilt: an episode ends beyond 134 degrees
WALL_DISTANCE = 1.8  # m along y, so 1.56 m at right angles to the wall
FOLD = np.tan(np.pi / 6)  # slope of the corridor


@dataclass(frozen=True)
class Layout:
    """What distinguishes the robots that share this task.

    Attributes:
        half_width: distance from the centre line to a wall along y, in metres.
        observed: how many leading entries of qpos and qvel the observation may draw on; x and y are left out.
        noisy: how many leading entries of qpos and qvel the reset perturbs; the walls come after the robot.
    """

    half_width: float
    observed: tuple[int, int]
    noisy: tuple[int, int]


def layout(scenario: Scenario, observation: str) -> Layout:
    """Return the layout of the Ant, whose observation was always full."""
    robot = (15, 14)
    return Layout(CORRIDOR_HALF_WIDTH[scenario.family], observed=robot, noisy=robot)


def lateral_offset(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance along y from the centre line of the corridor, which turns at x = 20, 60 and ends its slope at 100 m.

    The three slopes are one expression: x, then 40 - x, then x - 80, then 20, times tan 30 degrees. Shapes (E,).
    """
    along = np.minimum(x, np.maximum(40.0 - x, np.minimum(x - 80.0, 20.0)))
    return y - FOLD * along


class Ant:
    """Reward, cost, health and base observation of E ants, read from the arrays of a batch."""

    cost_names = ("wall", "fall")
    stage = mujoco.mjtStage.mjSTAGE_ACC.value  # mj_forward at the new state, so that cfrc_ext exists there

    def __init__(self, batch: Batch, scenario: Scenario, layout: Layout) -> None:
        """Take views of the batch's arrays and allocate what a step reuses."""
        self._qpos, self._qvel = batch.bind("qpos"), batch.bind("qvel")
        self._contact = batch.bind("cfrc_ext").reshape(batch.nsim, -1)  # (E, 6 * bodies), walls and world included
        self._clipped = np.empty_like(self._contact)
        self._dt, self._half_width = scenario.dt, layout.half_width
        self._offset = np.zeros(batch.nsim)
        self._x = np.zeros(batch.nsim)
        self.noisy = layout.noisy
        self.root_quat = slice(3, 7)
        positions, velocities = layout.observed
        self._positions, self._velocities = self._qpos[:, 2:positions], self._qvel[:, :velocities]
        self._split = self._positions.shape[1]
        self.base_size = self._split + velocities + 2

    def before_step(self) -> None:
        """Remember where the torsos are; the forward reward is measured from there."""
        self._x[:] = self._qpos[:, 0]

    def outcome(self, control: np.ndarray, failed: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Judge the step that has just been simulated.

        Args:
            control: (E,) squared norm of the raw actions of all agents.
            failed: (E,) worlds whose simulation became unstable and was put back to the model's pose.

        Returns:
            reward (E,), terminated (E,) and the terms (E,) of reward and cost by name.
        """
        qpos = self._qpos
        np.maximum(self._contact, -1.0, out=self._clipped)
        np.minimum(self._clipped, 1.0, out=self._clipped)
        contact = np.einsum("ij,ij->i", self._clipped, self._clipped) * -CONTACT_WEIGHT
        forward = np.where(failed, 0.0, (qpos[:, 0] - self._x) / self._dt)
        control = control * -CONTROL_WEIGHT
        terminated = failed | ~self._healthy()
        offset = lateral_offset(qpos[:, 0], qpos[:, 1])
        wall = np.abs(np.abs(offset) - self._half_width) < WALL_DISTANCE
        terms = {
            "reward_forward": forward,
            "reward_control": control,
            "reward_contact": contact,
            "reward_survive": np.full(len(qpos), SURVIVE_REWARD),
            "cost_wall": wall,
            "cost_fall": terminated,
        }
        return forward + control + contact + SURVIVE_REWARD, terminated, terms

    def _healthy(self) -> np.ndarray:
        height, tilt = self._qpos[:, 2], self._qpos[:, 4:6]
        upright = 1.0 - 2.0 * np.einsum("ij,ij->i", tilt, tilt)
        return (height >= HEALTHY_HEIGHT[0]) & (height <= HEALTHY_HEIGHT[1]) & (upright >= MIN_UPRIGHT)

    def observe(self, base: np.ndarray) -> None:
        """Write the base observation, (E, base_size): positions without x and y, velocities, x / 5, lateral offset."""
        x = self._qpos[:, 0]
        base[:, : self._split] = self._positions
        base[:, self._split : -2] = self._velocities
        base[:, -2] = x / 5.0
        base[:, -1] = lateral_offset(x, self._qpos[:, 1])
