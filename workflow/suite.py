"""A suite: everything one configuration file asks for, checked before anything runs.

A mistake raises ValueError with one sentence: the key, its value and the valid choices. Here is what needs knowledge of
scenarios and algorithms; keys, types and ranges are the schema's, see workflow/schema.py.
"""

import math
import os
import re
from dataclasses import dataclass
from functools import cached_property

from envs.scenarios import FAMILY_OPTIONS, OPTIONS, SAFETY_BOUND, SCENARIOS, Scenario, bound_of, complete
from workflow import foreign, layout, schema, sources
from workflow.layout import DEFAULT
from workflow.numbers import text, whole

TEXT = r"[A-Za-z0-9_.,:+@%=/-]+"  # of settings: nothing that a shell would read as more than a word
FALL = "fall"  # the option of which a suite may have both values: the other one is a variant
LEGACY = "legacy"  # the variant that has the errors of the original code as well
TIME_LIMIT, PUBLISHED_TIME_LIMIT = "time_limit", "failure"  # a setting, and its value in the original code
# Figures of main runs beside others that differ in one setting: the setting and its two values.
EITHER = {
    "time_limit": (TIME_LIMIT, ("bootstrap", "failure")),
    "nu_reading": ("nu_update", ("minibatch", "iteration")),
    "kl_reading": ("kl_reduction", ("sum", "mean")),
}
PARTS = (  # what a suite may leave out
    *("settings", "grids", "efficiency", LEGACY, FALL, *EITHER),
    *("evaluation", "videos", "benchmark", "environment", "extra_algorithms"),
)
TASK = (*OPTIONS, SAFETY_BOUND)  # settings that change what is learned


@dataclass(frozen=True)
class Suite:
    """A checked configuration; the fields are the keys of the schema."""

    name: str
    steps: int
    seeds: tuple[int, ...]
    scenarios: tuple[str, ...]
    algorithms: tuple[str, ...]
    settings: dict
    grids: dict
    efficiency: dict
    legacy: dict
    time_limit: dict
    nu_reading: dict
    kl_reading: dict
    fall: dict
    evaluation: dict
    videos: dict
    benchmark: dict
    environment: dict
    extra_algorithms: dict
    note: str

    @cached_property
    def conditions(self) -> list[str]:
        """What sets all results of the suite apart: options of the task, and time limits unlike the published."""
        ours = [name for name in self.algorithms if name not in self.extra_algorithms]
        limits = {str(self.published(TIME_LIMIT, scenario, name)) for scenario in self.scenarios for name in ours}
        found = [f"{name}={value}" for name, value in sorted(self.environment.items())]
        return [*found, f"{TIME_LIMIT}={'+'.join(sorted(limits))}"] if limits - {PUBLISHED_TIME_LIMIT} else found

    @property
    def folder(self) -> str:
        """The results' folder: its name shows the conditions, so that results never mix."""
        return ",".join([f"results/{self.name}", *self.conditions])

    @property
    def other_fall(self) -> str:
        """The variant whose rule for a fallen object is not that of the main runs."""
        first, second = OPTIONS[FALL]
        return f"{FALL}={second if self.environment.get(FALL, first) == first else first}"

    @property
    def caption(self) -> str:
        """The sentence every caption ends with."""
        conditions = f"Unlike the paper: {', '.join(self.conditions)}." if self.conditions else ""
        return " ".join(filter(None, [self.note, conditions]))

    def settings_of(self, scenario: str, algorithm: str, variant: str = DEFAULT) -> dict[str, object]:
        """Return the merged settings of a run that differ from the code's defaults; the more specific entry wins."""
        merged = dict(self.environment)
        for table in (self.settings.get("all", {}), self.settings.get(algorithm, {})):
            for place in places(SCENARIOS[scenario]):
                merged |= table.get(place, {})
        if variant == LEGACY:
            merged.pop(TIME_LIMIT, None)  # its own is the original's, in any suite
        return merged | layout.settings_in(variant)

    def published(self, parameter: str, scenario: str, algorithm: str) -> object:
        """Return the value that the main runs of an algorithm use for a setting on a scenario."""
        if parameter == SAFETY_BOUND:
            return bound_of(scenario, DEFAULT)
        return self.settings_of(scenario, algorithm).get(parameter, sources.fields(algorithm)[parameter].default)

    def variant(self, parameter: str, value: object, scenario: str, algorithm: str) -> str:
        """Return the variant that has `parameter` at `value`: the main runs themselves where they use it."""
        same = text(value) == text(self.published(parameter, scenario, algorithm))
        return DEFAULT if same else layout.variant_with({parameter: text(value)})

    def timed(self, algorithm: str) -> list[str]:
        """Return the variants of an algorithm that Tables 1 and 2 time: the main runs, and what the paper timed."""
        instead = self.efficiency.get("variants", {}).get(algorithm)
        return [DEFAULT, *([layout.variant_with({n: text(v) for n, v in instead.items()})] if instead else [])]


