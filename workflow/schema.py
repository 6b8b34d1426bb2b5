"""Keys, types and ranges of a configuration, checked against schemas/config.schema.yaml.

Values are cast to the schema's types, so that `5e-5`, which YAML reads as text, and lists given by `--config` mean what
they say.
"""

import re
from pathlib import Path

import jsonschema
import yaml

from workflow.numbers import whole

SCHEMA = Path(__file__).with_name("schemas") / "config.schema.yaml"
WORD = r"[A-Za-z0-9_][A-Za-z0-9_-]*"  # of keys


def checked(config: object) -> dict:
    """Return a configuration with its values cast.

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
    return config


def _cast(value: object, schema: dict) -> object:
    """Return `value` with texts turned into the numbers that the schema asks for, where they are numbers.

    A part of the schema that is null is left out.
    """
    if isinstance(value, dict):
        known, other = schema.get("properties", {}), schema.get("additionalProperties")
        other = other if isinstance(other, dict) else {}
        left_out = {
            key for key, item in value.items() if item is None and (key in known or other.get("type") == "string")
        }
        given = {key: item for key, item in value.items() if key not in left_out}
        return {key: _cast(item, known.get(key, other)) for key, item in given.items()}
    if value is None and schema.get("type") == "object":
        return {}
    if isinstance(value, list | tuple):
        return [_cast(item, schema.get("items", {})) for item in value]
    number = {"integer": whole, "number": float}.get(str(schema.get("type")))
    if number and (isinstance(value, str) or (number is whole and isinstance(value, float))):
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
