"""The folder of a run: metrics.csv and run.json, and whether a folder may be continued.

Files appear whole or not at all: they are written beside their place and moved.
"""

import csv
import dataclasses
import json
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

from .config import Config
from .memory import peak_rss_mib


@dataclass(frozen=True)
class Task:
    """What to train: everything that identifies a run."""

    scenario: str
    algorithm: str
    variant: str
    seed: int
    steps: int
    config: Config

    def settings(self) -> dict:
        """Return the settings as plain data; infinity becomes a word, so that it is valid JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self.config)).replace("Infinity", '"inf"'))

    def identity(self) -> dict:
        """Return what must agree for a run to be continued."""
        return dataclasses.asdict(self) | {"config": self.settings()}


def check(folder: Path, task: Task) -> bool:
    """Return whether `folder` holds this run complete.

    Raises:
        ValueError: it holds another run, or something that is no run.
    """
    path = folder / "run.json"
    if path.exists():
        found = json.loads(path.read_text())
        wanted = task.identity()
        for name in ("scenario", "algorithm", "variant", "seed"):
            if found.get(name) != wanted[name]:
                raise ValueError(
                    f"{folder} holds another run: its {name} is {found.get(name)}, not {wanted[name]}; "
                    "choose another --output"
                )
        changed = [k for k, v in wanted["config"].items() if found["settings"].get(k) != v]
        if changed:
            old, new = found["settings"].get(changed[0]), wanted["config"][changed[0]]
            raise ValueError(f"{folder} holds a run with {changed[0]}={old}, not {new}; choose another --output")
        if found["steps"] > task.steps:
            raise ValueError(f"{folder} holds a run of {found['steps']} steps, more than {task.steps}; choose another")
        return found["status"] == "complete" and found["steps"] == task.steps
    if (folder / "metrics.csv").exists():
        raise ValueError(f"{folder} holds a metrics.csv but no run.json, so it is no run of ours; choose another")
    return False


def write_metrics(path: Path, rows: list[dict]) -> None:
    """Write `rows` as a CSV file, metrics.csv or another; without rows, an empty file."""

    def write(part: Path) -> None:
        with part.open("w", newline="") as file:
            if rows:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(map(_cells, rows))

    replace(path, write)


def append_metrics(path: Path, row: dict) -> None:
    """Append a row to metrics.csv, with the header if it is the first."""
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if not file.tell():
            writer.writeheader()
        writer.writerow(_cells(row))


def _cells(row: dict) -> dict:
    """Return the row as text; short, but exact to the last digit that matters."""
    return {k: f"{v:.8g}" if isinstance(v, float) else v for k, v in row.items()}


def write_record(path: Path, task: Task, status: str, wall_time: float, device: torch.device) -> None:
    """Write run.json: what was run, on what, and whether it is complete."""
    record = {
        "scenario": task.scenario,
        "algorithm": task.algorithm,
        "variant": task.variant,
        "seed": task.seed,
        "steps": task.steps,
        "status": status,
        "wall_time": round(wall_time, 2),
        "peak_rss_mib": round(peak_rss_mib(), 1),
        "settings": task.settings(),
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in ("torch", "mujoco", "numpy")},
        "hardware": {
            "machine": platform.machine(),
            "cores": psutil.cpu_count(logical=False),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "system": platform.system(),
        },
    }
    replace(path, lambda part: part.write_text(json.dumps(record, indent=1) + "\n"))


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside `path`, then move it into place."""
    part = path.with_name(path.name + ".part")
    write(part)
    os.replace(part, path)


def _commit() -> str | None:
    """Return the commit of the source tree, if it is one."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
