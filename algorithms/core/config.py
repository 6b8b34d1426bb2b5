"""Settings: every hyperparameter is written once, as a field of a frozen dataclass, with its symbol or source.

`Config` holds what all algorithms share; each algorithm extends it with its own fields (and other defaults). Defaults
are those of the MACPO code base, which the supplement keeps "at their original values" except for its Table 5.
"""

import dataclasses
import math
import typing
from dataclasses import dataclass
from typing import ClassVar

from envs.scenarios import OPTIONS, option
from workflow.numbers import whole

# The task: options of the environment; they change what is learned, never how.
Options = dataclasses.make_dataclass(
    "Options", [(name, str, values[0]) for name, values in OPTIONS.items()], frozen=True
)


@dataclass(frozen=True)
class Config(Options):
    """Settings shared by all algorithms: OPTIONS of the task first."""

    # What the learner asks of every algorithm; where it is a choice, the algorithm makes it a setting.
    share_policy: ClassVar[bool] = False  # one policy for all agents
    legacy_unsummed: ClassVar[bool] = False  # Q2: log-probabilities, M and advantages by action dimension, (B, A)

    safety_bound: tuple[
        float, ...
    ] = ()  # bound on the episode cost, one per cost; empty: the scenario's published bound

    # rollout
    num_envs: int = 16  # E
    rollout_length: int = 1000  # T, steps of each world in an iteration
    gamma: float = 0.99
    gae_lambda: float = 0.95

    # networks
    hidden: tuple[int, ...] = (64, 64)

    # actors
    actor_lr: float = 9e-5
    epochs: int = 5  # passes over the data; "update numbers" in Table 5
    minibatch_size: int = 400  # 40 minibatches of the 16 000 samples
    max_grad_norm: float = 10.0

    # critics: one V and one V_C per cost, shared by the agents and trained once an iteration
    critic_lr: float = 5e-3
    critic_epochs: int = 5
    critic_minibatch_size: int = 400
    value_clip: float = 0.2  # in normalised units
    huber_delta: float = 10.0  # in normalised units
    value_norm_beta: float = 0.99999  # memory of the running mean and variance of the returns

    # bootstrap: a time limit ends no task, so the last state keeps its value | failure: it is worth nothing, as in the
    # original code, whose published curves come out only so
    time_limit: str = "bootstrap"

    # errors of the original code that move curves; all off (the correct mathematics), see each algorithm's `legacy`
    legacy_stale_cost: bool = False  # Q4: J_C is refreshed after every fifth update only, and is 0 before the first
    legacy_shared_normaliser: bool = False  # Q7: one running mean and variance for reward and cost returns
    legacy_one_sided_huber: bool = False  # Q8: errors below -delta cost nothing

    def __post_init__(self) -> None:
        """Refuse values no algorithm can run with."""
        for name in OPTIONS:
            object.__setattr__(self, name, option(name, getattr(self, name)))
        if self.time_limit not in ("bootstrap", "failure"):
            raise ValueError(f"time_limit={self.time_limit} is not valid: choose bootstrap or failure")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, bool) or not isinstance(number, int | float):
                    continue
                if math.isnan(number) or number < 0 or (isinstance(number, int) and number < 1):
                    raise ValueError(f"{field.name}={number} is out of range: it must be positive")
        for name in ("gamma", "gae_lambda", "value_norm_beta"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name}={getattr(self, name)} is out of range: it must lie in [0, 1]")
        if not self.hidden:
            raise ValueError("hidden=() is not valid: give at least one layer size, such as hidden=64,64")


# The errors of the original code that do not depend on the algorithm; each algorithm's variant `legacy` adds its own.
LEGACY = {"time_limit": "failure"} | dict.fromkeys(
    ("legacy_stale_cost", "legacy_shared_normaliser", "legacy_one_sided_huber"), "true"
)
# Settings that had another name: what to write instead.
RENAMED = {"legacy_time_limit": "time_limit=failure (it was true) or time_limit=bootstrap (false)"}


def current(settings: dict) -> dict:
    """Return the settings of a run's record under the names of today, with the meaning that they had."""
    found = dict(settings)
    if "legacy_time_limit" in found:
        found["time_limit"] = "failure" if found.pop("legacy_time_limit") else "bootstrap"
    return found


def parse(config_class: type[Config], settings: dict[str, str], base: Config | None = None) -> Config:
    """Return `config_class` with the given `name: text` settings, typed by its fields.

    Raises:
        ValueError: an unknown name, a text that is not of the field's type, or a value out of range.
    """
    fields = {f.name: f.type for f in dataclasses.fields(config_class)}
    values = {}
    for name, text in settings.items():
        if name in RENAMED:
            raise ValueError(f"{name}={text} is no longer a setting: write {RENAMED[name]}")
        if name not in fields:
            raise ValueError(f"unknown setting '{name}': choose from {', '.join(sorted(fields))}")
        values[name] = _typed(name, text, fields[name])
    return dataclasses.replace(base or config_class(), **values)


def _typed(name: str, text: str, kind: type) -> object:
    """Return `text` as `kind`, or say what was expected."""
    if typing.get_origin(kind) is tuple:
        return tuple(_typed(name, part, typing.get_args(kind)[0]) for part in text.split(","))
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise ValueError(f"{name}={text} is not valid: choose true or false")
    try:
        return whole(text) if kind is int else kind(text)
    except ValueError:
        word = {"int": "a whole number", "float": "a number"}[kind.__name__]
        raise ValueError(f"{name}={text} is not valid: it must be {word}") from None
