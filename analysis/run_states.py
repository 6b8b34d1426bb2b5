"""What each run of a suite is doing, from its folder: state, last numbers, time left.

States: waiting, running, stalled (begun, but silent for long), failed (gave up: counted as missing, tried again by the
next call), complete, and evaluated (complete with an evaluation.csv).
"""

import contextlib
import fcntl
import math
from dataclasses import dataclass
from pathlib import Path

from envs.scenarios import SCENARIOS
from workflow import progress

PATIENCE = 60.0  # a run that wrote nothing for so long, and for five of its iterations, is stalled


@dataclass(frozen=True)
class Run:
    """One run as shown; a number is None where its file does not tell."""

    scenario: str
    algorithm: str
    variant: str  # "timing" for the runs of Tables 1 and 2
    seed: str
    state: str
    steps: int  # that it shall make
    step: float | None = None
    episode_return: float | None = None
    cost: float | None = None
    bound: float | None = None
    fps: float | None = None
    left: float | None = None  # seconds

    @property
    def name(self) -> str:
        """Return what tells the run from others; the variant `default` goes without saying."""
        return " ".join(part for part in (self.scenario, self.algorithm, self.variant, self.seed) if part != "default")


def look(run: progress.Planned, since: float, now: float) -> Run:
    """Return what a run of the plan made at `since` is doing `now` (both epoch seconds)."""
    path = Path(run.metrics)
    row, written = progress.last_row(path) or {}, _modified(path)
    recent = max(written, _modified(path.with_name("train.log")))
    if run.ahead and written < since:  # left by an earlier call of the workflow, not yet continued or made again
        row = {}
    step = _number(row, "step")
    if progress.failed(path) and not (run.ahead and written < since):
        state = "failed"
    elif not run.ahead or (step or 0) >= run.steps:
        state = "evaluated" if _modified(path.with_name("evaluation.csv")) >= written > 0 else "complete"
    elif recent >= since and now - recent < max(PATIENCE, 5 * (_seconds(row) or 0)):
        state = "running"
    elif row:
        state = "stalled"
    else:
        state = "running" if _held(path.with_name("lock")) else "waiting"
    return Run(*_identity(path), state, run.steps, step, **_numbers(row, run.steps))


def _identity(path: Path) -> tuple[str, str, str, str]:
    """Return scenario, algorithm, variant and seed from the place of a metrics file."""
    scenario, algorithm, *variant, seed, _ = path.parts[-4 if path.parts[-5] == progress.TIMING else -5 :]
    return scenario, algorithm, *(variant or ["timing"]), seed.removeprefix("seed").removeprefix("repeat")


def _numbers(row: dict[str, str], steps: int) -> dict[str, float | None]:
    """Return what the last row of a run of `steps` says, by field of `Run`."""
    step, spent, fps = (_number(row, name) for name in ("step", "wall_time", "fps"))
    pace = step / spent if step and spent else fps
    return {
        "episode_return": _number(row, "episode_return"),
        "cost": _number(row, "episode_cost"),
        "bound": _bound(row),
        "fps": fps,
        "left": max(steps - step, 0) / pace if step is not None and pace else None,
    }


def _bound(row: dict[str, str]) -> float | None:
    """Return the bound of a run; a foreign file need not tell: its variant may, else it is the scenario's."""
    name, _, value = row.get("variant", "").partition("=")
    scenario = SCENARIOS.get(row.get("scenario", ""))
    published = scenario.bound if scenario else None
    named = _number({name: value}, "safety_bound")
    return next((found for found in (_number(row, "bound"), named, published) if found is not None), None)


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


def _held(lock: Path) -> bool:
    """Return whether `workflow.attempt` is at work on a run: trainers of other projects may write only at their end."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
