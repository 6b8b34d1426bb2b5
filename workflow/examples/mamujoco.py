"""Gymnasium-Robotics' MaMuJoCo with Safety-Gymnasium's velocity cost: tasks of another project.

A step costs 1 when the robot is faster than the threshold that Safety-Gymnasium's `make_ma` has for this division into
agents (those of the robot with one agent are 2.6222 and 3.2096); SafePO bounds an episode's cost by 25.
"""

import numpy as np
from gymnasium_robotics import mamujoco_v1
from pettingzoo.utils import BaseParallelWrapper


class VelocityCost(BaseParallelWrapper):
    """Adds `info[agent]["cost"]`: 1 when the speed, from the infos named, is above a threshold."""

    def __init__(self, env, components: tuple[str, ...], threshold: float) -> None:
        """Wrap `env`; `components` (metres per second) make up the velocity."""
        super().__init__(env)
        self.components, self.threshold = components, threshold

    def step(self, actions: dict) -> tuple:
        """Step and charge."""
        *others, infos = self.env.step(actions)
        for info in infos.values():
            info["cost"] = float(np.hypot.reduce([info[name] for name in self.components]) > self.threshold)
        return *others, infos


def ant_2x4() -> VelocityCost:
    """Two agents of two legs each."""
    return VelocityCost(mamujoco_v1.parallel_env("Ant", "2x4"), ("x_velocity", "y_velocity"), 2.522)


def half_cheetah_6x1() -> VelocityCost:
    """Six agents of one joint each; those at the feet see less and are padded."""
    return VelocityCost(mamujoco_v1.parallel_env("HalfCheetah", "6x1"), ("x_velocity",), 2.932)