def places(scenario: Scenario) -> list[str]:
    """Return where a setting of this scenario can be written, from general to specific."""
    length = [f"{scenario.family}_{scenario.segments}_segments"] if scenario.segments else []
    return ["all", scenario.family, *length, scenario.name]


def load(config: dict) -> Suite:
    """Check a configuration and return it as a suite.

    Raises:
        ValueError: the first mistake, in one sentence.
    """
    config = schema.checked(config)
    names = [foreign.add(**each).name if isinstance(each, dict) else each for each in config["scenarios"]]
    given = {key: value for key, value in config.items() if value is not None} | {"scenarios": names}
    filled = {key: {} for key in PARTS} | {"note": ""} | given
    for key in ("seeds", "scenarios", "algorithms"):
        filled[key] = tuple(filled[key])
    suite = Suite(**filled)
    _check_names(suite)
    _check_environment(suite)
    _check_settings(suite)
    _check_timed(suite)
    _check_grids(suite)
    return suite


def _options(scenario: str) -> tuple[str, ...]:
    """Return the names of the options of a scenario's task."""
    return FAMILY_OPTIONS[SCENARIOS[scenario].family]


def _known(kind: str, names: object, valid: object) -> None:
    """Refuse the first of `names` that is not in `valid`."""
    for name in names:
        if name not in valid:
            raise ValueError(f"unknown {kind} {name!r}: choose from {', '.join(valid)}")


def _check_names(suite: Suite) -> None:
    """Refuse scenarios and algorithms that nobody provides."""
    ours = sources.algorithms()
    if twice := [name for name in suite.extra_algorithms if name in ours]:
        raise ValueError(f"extra_algorithms names {twice[0]!r}, which algorithms/ has already: choose another name")
    valid = (*ours, *suite.extra_algorithms)
    own = [name for name, row in SCENARIOS.items() if row.family != foreign.FAMILY]  # whose physics we know
    _known("algorithm", suite.algorithms, valid)
    _known("algorithm in efficiency", suite.efficiency.get("algorithms", ()), valid)
    _known("scenario", suite.scenarios, SCENARIOS)
    _known("scenario in efficiency", suite.efficiency.get("scenarios", ()), SCENARIOS)
    both = {LEGACY: [name for name in ours if LEGACY in sources.variants(name)]}
    both |= {key: [name for name in ours if setting in sources.fields(name)] for key, (setting, _) in EITHER.items()}
    for key, names in both.items():
        _known(f"scenario in {key}", getattr(suite, key).get("scenarios", ()), SCENARIOS)
        _known(f"algorithm in {key}", getattr(suite, key).get("algorithms", ()), names)
    _known("scenario in fall", suite.fall.get("scenarios", ()), [name for name in SCENARIOS if FALL in _options(name)])
    _known("algorithm in fall", suite.fall.get("algorithms", ()), valid)
    _known("scenario in videos", suite.videos.get("scenarios", ()), own)
    _known("algorithm in videos", suite.videos.get("algorithms", ()), ours)
    _known("scenario in benchmark", suite.benchmark.get("scenarios", ()), own)
    _known("algorithm in benchmark", suite.benchmark.get("algorithms", ()), ours)
    for parameter, grid in suite.grids.items():
        _known(f"scenario in grids.{parameter}", grid["scenarios"], SCENARIOS)
        _known(f"algorithm in grids.{parameter}", [grid["algorithm"]], ours)
    for name, path in suite.extra_algorithms.items():
        if not os.path.isfile(sources.ROOT / path):  # unlike Path.is_file it has an answer for every text
            raise ValueError(f"extra_algorithms.{name}={path!r} is no file: give its rules' path from the Snakefile")


def _check_environment(suite: Suite) -> None:
    """Refuse options that one of the suite's tasks does not have, and drop those that ask for the published task."""
    beside = [getattr(suite, key) for key in (LEGACY, FALL, *EITHER)]
    named = (suite.efficiency, *beside, suite.benchmark, *suite.grids.values())
    every = dict.fromkeys([*suite.scenarios, *(name for part in named for name in part.get("scenarios", ()))])
    for scenario in every:
        complete(SCENARIOS[scenario], suite.environment)
    for name in [name for name, value in suite.environment.items() if value == OPTIONS[name][0]]:
        del suite.environment[name]  # no condition of the results


