"""The thirteen scenarios of the paper and two of its second benchmark: robot, split into agents, safety bound, figure.

This file imports the standard library alone, so that a workflow can read the table without paying for MuJoCo. The
safety bounds are those of the captions of Figures 2 to 5. `declared` is the partition the original configuration names;
the original code never reads it and gives agent i the i-th contiguous slice of actuators, so that Ant 2x4d is Ant 2x4
unless the environment is made with `partition="declared"`. And here is what a task can vary.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

TASK_VERSION = 1  # to be raised whenever a task's physics, reward, cost or observation changes: results do not mix

EPISODE_LIMIT = "episode_limit"
# Options of a task and their values; the first is the published task.
OPTIONS = {
    "walls": ("ghost", "free", "solid"),
    "observation": ("original", "full"),
    "partition": ("original", "declared"),
    "costs": ("shared", "separate"),  # one column, as published, or one per cause
    "fall": ("end", "continue"),  # of an object out of the hands: does it end the episode?
    EPISODE_LIMIT: ("original",),  # or a number of control steps, see `option`
}
_ROBOT = ("walls", "observation", "partition", "costs", EPISODE_LIMIT)
_HANDS = ("costs", "fall", EPISODE_LIMIT)
FAMILY_OPTIONS = {"ant": _ROBOT, "halfcheetah": _ROBOT, "manyagent_ant": _ROBOT, "shadowhand": _HANDS}
SAFETY_BOUND = "safety_bound"  # the setting that replaces a scenario's bound, and begins the variants of Figure 6

_NUMBER = r"(?:inf|\d+\.?\d*(?:e[+-]?\d+)?)"
_NAMED_BOUND = re.compile(rf"(?:^|\+){SAFETY_BOUND}=({_NUMBER}(?:\+{_NUMBER})*)(?:\+[a-z]\w*=|$)")

Partition = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Scenario:
    """One row of the benchmark.

    Attributes:
        name: identifier used on command lines and in paths, `ant_2x4`.
        family: `ant`, `halfcheetah`, `manyagent_ant` or `shadowhand`.
        title: label for figures, `Ant 2x4`.
        agents: number of agents N.
        actions_per_agent: number of actuators A each agent drives.
        segments: body segments of a ManyAgent Ant; 0 for the other robots.
        declared: for each agent, the indices of the actuators the original configuration names (order of the model).
        bound: safety bound on the undiscounted episode cost.
        dt: duration of a control step in seconds.
        figure: the figure of the paper that shows the scenario; `hands` for those that none does.
        limit: control steps after which an episode is truncated.
    """

    name: str
    family: str
    title: str
    agents: int
    actions_per_agent: int
    segments: int
    declared: Partition
    bound: float
    dt: float
    figure: str
    limit: int = 1000


def _chunks(actuators: tuple[int, ...], agents: int) -> Partition:
    """Cut a sequence of actuator indices into one equal part per agent."""
    size = len(actuators) // agents
    return tuple(actuators[i * size : (i + 1) * size] for i in range(agents))


# The model lists the motors leg by leg as 4, 1, 2, 3 (hip, ankle each); the declared partitions start at leg 1.
_ANT_LEGS = {1: (2, 3), 2: (4, 5), 3: (6, 7), 4: (0, 1)}
# The model lists back thigh, shin, foot, then front thigh, shin, foot; the declared partitions start at the feet.
_CHEETAH_FEET_FIRST = (2, 1, 0, 5, 4, 3)


def _ant(split: str, agents: int, bound: float, legs: tuple[int, ...] = (1, 2, 3, 4)) -> Scenario:
    declared = _chunks(sum((_ANT_LEGS[leg] for leg in legs), ()), agents)
    return Scenario(f"ant_{split}", "ant", f"Ant {split}", agents, 8 // agents, 0, declared, bound, 0.05, "figure2")


def _half_cheetah(split: str, agents: int) -> Scenario:
    declared = _chunks(_CHEETAH_FEET_FIRST, agents)
    name, title = f"halfcheetah_{split}", f"HalfCheetah {split}"
    return Scenario(name, "halfcheetah", title, agents, 6 // agents, 0, declared, 30.0, 0.05, "figure3")


def _many_agent_ant(agents: int, segments_per_agent: int) -> Scenario:
    split, segments = f"{agents}x{segments_per_agent}", agents * segments_per_agent
    declared = _chunks(tuple(range(4 * segments)), agents)
    bound, figure = {6: (25.0, "figure4"), 8: (80.0, "figure5")}[segments]
    name, title, size = f"manyagent_ant_{split}", f"ManyAgent Ant {split}", 4 * segments_per_agent
    return Scenario(name, "manyagent_ant", title, agents, size, segments, declared, bound, 0.02, figure)


def _shadow_hand(task: str, title: str, limit: int) -> Scenario:
    """Two hands of 20 actuators; the bound is the code base's default, for the paper prints none."""
    declared = _chunks(tuple(range(40)), 2)
    return Scenario(f"shadowhand{task}", "shadowhand", title, 2, 20, 0, declared, 2.5, 1 / 60, "hands", limit)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        _ant("2x4", 2, 50.0),
        _ant("2x4d", 2, 50.0, legs=(1, 3, 2, 4)),
        _ant("4x2", 4, 50.0),
        _ant("8x1", 8, 70.0),
        _half_cheetah("2x3", 2),
        _half_cheetah("3x2", 3),
        _half_cheetah("6x1", 6),
        _many_agent_ant(2, 3),
        _many_agent_ant(3, 2),
        _many_agent_ant(6, 1),
        _many_agent_ant(2, 4),
        _many_agent_ant(4, 2),
        _many_agent_ant(8, 1),
        _shadow_hand("over", "ShadowHandOver (MuJoCo)", 75),
        _shadow_hand("reorientation", "ShadowHandReOrientation (MuJoCo)", 600),
    )
}
PAPER = tuple(name for name, scenario in SCENARIOS.items() if scenario.figure != "hands")  # of Figures 2 to 5


