"""Tasks of other projects: any PettingZoo ParallelEnv with Box actions and `info[agent]["cost"]`, by one line.

A line of a configuration (`scenarios: [{name: ..., env: "package.module:function", bound: 25}]`), the options --env and
--bound, or the record of a run becomes a row of SCENARIOS. The function is not called here: Snakemake needs its name.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from envs.scenarios import FAMILY_OPTIONS, SCENARIOS, Scenario

ROOT = Path(__file__).resolve().parent.parent
FAMILY = "foreign"
RECORD = "foreign"  # where run.json keeps the line
ENV = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
FAMILY_OPTIONS[FAMILY] = ()


@dataclass(frozen=True)
class Foreign(Scenario):
    """A row whose task another project defines; the sizes are the task's, unknown until it is made.

    Attributes:
        env: `package.module:function`, which returns a ParallelEnv when called without arguments.
    """

    env: str = ""


def add(name: str, env: str, bound: float) -> Foreign:
    """Add a task to SCENARIOS, or find it there.

    Raises:
        ValueError: the name is not one, is taken, or `env` does not name a function.
    """
    if not re.fullmatch(r"\w+", name):
        raise ValueError(f"the scenario's name {name!r} is not valid: use letters, digits and _")
    if not ENV.fullmatch(env):
        raise ValueError(f"env={env!r} of scenario {name} is not valid: write package.module:function")
    if not bound >= 0:
        raise ValueError(f"bound={bound} of scenario {name} is out of range: it must be at least 0")
    if name in SCENARIOS and not isinstance(SCENARIOS[name], Foreign):
        raise ValueError(f"scenario {name!r} is one of ours: choose another name for {env}")
    row = Foreign(name, FAMILY, name, 0, 0, 0, (), float(bound), 0.0, FAMILY, 0, env)
    if (known := SCENARIOS.get(name, row)) != row:
        raise ValueError(
            f"scenario {name!r} is {known.env} with bound {known.bound:g} already: choose another name for {env} with "
            f"bound {bound:g}"
        )
    SCENARIOS[name] = row
    return row


def line(scenario: str) -> dict[str, dict]:
    """Return what a run's record holds of its task: nothing of ours, the line of a foreign one."""
    row = SCENARIOS[scenario]
    return {RECORD: {key: asdict(row)[key] for key in ("name", "env", "bound")}} if isinstance(row, Foreign) else {}


def files(scenario: str) -> list[str]:
    """Return the files of the repository that a foreign task rests on; those elsewhere are its own project's."""
    row = SCENARIOS[scenario]
    if not isinstance(row, Foreign):
        return []
    own = f"{row.env.partition(':')[0].replace('.', '/')}.py"
    return ["algorithms/run/foreign.py", *([own] if (ROOT / own).is_file() else [])]


def recall(record: Mapping) -> None:
    """Add the task that a run's record tells of, if it is a foreign one."""
    if isinstance(found := record.get(RECORD), Mapping):
        add(str(found.get("name")), str(found.get("env")), float(found.get("bound", 0)))


def arguments(scenario: str) -> list[str]:
    """Return the options of the command line that tell of a foreign task."""
    row = SCENARIOS[scenario]
    return ["--env", row.env, "--bound", f"{row.bound:.12g}"] if isinstance(row, Foreign) else []
