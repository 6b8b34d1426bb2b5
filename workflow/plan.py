"""What is ahead: runs, hours, gigabytes, from measured frames per second.

Speeds come from this suite's own earlier runs where there are any, else from workflow/fps.csv (steps per second of one
run on one core: the benchmark's end-to-end column; of the hands, at the settings of hands.yaml, per second of processor
time on a busy machine). `python -m workflow.plan results/paper` rewrites the table from a finished suite.
"""

import argparse
import contextlib
import csv
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workflow import layout
from workflow.progress import PLAN, Planned, duration, last_row, part
from workflow.suite import Suite

TABLE = Path(__file__).with_name("fps.csv")
START_SECONDS = 5.0  # Python, torch and mujoco, before the first step
RUN_MEGABYTES = 2.5  # two checkpoints, policy, metrics and log of one run
PROCESS_GIGABYTES = 1  # what one training process is given, as rules/train.smk asks for; the hungriest takes 0.72


def speeds(folder: Path) -> dict[tuple[str, str], float]:
    """Return the environment steps per second of each (scenario, algorithm)."""
    with TABLE.open() as file:
        table = {(row["scenario"], row["algorithm"]): float(row["fps"]) for row in csv.DictReader(file)}
    return table | measured(folder)


def measured(folder: Path) -> dict[tuple[str, str], float]:
    """Return what the training runs in a suite's folder have reached, the median over them."""
    found: dict[tuple[str, str], list[float]] = {}
    for _, path in layout.found(folder):
        row = last_row(path) or {}
        with contextlib.suppress(KeyError, ValueError, ZeroDivisionError):  # trainers of other projects may not say
            speed = float(row["step"]) / float(row["wall_time"])
            if int(row["iteration"]) > 1:  # the first iteration alone warms up
                found.setdefault((row["scenario"], row["algorithm"]), []).append(speed)
    return {key: statistics.median(values) for key, values in found.items()}


def estimate(runs: Iterable[tuple[str, int, bool]], folder: Path, cores: int) -> list[Planned]:
    """Return runs, given as (metrics file, steps, ahead), with the wall time each adds when all cores are busy.

    A pair that was never measured is taken to be as fast as the median of its scenario.

    A timing run has the machine to itself, a training run shares it with as many others as there are cores.
    """
    table = speeds(folder)
    usual = {key[0]: statistics.median(v for k, v in table.items() if k[0] == key[0]) for key in table}
    overall = statistics.median(table.values())
    planned = []
    for metrics, steps, ahead in runs:
        run = layout.place_of(metrics)
        speed = table.get((run.scenario, run.algorithm), usual.get(run.scenario, overall))
        seconds = START_SECONDS + steps / speed
        planned.append(Planned(metrics, steps, seconds if run.kind == layout.TIMING else seconds / cores, ahead))
    return planned


def of_jobs(jobs: Iterable[Any], needed: Iterable[Any], suite: Suite, cores: int) -> list[Planned]:
    """Return the runs among Snakemake's jobs; those that are also in `needed` are ahead."""
    ahead, folder = set(needed), suite.folder
    found = [
        (path[path.index(folder) :], job in ahead)  # without the prefix of a storage
        for job in jobs
        for path in map(str, job.output)
        if Path(path).name == layout.METRICS
    ]
    steps = {layout.TIMING: suite.efficiency.get("steps"), layout.TRAINING: suite.steps}
    runs = ((path, steps[layout.place_of(path).kind], is_ahead) for path, is_ahead in found)
    return estimate(runs, Path(folder), cores)


def describe(runs: list[Planned], cores: int) -> str:
    """Return what is ahead, in one paragraph."""
    ahead = [run for run in runs if run.ahead]
    if not ahead:
        return "No run is ahead: everything needed is trained."
    timing = sum(layout.place_of(run.metrics).kind == layout.TIMING for run in ahead)
    # What an interrupted run has done will be continued; a complete one that is ahead is stale and starts afresh.
    left = sum(run.seconds * (1 - part(run) % 1) for run in ahead)
    steps = sum(run.steps for run in ahead)
    return (
        f"Ahead: {len(ahead) - timing} training runs and {timing} timing runs, {steps / 1e6:.4g} million environment "
        f"steps; about {duration(left)} for these on {cores} core{'s'[: cores > 1]}, "
        f"{len(ahead) * RUN_MEGABYTES / 1000:.2g} GB on disk, {cores * PROCESS_GIGABYTES:g} GB of memory "
        "(estimated from measured frames per second)."
    )


def write(runs: list[Planned], folder: Path) -> None:
    """Write the plan of all runs of a suite, finished or not, for `workflow.progress`."""
    plan = {"started": time.time(), "runs": [asdict(run) for run in runs]}
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{PLAN}.part"
    unfinished.write_text(json.dumps(plan, indent=0))
    os.replace(unfinished, folder / PLAN)


def main() -> None:
    """Command line: measure the speeds of a finished suite and write them to workflow/fps.csv."""
    parser = argparse.ArgumentParser(
        prog="python -m workflow.plan", description="Rewrite workflow/fps.csv from a suite."
    )
    parser.add_argument("folder", type=Path, help="such as results/paper")
    folder = parser.parse_args().folder
    found = measured(folder)
    if not found:
        print(f"error: {folder} holds no training run of two iterations or more", file=sys.stderr)
        sys.exit(2)
    unfinished = TABLE.with_suffix(".part")
    with unfinished.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["scenario", "algorithm", "fps"])
        writer.writerows([*key, f"{value:.0f}"] for key, value in speeds(folder).items())
    os.replace(unfinished, TABLE)


if __name__ == "__main__":
    main()