def get(name: str) -> Scenario:
    """Return the scenario called `name`; raise ValueError with the valid names if there is none."""
    if name not in SCENARIOS:
        raise ValueError(f"unknown scenario {name!r}; choose from {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def option(name: str, value: object) -> str:
    """Return the value of an option as results name it: a word of OPTIONS, or a number of steps as 200.

    Raises:
        ValueError: the option has no such value.
    """
    if value in OPTIONS[name]:
        return str(value)
    if name == EPISODE_LIMIT and not isinstance(value, bool):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            steps = float(value)
            if steps >= 1 and steps == int(steps):
                return str(int(steps))
    choices = ", ".join(OPTIONS[name]) + (" or a positive whole number of steps" if name == EPISODE_LIMIT else "")
    raise ValueError(f"{name}={value} is not valid: choose from {choices}")


def complete(scenario: Scenario, options: Mapping[str, object]) -> dict[str, str]:
    """Return all options of the scenario's task, those that are not given with their defaults.

    Raises:
        ValueError: the task has no such option, or the option no such value.
    """
    owned = FAMILY_OPTIONS[scenario.family]
    for name, value in options.items():
        if name not in owned:
            kind = (
                f"environment option {name}={value!r} does not apply to"
                if name in OPTIONS
                else f"{name!r} is unknown to"
            )
            raise ValueError(f"{kind} {scenario.name}; choose from {', '.join(owned)}")
    return {name: option(name, options.get(name, OPTIONS[name][0])) for name in owned}


def options_in(scenario: Scenario, settings: Mapping[str, object]) -> dict[str, str]:
    """Pick the options of the scenario's task from the settings of a run, which have a value for every option.

    Settings that another family's option has at its default, or that an older run does not name, count as not given.

    Raises:
        ValueError: an option of another family has a value that is not the default, or a value is unknown.
    """
    owned = FAMILY_OPTIONS[scenario.family]
    given = {name: settings[name] for name in OPTIONS if name in settings}
    return complete(scenario, {n: v for n, v in given.items() if n in owned or v != OPTIONS[n][0]})


def bound_of(scenario: str, variant: str) -> float:
    """Return the safety bound of a run: the one its variant names (`safety_bound=25`), or its scenario's.

    Of several bounds, one per cost, it is their sum, as in the column `bound` of metrics.csv.

    Raises:
        ValueError: there is no such scenario.
    """
    named = _NAMED_BOUND.search(variant)
    return sum(map(float, re.findall(_NUMBER, named[1]))) if named else get(scenario).bound
