"""How far a suite is, and what each of its runs is doing.

    python -m workflow.progress results/paper

Prints `[12/40 runs, 31 % of the training steps, about 35 min left]`. Reads plan.json, which the workflow writes when it
starts, and the last line of each metrics file; it can be called at any time while the suite runs.

A run is waiting, running, stalled (begun, but silent for long), failed (gave up: counted as missing, tried again by the
next call), complete, or evaluated (complete with an evaluation.csv).
"""

import argparse
import contextlib
import csv
import json
import math
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from envs.scenarios import bound_of
from workflow import layout, lock

PLAN = "plan.json"
PATIENCE = 60.0  # a run that wrote nothing for so long, and for five of its iterations, is stalled


@dataclass(frozen=True)
class Planned:
    """One run: its metrics file, its environment steps, the seconds it adds to the suite, whether it is still ahead."""

    metrics: str
    steps: int
    seconds: float
    ahead: bool


class Cost(NamedTuple):
    """A cost of the last iteration beside its bound; `name` is empty where it is the only one."""

    name: str
    value: float | None
    bound: float | None


@dataclass(frozen=True)
class Run:
    """What one run is doing; a number is None where its file does not tell."""

    place: layout.Place
    state: str
    steps: int  # that it shall make
    step: float | None = None
    episode_return: float | None = None
    costs: tuple[Cost, ...] = ()
    fps: float | None = None
    left: float | None = None  # seconds

    @property
    def name(self) -> str:
        """Return what tells the run from others; the variant `default` goes without saying."""
        scenario, algorithm, variant, seed = self.place[1:]
        kind = ["timing"] if self.place.kind == layout.TIMING else []
        return " ".join([scenario, algorithm, *kind, *([variant] if variant != layout.DEFAULT else []), str(seed)])


def last_row(metrics: Path) -> dict[str, str] | None:
    """Return the last row of a metrics file: empty where there is none yet, None where the file is absent."""
    try:
        with metrics.open("rb") as file:
            header = file.readline().decode(errors="replace").rstrip("\r\n").split(",")
            file.seek(max(file.tell(), os.fstat(file.fileno()).st_size - 4096))
            rows = file.read().split(b"\n")[:-1]  # a line without its end is still being written
        row = next(csv.reader([rows[-1].decode(errors="replace")]), []) if rows else []
    except OSError:
        return None
    except csv.Error:  # a file of another project that is none: its figures will say so
        return {}
    return dict(zip(header, row, strict=False))


def failed(metrics: Path) -> bool:
    """Return whether a run has given up: only its header was left."""
    return metrics.with_name("failures.txt").exists() and last_row(metrics) == {}


def part(run: Planned) -> float:
    """Return the completed part of a run by its metrics file, 0 to 1; a run that gave up has no work left."""
    path = Path(run.metrics)
    if failed(path):
        return 1.0
    return min(1.0, (_number(last_row(path) or {}, "step") or 0.0) / run.steps)


def done(runs: list[Planned], since: float) -> list[float]:
    """Return the completed part of each run; what a run that is ahead left before `since` (epoch seconds) is void."""
    return [0.0 if run.ahead and _modified(Path(run.metrics)) < since else part(run) for run in runs]


def look(run: Planned, since: float, now: float) -> Run:
    """Return what a run of the plan made at `since` is doing `now` (both epoch seconds)."""
    path = Path(run.metrics)
    row, written = last_row(path) or {}, _modified(path)
    recent = max(written, _modified(path.with_name("train.log")))
    old = run.ahead and written < since  # left by an earlier call of the workflow, not yet continued or made again
    if old:
        row = {}
    step = _number(row, "step")
    if failed(path) and not old:
        state = "failed"
    elif not run.ahead or (step or 0) >= run.steps:
        state = "evaluated" if _modified(path.with_name(layout.EVALUATION)) >= written > 0 else "complete"
    elif recent >= since and now - recent < max(PATIENCE, 5 * (_seconds(row) or 0)):
        state = "running"
    elif row:
        state = "stalled"
    else:
        # a trainer of another project may write only at its end
        state = "running" if lock.held(path.with_name("lock")) else "waiting"
    return Run(layout.place_of(path), state, run.steps, step, **_numbers(row, run.steps))


