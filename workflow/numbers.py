"""Numbers as people write them, on command lines and in configurations."""

import argparse
from decimal import Decimal, InvalidOperation

DIGITS = 18  # at most: a longer one is a slip


class NotWhole(argparse.ArgumentTypeError, ValueError):
    """A text is no whole number; argparse shows the sentence as it is."""


def whole(text: str) -> int:
    """Return a whole number written as 1000000, 1_000_000, 1e6 or 2.5e6.

    Raises:
        NotWhole: it is none, or has too many digits.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or number.adjusted() >= DIGITS or number != number.to_integral_value():
        raise NotWhole(f"{text!r} is not a whole number: write it as 1000000 or 1e6")
    return int(number)


def text(value: object) -> str:
    """Return a value as on a command line: 1, 2.2, 5e-05, 1e12, inf, true, 64,64."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.12g}".replace("e+", "e")
    return ",".join(map(text, value)) if isinstance(value, list | tuple) else str(value)
