"""Metrics files of a suite in binary, so that each is parsed once and not once per figure.

The workflow's own folders have one, in a file that SQLite keeps whole under concurrent jobs; an entry counts as long as
the file's size and time of change, and the code that parses, are what they were. Nothing depends on it: what cannot be
kept or found is read from the file itself. Deleting it costs time alone.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workflow import layout

NAME = ".metrics.sqlite"
MARK = "plan.json"  # the workflow writes it: folders without it are somebody's own, and nothing is added to them
PATIENCE = 600  # seconds that a job waits for another one that is reading
TABLE = "CREATE TABLE IF NOT EXISTS runs (path TEXT PRIMARY KEY, state TEXT, identity TEXT, numbers BLOB)"


class Entry(NamedTuple):
    """One file: what tells its run apart, and its numbers (rows, columns) in float64."""

    identity: list
    numbers: np.ndarray


@cache
def _code() -> str:
    """Return a digest of the modules that parse."""
    here = Path(__file__).parent
    parts = [(here / f"{name}.py").read_bytes() for name in ("cache", "files", "results")]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def entries(paths: Sequence[str], parse: Callable[[str], Entry]) -> list[Entry]:
    """Return `parse(path)` of every file, in their order, from the caches of their suites where it is there.

    Raises:
        ValueError: what `parse` raises.
    """
    suites: dict[Path | None, list[str]] = {}
    for path in paths:
        suites.setdefault(_suite(path), []).append(path)
    found: dict[str, Entry] = {}
    for suite, here in suites.items():
        with contextlib.suppress(sqlite3.Error):
            found |= _kept(suite, here, parse) if suite else {}
    return [found[path] if path in found else parse(path) for path in paths]


def _suite(path: str) -> Path | None:
    """Return the suite's folder of a run if the workflow has made it."""
    try:
        suite = layout.split(path)[0]
    except ValueError:
        return None
    return suite if (suite / MARK).exists() else None


def _kept(suite: Path, paths: Sequence[str], parse: Callable[[str], Entry]) -> dict[str, Entry]:
    """Return the entries of one suite; those that are not there yet are parsed and added by one job at a time."""
    keys = {path: (os.path.relpath(path, suite), _state(path)) for path in paths}
    with contextlib.closing(sqlite3.connect(suite / NAME, timeout=PATIENCE, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(TABLE)
        found = dict(_look(connection, keys))
        if len(found) < len(keys):
            connection.execute("BEGIN IMMEDIATE")
            found |= _look(connection, {path: key for path, key in keys.items() if path not in found})
            for path in [path for path in paths if path not in found]:
                found[path] = parse(path)
                identity, numbers = found[path]
                row = (*keys[path], json.dumps([identity, numbers.shape]), numbers.tobytes())
                connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", row)
            connection.execute("COMMIT")
    return found


def _state(path: str) -> str:
    """Return what changes whenever a file or the code that parses it does."""
    found = os.stat(path)
    return f"{found.st_size} {found.st_mtime_ns} {_code()}"


def _look(connection: sqlite3.Connection, keys: dict[str, tuple[str, str]]) -> Iterator[tuple[str, Entry]]:
    """Yield the files whose entry is there and still counts."""
    for path, key in keys.items():
        row = connection.execute("SELECT identity, numbers FROM runs WHERE path = ? AND state = ?", key)
        for described, numbers in row:
            identity, shape = json.loads(described)
            yield path, Entry(identity, np.frombuffer(numbers).reshape(shape))
