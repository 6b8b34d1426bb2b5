"""Files in and out: CSV files are checked before anything is made of them, artefacts written whole.

Whatever a file holds, the answer is its content or a ValueError: one sentence that names the file. A command line turns
it into that sentence on stderr and exit code 2, before any file is touched.
"""

import argparse
import csv
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

LARGEST = 2**53  # whole numbers up to here are exact in float64
EMPTY = ("", "nan", "NaN")  # cells without a number


def table(path: str | Path, kind: str, needed: Sequence[str], known: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a CSV file as text, one row per line, empty cells as NaN.

    Args:
        path: the file.
        kind: what it should be, as in "a metrics file".
        needed: columns it must have.
        known: the columns that are returned, as far as it has them; None: all.

    Raises:
        ValueError: it is torn, not UTF-8, not rectangular, or lacks a column.
    """
    header, *found = rows(path, kind)
    absent = [column for column in needed if column not in header]
    if absent:
        raise ValueError(f"{path} lacks the column {absent[0]!r}; {kind} needs {', '.join(needed)}")
    cells = dict(zip(header, zip(*found, strict=True) if found else [()] * len(header), strict=True))
    kept = header if known is None else [name for name in known if name in cells]
    return pd.DataFrame({name: [None if cell in EMPTY else cell for cell in cells[name]] for name in kept}, dtype="str")


def rows(path: str | Path, kind: str, data: bytes | None = None) -> list[list[str]]:
    """Return header and rows of a CSV file as text, see `table`; `data`: its bytes, if they were read before."""
    try:
        return _rows(Path(path).read_bytes() if data is None else data)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is not {kind}: {error}") from None


def _rows(data: bytes) -> list[list[str]]:
    """Return header and rows of a CSV file, or raise ValueError with what is wrong."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8 text") from None
    if "\0" in text:
        raise ValueError("it holds NUL bytes")
    if not text.strip():
        raise ValueError("it is empty")
    if not text.endswith(("\n", "\r")):
        raise ValueError("its last line has no end, so it was torn or is still being written")
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    twice = [name for name in rows[0] if rows[0].count(name) > 1]
    if twice:
        raise ValueError(f"it has the column {twice[0]!r} twice")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise ValueError(f"its row {number} has {len(row)} cells where the header has {len(rows[0])}")
    return rows


def numbers(path: str | Path, column: pd.Series, whole: bool = False) -> pd.Series:
    """Return a column of text as float64 (int64 without gaps if `whole`), or name its first value that is no number."""
    found = pd.to_numeric(column, errors="coerce")
    if found.count() < column.count():
        wrong = column[found.isna() & column.notna()].iloc[0]
        raise ValueError(f"{path} holds {wrong!r} in column {column.name!r}, which should be a number")
    if not whole:
        return found.astype(float)
    if found.isna().any() or (found % 1 != 0).any() or (found.abs() > LARGEST).any():
        raise ValueError(f"{path} has a value in column {column.name!r} that is not a whole number")
    return found.astype(np.int64)


def write(base: str | Path, contents: Mapping[str, bytes | str]) -> None:
    """Write `base + suffix` for every suffix, each through a temporary file beside it.

    Args:
        base: path without suffix; its folder is created.
        contents: suffix (".csv") to content. All content exists in memory before the first file is replaced.
    """
    for suffix, content in contents.items():
        target = Path(f"{base}{suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, target)


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong option in one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with code 2."""
        self.exit(2, f"error: {message}\n")


def command(main: Callable[[], None]) -> None:
    """Run a command line; a ValueError or a file that cannot be read becomes one sentence and exit code 2."""
    try:
        main()
    except (OSError, ValueError) as error:
        sentence = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)
