"""The folder of a run: its files, and whether it may be continued.

Files appear whole or not at all, also after a power failure: they are written beside their place, synced and moved.
"""

import contextlib
import csv
import dataclasses
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow import foreign

from ..core.config import Config, current


@dataclass(frozen=True)
class Task:
    """What to train: everything that identifies a run."""

    scenario: str
    algorithm: str
    variant: str
    seed: int
    steps: int
    config: Config
    task_version: int

    def settings(self) -> dict:
        """Return the settings as plain data; infinity becomes a word, so that it is valid JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self.config)).replace("Infinity", '"inf"'))

    def identity(self) -> dict:
        """Return what must agree for a run to be continued."""
        return dataclasses.asdict(self) | {"config": self.settings()} | foreign.line(self.scenario)


def check(folder: Path, task: Task) -> bool:
    """Return whether `folder` holds this run complete.

    Raises:
        ValueError: it holds another run, or something that is no run.
    """
    found, wanted = read_record(folder), task.identity()
    if found:
        for name in ("scenario", "algorithm", "variant", "seed", "task_version"):
            if found.get(name) != wanted[name]:
                raise ValueError(
                    f"{folder} holds another run: its {name} is {found.get(name)}, not {wanted[name]}; "
                    "choose another --output"
                )
        old = (found.get(foreign.RECORD) or {}) | current(found["settings"])
        new = wanted.get(foreign.RECORD, {}) | wanted["config"]
        if changed := [name for name in new if old.get(name) != new[name]]:
            name = changed[0]
            raise ValueError(
                f"{folder} holds a run with {name}={old.get(name)}, not {new[name]}; choose another --output"
            )
        if found["steps"] > task.steps:
            raise ValueError(f"{folder} holds a run of {found['steps']} steps, more than {task.steps}; choose another")
        whole = all((folder / name).exists() for name in ("metrics.csv", "policy.pt"))
        return whole and found["status"] == "complete" and found["steps"] == task.steps
    if (folder / "metrics.csv").exists():
        raise ValueError(f"{folder} holds a metrics.csv but no run.json, so it is no run of ours; choose another")
    return False


def read_record(folder: Path) -> dict | None:
    """Return what run.json holds, None if there is none.

    Raises:
        ValueError: it is no run's record.
    """
    path = folder / "run.json"
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(
            f"{path} is not the record of a run; choose another --output, or delete it and metrics.csv to go on from "
            "the checkpoint"
        )
    return found


def write_record(folder: Path, record: dict) -> None:
    """Write run.json."""
    replace(folder / "run.json", f"{json.dumps(record, indent=1)}\n".encode())


def write_metrics(path: Path, rows: list[dict]) -> None:
    """Write `rows` as a CSV file, metrics.csv or another; without rows, an empty file."""
    replace(path, _csv(rows, header=True))


def append_metrics(path: Path, row: dict) -> None:
    """Append a row to metrics.csv, with the header if it is the first; whole or, if that fails, not at all.

    Raises:
        OSError: there is no room, or another reason.
    """
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("ab") as file:
            file.write(_csv([row], header=not size))
    except OSError as error:
        os.truncate(path, size)
        raise OSError(error.errno, error.strerror, str(path)) from None


def _csv(rows: list[dict], header: bool) -> bytes:
    """Return rows as CSV; numbers are short, but exact to the last digit that matters."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        if header:
            writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.8g}" if isinstance(v, float | np.floating) else v for k, v in row.items()})
    return text.getvalue().encode()


def replace(path: Path, data: bytes) -> None:
    """Let `path` hold `data`.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    os.replace(write_part(path, data), path)
    sync(path.parent)


def write_part(path: Path, data: bytes) -> Path:
    """Write `data` to the disk beside `path` and return the file, for the caller to move."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None
    return part


def sync(folder: Path) -> None:
    """Let the names of the files in `folder` survive a power failure, where the file system can promise that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