def _check_settings(suite: Suite) -> None:
    """Refuse settings that no code reads, values of another type, and settings that change the task."""
    ours = sources.algorithms()
    _known("algorithm in settings", suite.settings, ("all", *ours, *suite.extra_algorithms))
    valid_places = dict.fromkeys(place for scenario in SCENARIOS.values() for place in places(scenario))
    for algorithm, table in suite.settings.items():
        _known(f"place in settings.{algorithm}", table, valid_places)
        fields = _fields_of(algorithm, suite)
        for place, entries in table.items():
            for name, value in list(entries.items()):
                key = f"settings.{algorithm}.{place}.{name}"
                if value is None:
                    if algorithm not in suite.extra_algorithms:
                        _known(f"setting {key}:", [name], fields)
                    del entries[name]
                    continue
                _check_value(key, value)
                if name in TASK:
                    instead = "grids" if name == SAFETY_BOUND else "environment"
                    raise ValueError(f"{key} changes the task, not the algorithm: write it under {instead}")
                if algorithm not in suite.extra_algorithms:
                    entries[name] = _typed(key, value, fields)


def _check_timed(suite: Suite) -> None:
    """Refuse variants to be timed of algorithms that are not ours, and settings that the algorithm does not have."""
    variants = suite.efficiency.get("variants", {})
    _known("algorithm in efficiency.variants", variants, sources.algorithms())
    for algorithm, settings in variants.items():
        for name, value in settings.items():
            key = f"efficiency.variants.{algorithm}.{name}"
            _check_value(key, value)
            if name in TASK:
                raise ValueError(f"{key} changes the task, not the algorithm")
            settings[name] = _typed(key, value, sources.fields(algorithm))


def _check_value(key: str, value: object) -> None:
    """Refuse values that could not be one word of a command line."""
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str | int | float) or (isinstance(item, float) and math.isnan(item)):
            raise ValueError(f"{key}={value!r} is not a number, a word, true, false or a list of them")
        if isinstance(item, str) and not re.fullmatch(TEXT, item):
            raise ValueError(f"{key}={item!r} is not valid: use letters, digits and any of _ . , : + @ % = / -")


def _fields_of(algorithm: str, suite: Suite) -> dict[str, sources.Field]:
    """Return the settings that can be written below an algorithm's name; none of another project's are known."""
    if algorithm in suite.extra_algorithms:
        return {}
    return _all_fields() if algorithm == "all" else sources.fields(algorithm)


def _all_fields() -> dict[str, sources.Field]:
    """Return the settings that every algorithm of ours has."""
    tables = [sources.fields(name) for name in sources.algorithms()]
    return {name: field for name, field in tables[0].items() if all(name in table for table in tables)}


def _typed(key: str, value: object, fields: dict[str, sources.Field]) -> object:
    """Return a setting's value as the type of its field."""
    name = key.rpartition(".")[2]
    if name in sources.renamed():
        raise ValueError(f"{key}={value!r} is no longer a setting: write {sources.renamed()[name]}")
    _known(f"setting {key}:", [name], fields)
    kind = fields[name].kind
    if kind == "float" and not isinstance(value, bool):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if math.isnan(number):
            raise ValueError(f"{key}={value!r} is not a number")
        return number
    if kind == "int" and isinstance(value, str | float):
        value = _whole(value)
    for setting, values in EITHER.values():
        if name == setting and value not in values:
            raise ValueError(f"{key}={value!r} is not valid: choose from {', '.join(values)}")
    python = {"int": int, "bool": bool, "str": str}.get(kind)
    if python and type(value) is not python:
        raise ValueError(f"{key}={value!r} is not of type {kind}, which this setting has")
    return value


def _whole(value: str | float) -> object:
    """Return the whole number that a text such as 1e6 or a number such as 1000.0 stands for, or else the value."""
    try:
        return whole(value)
    except ValueError:
        return value


def _check_grids(suite: Suite) -> None:
    """Refuse grids over settings that the algorithm lacks, and tables whose columns have different published values."""
    for parameter, grid in suite.grids.items():
        if any(math.isnan(value) for value in grid["values"]):
            raise ValueError(f"grids.{parameter}.values={grid['values']!r} holds something that is no number")
        fields = sources.fields(grid["algorithm"])
        _known(f"setting of {grid['algorithm']}", [parameter], fields)
        values = {text(suite.published(parameter, scenario, grid["algorithm"])) for scenario in grid["scenarios"]}
        if parameter != SAFETY_BOUND and len(values) > 1:
            raise ValueError(f"settings give {parameter} the values {', '.join(sorted(values))}: a table needs one")
