"""What fault trials are made of: a training run in a forked process, ways to kill it, and the judgement afterwards.

A fork of the test process has torch and mujoco loaded, so that a trial takes a fraction of a second. Children run the
command line's own `main` and save after every iteration.
"""

import gc
import math
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from algorithms import evaluate, train
from algorithms.run import checkpoint
from algorithms.run import run as run_module
from algorithms.run.signals import end_at_once

from .conftest import TINY
from .test_run import lasting, rows_of

ITERATIONS = 8


def command(folder: Path, scenario: str = "halfcheetah_2x3", algorithm: str = "mafocops", more: tuple = ()) -> list:
    """Return the arguments of a run of `ITERATIONS` iterations."""
    task = ["--scenario", scenario, "--algorithm", algorithm, "--steps", str(100 * ITERATIONS), "--device", "cpu"]
    return [*task, "--set", *TINY, *more, "--variant", "tiny", "--output", str(folder)]


def identity(arguments: list) -> dict:
    """Return the identity of the run that a command line asks for."""
    return train.task_of(train.arguments().parse_args(arguments))[0].identity()


def start(arguments: list, log: Path, fault: Callable[[], object] = lambda: None) -> int:
    """Train in a fork, with `fault` called in it first, its output going to `log`; return the process id."""
    log.unlink(missing_ok=True)
    if pid := os.fork():
        while not log.exists():  # from then on it answers signals as a run does
            time.sleep(0.001)
        return pid
    status = 70
    try:
        end_at_once()
        gc.freeze()  # objects of the parent's whose threads do not exist here must not be collected here
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
        run_module.CHECKPOINT_INTERVAL, run_module.CHECKPOINT_SHARE = 0.0, math.inf
        fault()
        sys.argv = ["train", *arguments]
        train.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def wait(pid: int) -> int:
    """Return the exit status of a child, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def train_forked(arguments: list, log: Path, fault: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """Train in a fork; return its exit status and output."""
    status = wait(start(arguments, log, fault))
    return status, log.read_text()


def at_call(number: int, happens: Callable[[], object], after: bool = False, names=("fsync", "replace")) -> Callable:
    """Return a fault: `happens` before or after the `number`-th call to the functions `names` of `os`."""

    def install() -> None:
        calls = Counter()

        def watched(function: Callable) -> Callable:
            def call(*args):
                calls["all"] += 1
                now = calls["all"] == number
                if now and not after:
                    happens()
                result = function(*args)
                if now and after:
                    happens()
                return result

            return call

        for name in names:
            setattr(os, name, watched(getattr(os, name)))

    return install


def at_iteration(number: int, happens: Callable[[], object]) -> Callable:
    """Return a fault: `happens` before the `number`-th iteration of the process."""

    def install() -> None:
        iterate, begun = run_module.Run.iterate, []

        def watched(run) -> dict:
            begun.append(0)
            if len(begun) == number:
                happens()
            return iterate(run)

        run_module.Run.iterate = watched

    return install


def limit_file_size(size: int, action=signal.SIG_IGN) -> None:
    """Let writes beyond `size` bytes fail, or kill this process in the middle of one (SIG_DFL)."""
    signal.signal(signal.SIGXFSZ, action)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def send(number: int) -> None:
    """Send this process a signal."""
    os.kill(os.getpid(), number)


def kill_somewhere(rng: random.Random, arguments: list, log: Path, duration: float, size: int) -> str | None:
    """Kill a run at a random moment and return the kind of moment; None if it was complete before.

    Args:
        rng: chooses kind and moment.
        arguments: of the command line.
        log: where the output goes.
        duration: of a whole run, in seconds.
        size: of a checkpoint, in bytes.
    """
    kind = rng.choice(("any moment", "at a sync or rename", "in the middle of a write"))
    if kind == "any moment":
        pid = start(arguments, log)
        time.sleep(rng.uniform(0, duration))
        os.kill(pid, signal.SIGKILL)
    elif kind == "at a sync or rename":
        number, after = rng.randint(1, 5 * ITERATIONS), rng.random() < 0.5
        pid = start(arguments, log, at_call(number, lambda: send(signal.SIGKILL), after))
    else:
        limit = rng.randint(1, size)
        pid = start(arguments, log, lambda: limit_file_size(limit, signal.SIG_DFL))
    status = wait(pid)
    assert status in (0, -signal.SIGKILL, -signal.SIGXFSZ), log.read_text()
    return kind if status else None


def kept(folder: Path) -> bool:
    """Return whether a killed run's checkpoints are whole and the newest misses one row of metrics at most."""
    files = [folder / name for name in (checkpoint.NEWEST, checkpoint.PREVIOUS)]
    saved = [checkpoint.read(path)["learner"]["iteration"] for path in files if path.exists()]
    rows = len(rows_of(folder)) if (folder / "metrics.csv").exists() else 0
    return max(saved, default=0) >= rows - 1


def outcome(folder: Path) -> dict:
    """Return what must be the same after any fault: metrics but for time and memory, policy, evaluation."""
    arguments, sys.argv = sys.argv, ["evaluate", str(folder), "--episodes", "1"]
    try:
        evaluate.main()
    finally:
        sys.argv = arguments
    files = {name: (folder / name).read_bytes() for name in ("policy.pt", "evaluation.csv")}
    left_over = [path.name for path in folder.iterdir() if path.suffix in (".part", ".lock")]
    return files | {"metrics.csv": lasting(folder), "left over": left_over}


class Trials:
    """Counts trials and losses by kind of fault; a loss is a run that did not end with the undisturbed run's bytes."""

    def __init__(self, place: Path) -> None:
        """Keep undisturbed runs under `place`."""
        self.place, self.tried, self.lost, self.faults = place, Counter(), Counter(), Counter()
        self.kills: Counter[str] = Counter()  # by kind of moment
        self._whole: dict[tuple, tuple[dict, float]] = {}

    def whole(self, scenario: str = "halfcheetah_2x3", algorithm: str = "mafocops") -> tuple[dict, float]:
        """Return the outcome and the seconds of the run without faults."""
        key = (scenario, algorithm)
        if key not in self._whole:
            folder, begun = self.place / "-".join(key), time.perf_counter()
            status, text = train_forked(command(folder, *key), self.place / "log")
            spent = time.perf_counter() - begun
            assert status == 0, text
            self._whole[key] = outcome(folder), spent
        return self._whole[key]

    def finish(self, kind: str, folder: Path, *key: str, faults: int = 1) -> bool:
        """Train to the end without faults; count the trial and return whether the outcome is the undisturbed run's."""
        status, text = train_forked(command(folder, *key), self.place / "log")
        good = status == 0 and outcome(folder) == self.whole(*key)[0]
        self.tried[kind] += 1
        self.faults[kind] += faults
        if not good:
            self.lost[kind] += 1
            print(f"lost ({kind}): {folder}, status {status}\n{text}")
        return good

    def report(self) -> list[str]:
        """Return a line for each kind, and the sum."""
        lines = [f"{k}: {n} trials, {self.faults[k]} faults, {self.lost[k]} lost" for k, n in self.tried.items()]
        total = f"in all: {self.tried.total()} trials, {self.faults.total()} faults, {self.lost.total()} lost"
        kills = [f"kills: {', '.join(f'{number} {kind}' for kind, number in self.kills.items())}"] * bool(self.kills)
        return ["fault trials", *lines, *kills, total]
