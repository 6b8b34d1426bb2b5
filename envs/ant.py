"""The Ant task: run along a folded corridor without coming near its walls and without falling.

All quantities are batched over E worlds. The cost is 1 when unsafe, as the text of the paper and the original code have
it; equation 25 is printed with the condition inverted. It is measured against fixed lines 1.8 m (along y) on either
side of each wall, wherever a loose wall has gone meanwhile, and is zero again beyond the wall. `cfrc_ext` belongs to
the new state, where the original reads the last Runge-Kutta stage before it: about 7e-4 of reward on average.

ManyAgent Ant is the same task with a chain of segments, a corridor of 9 m and steps of 0.02 s. The original strips the
state of six walls from observations and reset noise although its model has two, and so cuts four walls' worth of the
robot's own state: with six segments an agent sees neither the orientation nor any joint. `observation="original"` keeps
that, `"full"` shows the whole robot; the reset noise is the original's in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch

from . import models
from .models import CORRIDOR_HALF_WIDTH
from .robot import Robot
from .scenarios import Scenario

CONTROL_WEIGHT = 0.5
CONTACT_WEIGHT = 5e-4
SURVIVE_REWARD = 1.0  # also paid on the step that ends the episode
HEALTHY_HEIGHT = (0.2, 1.0)  # m
MIN_UPRIGHT = -0.7  # cosine of the torso's tilt: an episode ends beyond 134 degrees
WALL_DISTANCE = 1.8  # m along y, so 1.56 m at right angles to the wall
FOLD = np.tan(np.pi / 6)  # slope of the corridor
ABSENT_WALLS = 4  # of ManyAgent Ant: six stripped, two there
_WALL_POSITIONS, _WALL_VELOCITIES = 7, 6  # of a free joint


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
    """Return what is observed and perturbed: all of the Ant, part of a chain's 7 + 4N positions and 6 + 4N speeds."""
    half_width = CORRIDOR_HALF_WIDTH[scenario.family]
    if not scenario.segments:
        return Layout(half_width, observed=(15, 14), noisy=(15, 14))
    robot = (7 + 4 * scenario.segments, 6 + 4 * scenario.segments)
    cut = (robot[0] - ABSENT_WALLS * _WALL_POSITIONS, robot[1] - ABSENT_WALLS * _WALL_VELOCITIES)
    return Layout(half_width, observed=robot if observation == "full" else cut, noisy=cut)


def lateral_offset(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance along y from the centre line of the corridor, which turns at x = 20, 60 and ends its slope at 100 m.

    The three slopes are one expression: x, then 40 - x, then x - 80, then 20, times tan 30 degrees. Shapes (E,).
    """
    along = np.minimum(x, np.maximum(40.0 - x, np.minimum(x - 80.0, 20.0)))
    return y - FOLD * along


class Ant(Robot):
    """Reward, cost, health and base observation of E ants, read from the arrays of a batch."""

    cost_names = ("wall", "fall")
    term_names = ("reward_forward", "reward_control", "reward_contact", "reward_survive", "cost_wall", "cost_fall")
    stage = mujoco.mjtStage.mjSTAGE_ACC.value  # mj_forward at the new state, so that cfrc_ext exists there
    root_quat = slice(3, 7)

    @staticmethod
    def build(scenario: Scenario, options: Mapping[str, str]) -> mujoco.MjModel:
        """Compile the robot in its folded corridor."""
        return models.ant(scenario, options["walls"])

    def __init__(self, batch: Batch, scenario: Scenario, options: Mapping[str, str]) -> None:
        """Take views of the batch's arrays and allocate what a step reuses."""
        shown = layout(scenario, options["observation"])
        positions, velocities = shown.observed
        self._split = positions - 2
        self.base_size, self.noisy = self._split + velocities + 2, shown.noisy
        super().__init__(batch, scenario, options)
        self._contact = batch.bind("cfrc_ext").reshape(batch.nsim, -1)  # (E, 6 * bodies), walls and world included
        self._clipped = np.empty_like(self._contact)
        self._dt, self._half_width = scenario.dt, shown.half_width
        self._x = np.zeros(batch.nsim)
        self._positions, self._velocities = self._qpos[:, 2:positions], self._qvel[:, :velocities]

    def act(self, flat: np.ndarray) -> None:
        """Remember where the torsos are, from where the forward reward is measured, and drive the motors."""
        self._x[:] = self._qpos[:, 0]
        super().act(flat)

    def outcome(self, control: np.ndarray, failed: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Judge the step that has just been simulated; see `Task.outcome`."""
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

    def fill(self, base: np.ndarray) -> None:
        """Write the base vector, (E, base_size): positions without x and y, velocities, x / 5, lateral offset."""
        x = self._qpos[:, 0]
        base[:, : self._split] = self._positions
        base[:, self._split : -2] = self._velocities
        base[:, -2] = x / 5.0
        base[:, -1] = lateral_offset(x, self._qpos[:, 1])
