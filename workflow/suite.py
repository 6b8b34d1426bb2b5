"""A suite: everything one configuration file asks for, checked before anything runs.

A mistake raises ValueError with one sentence: the key, its value and the valid choices. Values are cast to the schema's
types, so that `5e-5`, which YAML reads as text, and lists given by `--config` mean what they say.
"""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import yaml

from envs.scenarios import SCENARIOS, Scenario
from workflow import sources

SCHEMA = Path(__file__).with_name("schemas") / "config.schema.yaml"
DEFAULT = "default"  # the variant that has the suite's settings as they are
WORD = r"[A-Za-z0-9_][A-Za-z0-9_-]*"  # of keys
TEXT = r"[A-Za-z0-9_.,:+@%=/-]+"  # of settings: nothing that a shell would read as more than a word
LEGACY = "legacy"  # the variant that has the errors of the original code as well
TASK = ("walls", "observation", "partition", "costs", "safety_bound")  # settings that change what is learned


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
    benchmark: dict
    environment: dict
    extra_algorithms: dict
    note: str

    @property
    def folder(self) -> str:
        """The results' folder: options that change the task show in its name, so that results never mix."""
        return ",".join([f"results/{self.name}", *(f"{k}={v}" for k, v in sorted(self.environment.items()))])

    @property
    def caption(self) -> str:
        """The sentence every caption ends with."""
        options = ", ".join(f"{k}={v}" for k, v in sorted(self.environment.items()))
        return " ".join(filter(None, [self.note, f"Environment options: {options}." if options else ""]))

    def settings_of(self, scenario: str, algorithm: str, variant: str = DEFAULT) -> dict[str, object]:
        """Return the merged settings of a run that differ from the code's defaults; the more specific entry wins."""
        merged = dict(self.environment)
        for table in (self.settings.get("all", {}), self.settings.get(algorithm, {})):
            for place in places(SCENARIOS[scenario]):
                merged |= table.get(place, {})
        name, equals, value = variant.partition("=")
        return merged | ({name: value} if equals else {})

    def published(self, parameter: str, scenario: str) -> object:
        """Return the value that the main runs use for a grid's parameter on a scenario."""
        algorithm = self.grids[parameter]["algorithm"]
        if parameter == "safety_bound":
            return SCENARIOS[scenario].bound
        return self.settings_of(scenario, algorithm).get(parameter, sources.fields(algorithm)[parameter].default)

    def variant(self, parameter: str, value: object, scenario: str) -> str:
        """Return the variant that has `parameter` at `value`: the main runs themselves where they use it."""
        return DEFAULT if text(value) == text(self.published(parameter, scenario)) else f"{parameter}={text(value)}"


def places(scenario: Scenario) -> list[str]:
    """Return where a setting of this scenario can be written, from general to specific."""
    length = [f"{scenario.family}_{scenario.segments}_segments"] if scenario.segments else []
    return ["all", scenario.family, *length, scenario.name]


def text(value: object) -> str:
    """Return a value as on a command line and in paths: 1, 2.2, 5e-05, inf, true, 64,64."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.12g}"
    return ",".join(map(text, value)) if isinstance(value, list | tuple) else str(value)


def load(config: dict) -> Suite:
    """Check a configuration and return it as a suite.

    Raises:
        ValueError: the first mistake, in one sentence.
    """
    schema = yaml.safe_load(SCHEMA.read_text())
    try:
        config = _cast(config, schema)
    except RecursionError:
        raise ValueError("the configuration contains itself, by an anchor inside its own value") from None
    _check_keys(config)
    errors = jsonschema.Draft202012Validator(schema).iter_errors(config)
    if error := jsonschema.exceptions.best_match(errors):
        raise ValueError(_sentence(error))
    optional = ("settings", "grids", "legacy", "benchmark", "environment", "extra_algorithms")
    given = {key: value for key, value in config.items() if value is not None}
    filled = {key: {} for key in optional} | {"note": ""} | given
    for key in ("seeds", "scenarios", "algorithms"):
        filled[key] = tuple(filled[key])
    suite = Suite(**filled)
    _check_names(suite)
    _check_settings(suite)
    _check_grids(suite)
    return suite


def _cast(value: object, schema: dict) -> object:
    """Return `value` with texts turned into the numbers that the schema asks for, where they are numbers."""
    if isinstance(value, dict):
        known, other = schema.get("properties", {}), schema.get("additionalProperties")
        other = other if isinstance(other, dict) else {}
        return {key: _cast(item, known.get(key, other)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cast(item, schema.get("items", {})) for item in value]
    number = {"integer": int, "number": float}.get(str(schema.get("type")))
    text_or_whole = isinstance(value, str) or (number is int and isinstance(value, float) and value.is_integer())
    if number and text_or_whole:
        try:
            return number(value)
        except ValueError:
            return value
    return value


def _check_keys(value: object, where: str = "the configuration") -> None:
    """Refuse keys that are no words: they become parts of paths and command lines."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not (isinstance(key, str) and re.fullmatch(WORD, key)):
                raise ValueError(f"the key {key!r} in {where} is not a name: use letters, digits, _ and -")
            _check_keys(item, key)
    elif isinstance(value, list):
        for item in value:
            _check_keys(item, where)


