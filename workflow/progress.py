"""How far a suite is.

    python -m workflow.progress results/paper

Prints `[12/40 runs, 31 % of the training steps, about 35 min left]`. Reads plan.json, which the workflow writes when it
starts, and the last line of each metrics file; it can be called at any time while the suite runs.
"""

import argparse
import csv
import json
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from workflow import layout

PLAN = "plan.json"


@dataclass(frozen=True)
class Planned:
    """One run: its metrics file, its environment steps, the seconds it adds to the suite, whether it is still ahead."""

    metrics: str
    steps: int
    seconds: float
    ahead: bool


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
    row = last_row(path)
    if failed(path):
        return 1.0
    try:
        return min(1.0, float(row["step"]) / run.steps) if row and "step" in row else 0.0
    except ValueError:  # a file of another project that is none: its figures will say so
        return 0.0


def done(runs: list[Planned], since: float) -> list[float]:
    """Return the completed part of each run; what a run that is ahead left before `since` (epoch seconds) is void."""
    return [0.0 if run.ahead and _modified(run.metrics) < since else part(run) for run in runs]


def _modified(path: str) -> float:
    """Return when a file was last written, 0 if it is absent."""
    try:
        return os.path.getmtime(path)
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
        return [replace(run, metrics=_beside(plan, run.metrics)) for run in runs], started
    except OSError:
        raise ValueError(f"{plan} does not exist: start the workflow first, it writes its plan there") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{plan} is not a plan: start the workflow again, it writes its plan there") from None


def _beside(plan: Path, metrics: str) -> str:
    """Return a run's file where the plan is now: it names it from the repository, the reader may be elsewhere."""
    return layout.place_of(metrics).file(plan.parent)


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
