"""The HalfCheetah task: run behind a moving obstacle without coming closer than nine metres.

All quantities are batched over E worlds. The obstacle is driven by the environment: its motor gets
0.02 sin(t/3)^2 - 0.004, held over a control step, so it backs up at first and then moves on at 3.4 m/s on average; the
cheetah may push it. The cost is 1 when unsafe; equation 26 is printed with the condition inverted and names y for x.
As in the original, the obstacle's position is one substep (0.01 s) older than the cheetah's. Episodes never terminate.
"""

from collections.abc import Mapping

import mujoco
import numpy as np
from mujoco.batch import Batch

from . import models
from .robot import Robot
from .scenarios import Scenario

CONTROL_WEIGHT = 0.1
SAFE_DISTANCE = 9.0  # m along x, on either side


class HalfCheetah(Robot):
    """Reward, cost and base observation of E cheetahs, read from the arrays of a batch."""

    cost_names = ("obstacle",)
    term_names = ("reward_forward", "reward_control", "cost_obstacle")
    stage = mujoco.mjtStage.mjSTAGE_NONE.value  # leaves geom_xpos one substep behind, like the original
    base_size = 20
    noisy = (10, 10)  # the obstacle included, which starts at 10 m, give or take 0.2

    @staticmethod
    def build(scenario: Scenario, options: Mapping[str, str]) -> mujoco.MjModel:
        """Compile the robot, its obstacle and a corridor out of its reach; raise ValueError for other walls."""
        if options["walls"] != "ghost":
            raise ValueError(
                f"walls {options['walls']!r} do not apply to {scenario.name}, which never reaches them; choose ghost"
            )
        return models.half_cheetah()

    def __init__(self, batch: Batch, scenario: Scenario, options: Mapping[str, str]) -> None:
        """Take views of the batch's arrays."""
        super().__init__(batch, scenario, options)
        model = batch.model
        self._time = batch.bind("time")
        self._root = self._qpos[:, model.joint("rootx").qposadr[0]]
        self._obstacle = batch.bind("geom_xpos")[:, model.geom("obstacle").id, 0]
        self._obstacle_ctrl = batch.bind("ctrl")[:, model.actuator("obstacle").id]
        self._positions = self._qpos[:, 1:9]  # without rootx and the obstacle
        self._dt = scenario.dt
        self._x = np.zeros(batch.nsim)

    def act(self, flat: np.ndarray) -> None:
        """Remember where the cheetahs are, from where the forward reward is measured, and drive the motors."""
        self._x[:] = self._root
        super().act(flat)

    def outcome(self, control: np.ndarray, failed: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Judge the step that has just been simulated; the obstacle's motor is not charged. See `Task.outcome`."""
        forward = np.where(failed, 0.0, (self._root - self._x) / self._dt)
        control = control * -CONTROL_WEIGHT
        obstacle = np.abs(self._obstacle - self._root) < SAFE_DISTANCE
        terms = {"reward_forward": forward, "reward_control": control, "cost_obstacle": obstacle}
        return forward + control, failed, terms

    def fill(self, base: np.ndarray) -> None:
        """Write the base vector, (E, 20), and set the obstacle's motor for the coming step, which it contains.

        Order: 8 positions without x, 9 velocities, the obstacle's velocity and motor, clipped distance / 10.
        """
        wave = np.sin(self._time / 3.0)
        self._obstacle_ctrl[:] = 0.02 * wave * wave - 0.004
        distance = (self._obstacle - self._root) / 10.0
        base[:, :8] = self._positions
        base[:, 8:18] = self._qvel
        base[:, 18] = self._obstacle_ctrl
        base[:, 19] = np.minimum(np.maximum(distance, -5.0), 5.0)