def _sentence(error: jsonschema.ValidationError) -> str:
    """Return what is wrong with a configuration, in words of the configuration."""
    key = ".".join(map(str, error.absolute_path))
    where = f" in {key}" if key else " in the configuration"
    match error.validator:
        case "additionalProperties" | "propertyNames":
            known = error.schema.get("properties", {})
            unknown = [name for name in error.instance if name not in known]
            return f"unknown key {unknown[0]!r}{where}: choose from {', '.join(known)}"
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            return f"the key {missing[0]!r} is missing{where}"
        case "type":
            kinds = error.validator_value
            words = {"integer": "a whole number", "array": "a list", "object": "a mapping of keys to values"}
            words["null"] = "null"
            wanted = [words.get(kind, f"a {kind}") for kind in ([kinds] if isinstance(kinds, str) else kinds)]
            return f"{key}={error.instance!r} is not {' or '.join(wanted)}"
        case "enum":
            return f"{key}={error.instance!r} is not valid: choose from {', '.join(map(str, error.validator_value))}"
        case "minimum" | "exclusiveMinimum" | "maximum":
            limit = {"minimum": "at least", "exclusiveMinimum": "greater than", "maximum": "at most"}[error.validator]
            return f"{key}={error.instance!r} is out of range: it must be {limit} {error.validator_value}"
        case "uniqueItems":
            return f"{key}={error.instance!r} names something twice"
        case "minItems":
            return f"{key} is an empty list: it needs at least one entry"
        case "pattern":
            return f"{key}={error.instance!r} is not valid: {error.schema['x-allowed']}"
    return f"{key}={error.instance!r} is not valid: {error.message}"


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
    _known("algorithm", suite.algorithms, valid)
    _known("algorithm in efficiency", suite.efficiency["algorithms"], valid)
    _known("scenario", suite.scenarios, SCENARIOS)
    _known("scenario in efficiency", suite.efficiency["scenarios"], SCENARIOS)
    _known("scenario in legacy", suite.legacy.get("scenarios", ()), SCENARIOS)
    both = [name for name in ours if LEGACY in sources.variants(name)]
    _known("algorithm in legacy", suite.legacy.get("algorithms", ()), both)
    _known("scenario in benchmark", suite.benchmark.get("scenarios", ()), SCENARIOS)
    _known("algorithm in benchmark", suite.benchmark.get("algorithms", ()), ours)
    for parameter, grid in suite.grids.items():
        _known(f"scenario in grids.{parameter}", grid["scenarios"], SCENARIOS)
        _known(f"algorithm in grids.{parameter}", [grid["algorithm"]], ours)
    for name, path in suite.extra_algorithms.items():
        if not os.path.isfile(path):  # unlike Path.is_file it has an answer for every text
            raise ValueError(f"extra_algorithms.{name}={path!r} is no file: give the path of its rules")


def _check_settings(suite: Suite) -> None:
    """Refuse settings that no code reads, values of another type, and settings that change the task."""
    ours = sources.algorithms()
    _known("algorithm in settings", suite.settings, ("all", *ours, *suite.extra_algorithms))
    valid_places = dict.fromkeys(place for scenario in SCENARIOS.values() for place in places(scenario))
    for algorithm, table in suite.settings.items():
        _known(f"place in settings.{algorithm}", table, valid_places)
        for place, entries in table.items():
            for name, value in entries.items():
                key = f"settings.{algorithm}.{place}.{name}"
                _check_value(key, value)
                if name in TASK:
                    instead = "grids" if name == "safety_bound" else "environment"
                    raise ValueError(f"{key} changes the task, not the algorithm: write it under {instead}")
                if algorithm not in suite.extra_algorithms:
                    table[place][name] = _typed(
                        key, value, _all_fields() if algorithm == "all" else sources.fields(algorithm)
                    )


def _check_value(key: str, value: object) -> None:
    """Refuse values that could not be one word of a command line."""
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str | int | float) or (isinstance(item, float) and math.isnan(item)):
            raise ValueError(f"{key}={value!r} is not a number, a word, true, false or a list of them")
        if isinstance(item, str) and not re.fullmatch(TEXT, item):
            raise ValueError(f"{key}={item!r} is not valid: use letters, digits and any of _ . , : + @ % = / -")


def _all_fields() -> dict[str, sources.Field]:
    """Return the settings that every algorithm of ours has."""
    tables = [sources.fields(name) for name in sources.algorithms()]
    return {name: field for name, field in tables[0].items() if all(name in table for table in tables)}


def _typed(key: str, value: object, fields: dict[str, sources.Field]) -> object:
    """Return a setting's value as the type of its field."""
    name = key.rpartition(".")[2]
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
    python = {"int": int, "bool": bool, "str": str}.get(kind)
    if python and type(value) is not python:
        raise ValueError(f"{key}={value!r} is not of type {kind}, which this setting has")
    return value


def _check_grids(suite: Suite) -> None:
    """Refuse grids over settings that the algorithm lacks, and tables whose columns have different published values."""
    for parameter, grid in suite.grids.items():
        if any(math.isnan(value) for value in grid["values"]):
            raise ValueError(f"grids.{parameter}.values={grid['values']!r} holds something that is no number")
        fields = sources.fields(grid["algorithm"])
        _known(f"setting of {grid['algorithm']}", [parameter], fields)
        values = {text(suite.published(parameter, scenario)) for scenario in grid["scenarios"]}
        if parameter != "safety_bound" and len(values) > 1:
            raise ValueError(f"settings give {parameter} the values {', '.join(sorted(values))}: a table needs one")
