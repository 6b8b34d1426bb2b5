"""The ManyAgent Ant task: the Ant task with a chain of segments, a corridor of 9 m and steps of 0.02 s.

The original strips the state of six walls from observations and reset noise although its model has two, and so cuts
four walls' worth of the robot's own state: with six segments an agent sees neither the orientation nor any joint.
`observation="original"` keeps that, `"full"` shows the whole robot; the reset noise is the original's in both.
"""

from envs.ant import Layout
from envs.models import CORRIDOR_HALF_WIDTH
from envs.scenarios import Scenario

ABSENT_WALLS = 4  # six stripped, two there
_WALL_POSITIONS, _WALL_VELOCITIES = 7, 6  # of a free joint


def layout(scenario: Scenario, observation: str) -> Layout:
    """Return what is observed and perturbed for a number of segments: 7 + 4N positions, 6 + 4N velocities."""
    robot = (7 + 4 * scenario.segments, 6 + 4 * scenario.segments)
    cut = (robot[0] - ABSENT_WALLS * _WALL_POSITIONS, robot[1] - ABSENT_WALLS * _WALL_VELOCITIES)
    observed = robot if observation == "full" else cut
    return Layout(CORRIDOR_HALF_WIDTH[scenario.family], observed=observed, noisy=cut)
