"""Run one training command on behalf of a rule, so that a failure never blocks the figures of other runs.

    python -m workflow.attempt METRICS [--attempt 1/3 --identity TEXT --steps N --sources FILE ...] -- COMMAND ...

Continues an interrupted run of the same settings and sources. What any other left is cleared or, if it has rows, set
aside whole in a folder beside it (`seed0.stale-1`, then -2): nobody else has a copy. Output goes to train.log, which
survives retries. When the last attempt fails, METRICS is left with a header alone, which figures count as missing,
and failures.txt grows by a line; Snakemake sees its length in the rule's params and tries again at the next call.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from workflow import lock
from workflow.layout import METRICS
from workflow.numbers import whole
from workflow.progress import PLAN, failed, last_row, line

HEADER = "scenario,algorithm,variant,seed,iteration,step,fps,episode_return,episode_cost\n"
KEPT = {"train.log", "failures.txt", "lock"}
RECORD, BEFORE = "attempt.json", "metrics.before.csv"
HOPELESS = (2, 3)  # exit status of a command called wrongly, and of numbers gone infinite: they would do so again


def failures(folder: Path) -> dict[str, int]:
    """Return how often each run under a suite's folder has given up, by the path of its metrics file."""
    found = folder.glob("*/**/failures.txt")
    return {str(path.with_name(METRICS)): path.read_text().count("\n") for path in found}


def remember(metrics: Path) -> None:
    """Keep the rows of a run that is ahead in BEFORE: Snakemake deletes its metrics file before the attempt."""
    if last_row(metrics):
        before = metrics.with_name(BEFORE)
        before.unlink(missing_ok=True)
        try:
            os.link(metrics, before)
        except OSError:  # a file system without links
            shutil.copy2(metrics, before)


def given_up(folder: Path) -> list[str]:
    """Return a line for each run under a suite's folder that has given up."""
    gone = [Path(path).parent for path in failures(folder) if failed(Path(path))]
    return [
        f"failed and missing from its figures: {run} (see train.log there; the next call tries again)\n" for run in gone
    ]


def prepare(folder: Path, identity: str, steps: int, sources: list[str]) -> None:
    """Keep what this run can continue; set aside or clear what another version of it left in the folder."""
    digest = hashlib.sha256(b"\0".join(Path(name).read_bytes() for name in sources)).hexdigest()
    record, new = folder / RECORD, {"identity": identity, "sources": digest, "steps": steps}
    old = json.loads(record.read_text()) if record.exists() else new
    if any(old[key] != new[key] for key in ("identity", "sources")) or old["steps"] > steps:
        metrics, before = folder / METRICS, folder / BEFORE
        if before.exists() and not metrics.exists():
            os.replace(before, metrics)
        before.unlink(missing_ok=True)
        if last_row(metrics):
            aside = set_aside(folder)
            print(f"{folder} held a run of other settings, steps or sources: it is now {aside}", flush=True)
        for path in _left(folder):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / BEFORE).unlink(missing_ok=True)
    replace(record, json.dumps(new))


def set_aside(folder: Path) -> Path:
    """Move what a run left into a new folder beside its own, with a copy of its log, and return that folder."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.stale-{number}")).exists():
        number += 1
    aside.mkdir()
    for path in _left(folder):
        os.replace(path, aside / path.name)
    if (folder / "train.log").exists():
        shutil.copy2(folder / "train.log", aside)
    return aside


def _left(folder: Path) -> list[Path]:
    """Return what a run left; metrics and record at the end, so that a crash in between leaves a run to set aside."""
    last = (METRICS, RECORD)
    found = [path for path in folder.iterdir() if path.name not in KEPT]
    return sorted(found, key=lambda path: last.index(path.name) if path.name in last else -1)


def replace(path: Path, text: str) -> None:
    """Let `path` hold `text`, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    os.replace(part, path)


def run(command: list[str], log: Path, held: IO[str]) -> int:
    """Run a command with its output appended to `log`; hand a request to stop on to it, wait, and stop as well.

    The command shares the lock `held`: if this process is killed and the command lives on, the folder stays locked.
    """
    stopped: list[int] = []
    with log.open("a") as file:
        print(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(command)}", file=file, flush=True)
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, pass_fds=[held.fileno()])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda caught, _: (stopped.append(caught), child.send_signal(caught)))
        status = child.wait()
    if stopped:
        sys.exit(128 + stopped[0])
    return status


def give_up(metrics: Path, status: int) -> None:
    """Leave a metrics file without rows and note the failure."""
    replace(metrics, HEADER)
    with metrics.with_name("failures.txt").open("a") as file:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} exit status {status}, see train.log", file=file)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m workflow.attempt", description="Run one training command.")
    parser.add_argument("metrics", type=Path, help="the metrics.csv that the command makes")
    parser.add_argument("--attempt", default="1/1", metavar="K/N", help="which attempt this is, of how many")
    parser.add_argument("--identity", default="", help="what must agree for a run to be continued")
    parser.add_argument("--steps", type=whole, default=0, help="environment steps of the run")
    parser.add_argument("--sources", nargs="*", default=[], metavar="FILE", help="source files of the run")
    split = sys.argv.index("--")
    options, command = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]
    folder, metrics = options.metrics.parent, options.metrics
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        lock.wait(held)  # a run orphaned by a crash may still be writing: wait for it
        prepare(folder, options.identity, options.steps, options.sources)
        status = run(command, folder / "train.log", held)
        if status == 0 and not metrics.exists():
            status = 1
    if status != 0:
        print("\n".join((folder / "train.log").read_text().splitlines()[-20:]), file=sys.stderr)
        attempt, of = map(int, options.attempt.split("/"))
        if attempt < of and status not in HOPELESS:
            sys.exit(1)
        give_up(metrics, status)
    plans = (parent / PLAN for parent in folder.parents)
    if plan := next((path for path in plans if path.exists()), None):
        with contextlib.suppress(ValueError):  # the run counts, not the plan
            print(f"{'gave up' if status else 'finished'} {folder} {line(plan, time.time())}", flush=True)


if __name__ == "__main__":
    main()