def _numbers(row: dict[str, str], steps: int) -> dict[str, float | None]:
    """Return what the last row of a run of `steps` says, by field of `Run`."""
    step, spent, fps = (_number(row, name) for name in ("step", "wall_time", "fps"))
    pace = step / spent if step and spent else fps
    return {
        "episode_return": _number(row, "episode_return"),
        "costs": _costs(row),
        "fps": fps,
        "left": max(steps - step, 0) / pace if step is not None and pace else None,
    }


def _costs(row: dict[str, str]) -> tuple[Cost, ...]:
    """Return each cost of a run with its bound; empty where there is no row."""
    names = [name.removeprefix("bound_") for name in row if name.startswith("bound_")]
    each = [Cost(name, _number(row, f"episode_cost_{name}"), _number(row, f"bound_{name}")) for name in names]
    return tuple(each or ([Cost("", _number(row, "episode_cost"), _bound(row))] if row else []))


def _bound(row: dict[str, str]) -> float | None:
    """Return the bound of a run; a foreign file need not tell."""
    bound = _number(row, "bound")
    if bound is None:
        with contextlib.suppress(ValueError):
            bound = bound_of(row.get("scenario", ""), row.get("variant", ""))
    return bound


def _number(row: dict[str, str], name: str) -> float | None:
    """Return a finite number of a row, None where there is none."""
    with contextlib.suppress(KeyError, ValueError):
        if math.isfinite(value := float(row[name])):
            return value
    return None


def _seconds(row: dict[str, str]) -> float | None:
    """Return how long an iteration of a run takes."""
    step, iteration, fps = (_number(row, name) for name in ("step", "iteration", "fps"))
    return step / iteration / fps if step and iteration and fps else None


def _modified(path: Path) -> float:
    """Return when a file was last written, 0 if it is absent."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def read(plan: Path) -> tuple[list[Planned], float]:
    """Return the runs of a plan, their metrics files in the plan's folder, and when it was made (epoch seconds).

    Raises:
        ValueError: there is no plan in that file.
    """
    try:
        content = json.loads(plan.read_bytes())
        runs, started = [Planned(**entry) for entry in content["runs"]], float(content["started"])
        # A plan names its files from the repository; the reader may be elsewhere, the files are beside it.
        places = [layout.place_of(run.metrics) for run in runs]
        return [replace(run, metrics=place.file(plan.parent)) for run, place in zip(runs, places, strict=True)], started
    except OSError:
        raise ValueError(f"{plan} does not exist: start the workflow first, it writes its plan there") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{plan} is not a plan: start the workflow again, it writes its plan there") from None


def line(plan: Path, now: float) -> str:
    """Return the sentence on a suite; `now` in seconds since the epoch.

    Raises:
        ValueError: there is no plan in that file.
    """
    runs, started = read(plan)
    parts = done(runs, started)
    ahead = sum(run.seconds for run in runs if run.ahead)
    seen = sum(run.seconds * part for run, part in zip(runs, parts, strict=True) if run.ahead)
    # The plan's seconds come from measured speeds; once enough was seen, this call's own pace corrects them.
    pace = (now - started) / seen if seen > 0.02 * ahead else 1.0
    made = sum(run.steps * part for run, part in zip(runs, parts, strict=True))
    gone = sum(failed(Path(run.metrics)) for run in runs)
    fields = [
        f"{sum(part >= 1 for part in parts)}/{len(runs)} runs",
        *([f"{gone} failed"] if gone else []),
        f"{100 * made / max(sum(run.steps for run in runs), 1):.0f} % of the training steps",
        f"about {duration((ahead - seen) * pace)} left" if ahead > seen else "nothing left to train",
    ]
    return f"[{', '.join(fields)}]"


def duration(seconds: float) -> str:
    """Return a duration in words, rounded to what an estimate is worth."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m workflow.progress", description="Say how far a suite is.")
    parser.add_argument("folder", type=Path, help="such as results/paper")
    try:
        print(line(parser.parse_args().folder / PLAN, time.time()))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
