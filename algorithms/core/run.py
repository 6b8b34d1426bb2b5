"""One training run and its folder: metrics.csv, checkpoint.pt, policy.pt, run.json.

A run is a pure function of (scenario, algorithm, settings, seed, steps): interrupted and resumed it writes the same
rows, but for the columns of time and memory. Files appear whole or not at all: they are written beside their place
and moved.
"""

import csv
import dataclasses
import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
import torch

from .config import Config
from .learner import Learner, Sizes
from .memory import gpu_process_mib, peak_rss_mib, update_peak
from .rollout import Collector

CHECKPOINT_INTERVAL = 30.0  # seconds of training that an interruption may cost


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


class Run:
    """A training run bound to its folder."""

    def __init__(
        self,
        task: Task,
        algorithm: type,
        folder: Path,
        make_env: Callable[[], object],
        device: torch.device,
        trace_memory: bool = False,
    ) -> None:
        """Create or continue the run in `folder`; `make_env` is called unless the run is complete.

        Raises:
            ValueError: the folder holds another run, or something that is no run.
        """
        self.task, self.folder, self.device, self.trace_memory = task, folder, device, trace_memory
        self.complete = self._check_folder()
        if self.complete:
            return
        torch.set_num_threads(1)  # minibatches are too small to share; one thread also means one order of summation
        config = task.config
        self.env = make_env()
        bound = bounds(config, self.env)
        sizes = Sizes(self.env.num_agents, self.env.num_costs, self.env.observation_size, self.env.action_size)
        self.learner = Learner(algorithm, config, sizes, bound, task.seed, device)
        self.collector = Collector(self.env, config.rollout_length, task.seed)
        self.rows: list[dict] = []
        self.wall_time = 0.0
        self.per_iteration = config.num_envs * config.rollout_length
        self.iterations = math.ceil(task.steps / self.per_iteration)
        if (folder / "checkpoint.pt").exists():
            self._restore()

    def _check_folder(self) -> bool:
        """Return whether the run is complete already; refuse a folder that holds something else."""
        path = self.folder / "run.json"
        if path.exists():
            found = json.loads(path.read_text())
            wanted = self.task.identity()
            for name in ("scenario", "algorithm", "variant", "seed"):
                if found.get(name) != wanted[name]:
                    raise ValueError(
                        f"{self.folder} holds another run: its {name} is {found.get(name)}, not {wanted[name]}; "
                        "choose another --output"
                    )
            changed = [k for k, v in wanted["config"].items() if found["settings"].get(k) != v]
            if changed:
                old, new = found["settings"].get(changed[0]), wanted["config"][changed[0]]
                raise ValueError(
                    f"{self.folder} holds a run with {changed[0]}={old}, not {new}; choose another --output"
                )
            if found["steps"] > self.task.steps:
                raise ValueError(
                    f"{self.folder} holds a run of {found['steps']} steps, more than {self.task.steps}; choose another"
                )
            return found["status"] == "complete" and found["steps"] == self.task.steps
        if (self.folder / "metrics.csv").exists():
            raise ValueError(
                f"{self.folder} holds a metrics.csv but no run.json, so it is no run of ours; choose another"
            )
        return False

    @torch.inference_mode()
    def train(self, report: Callable[[dict, float], None]) -> None:
        """Train to the end; `report(row, seconds_left)` is called after every iteration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_run("running")
        self._write_metrics()
        stopped = _on_termination()
        saved = time.perf_counter()
        while self.learner.iteration < self.iterations:
            row = self.iterate()
            self._append_metrics(row)
            report(row, (self.iterations - self.learner.iteration) * self.wall_time / self.learner.iteration)
            if stopped or time.perf_counter() - saved > CHECKPOINT_INTERVAL:
                self._save_checkpoint()
                saved = time.perf_counter()
            if stopped:
                sys.exit(128 + stopped[0])
        self._save_checkpoint()
        policy = {
            "actors": [actor.theta.cpu() for actor in self.learner.policies()],
            "observation_size": self.env.observation_size,
            "action_size": self.env.action_size,
            "settings": self.task.settings(),
        }
        _replace(self.folder / "policy.pt", lambda path: torch.save(policy, path))
        self._write_run("complete")

    @torch.inference_mode()
    def iterate(self) -> dict:
        """Collect one rollout, learn from it, and return its row of metrics."""
        learner, device = self.learner, self.device
        start = time.perf_counter()
        rollout = self.collector.collect(learner.policies())
        collected = time.perf_counter()
        last = learner.iteration + 1 == self.iterations
        held = [rollout.observation, rollout.action, *(actor.theta for actor in learner.actors)]
        with update_peak(device, self.trace_memory and last, held) as memory:
            shared, own = learner.update(rollout)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        ended = time.perf_counter()
        self.wall_time += ended - start
        row = self._row(rollout.episodes, shared, own)
        row["fps_collect"] = self.per_iteration / (collected - start)
        row["fps_update"] = self.per_iteration / (ended - collected)
        row["fps"] = self.per_iteration / (ended - start)
        row["memory_update_mib"], row["memory_gpu_mib"] = memory.get("mib"), gpu_process_mib(device)
        self.rows.append(row)
        return row

    def _row(self, episodes: np.ndarray, shared: dict, own: dict) -> dict:
        """Return the row of an iteration; cells without a value are empty."""
        task, bound = self.task, self.learner.bound
        mean = episodes.mean(0) if len(episodes) else [None] * episodes.shape[1]
        cost = float(np.sum(mean[2:])) if len(episodes) else None
        row = {
            "scenario": task.scenario,
            "algorithm": task.algorithm,
            "variant": task.variant,
            "seed": task.seed,
            "iteration": self.learner.iteration,
            "step": self.learner.iteration * self.per_iteration,
            "wall_time": self.wall_time,
            "fps_collect": None,
            "fps_update": None,
            "fps": None,
            "episodes": len(episodes),
            "episode_return": mean[0],
            "episode_cost": cost,
            "episode_length": mean[1],
            "bound": bound.sum(),
            "violation": None if cost is None else float(np.max(mean[2:] - bound)),
            **shared,
            "memory_update_mib": None,
            "memory_rss_mib": peak_rss_mib(),
            "memory_gpu_mib": None,
        }
        if len(bound) > 1:
            for name, value, limit in zip(self.env.cost_names, mean[2:], bound, strict=True):
                row |= {f"episode_cost_{name}": value, f"bound_{name}": limit}
        return row | {f"{task.algorithm}_{name}": value for name, value in own.items()}

    def _write_metrics(self) -> None:
        """Write the rows so far: what a checkpoint does not cover is dropped and will be made again."""

        def write(path: Path) -> None:
            with path.open("w", newline="") as file:
                if self.rows:
                    writer = csv.DictWriter(file, list(self.rows[0]), lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(map(_cells, self.rows))

        _replace(self.folder / "metrics.csv", write)

    def _append_metrics(self, row: dict) -> None:
        with (self.folder / "metrics.csv").open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if len(self.rows) == 1:
                writer.writeheader()
            writer.writerow(_cells(row))

    def _write_run(self, status: str) -> None:
        record = {
            "scenario": self.task.scenario,
            "algorithm": self.task.algorithm,
            "variant": self.task.variant,
            "seed": self.task.seed,
            "steps": self.task.steps,
            "status": status,
            "wall_time": round(self.wall_time, 2),
            "peak_rss_mib": round(peak_rss_mib(), 1),
            "settings": self.task.settings(),
            "commit": _commit(),
            "versions": {"python": platform.python_version()} | {p: version(p) for p in ("torch", "mujoco", "numpy")},
            "hardware": {
                "machine": platform.machine(),
                "cores": psutil.cpu_count(logical=False),
                "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
                "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
                "system": platform.system(),
            },
        }
        _replace(self.folder / "run.json", lambda path: path.write_text(json.dumps(record, indent=1) + "\n"))

    def _save_checkpoint(self) -> None:
        state = {
            "identity": self.task.identity(),
            "learner": self.learner.state_dict(),
            "collector": self.collector.state_dict(),
            "rows": self.rows,
            "wall_time": self.wall_time,
        }
        _replace(self.folder / "checkpoint.pt", lambda path: torch.save(state, path))

    def _restore(self) -> None:
        path = self.folder / "checkpoint.pt"
        state = torch.load(path, map_location="cpu", weights_only=False)
        if state["identity"] | {"steps": None} != self.task.identity() | {"steps": None}:
            raise ValueError(f"{path} belongs to another run or other settings; choose another --output")
        self.learner.load_state_dict(state["learner"])
        self.collector.load_state_dict(state["collector"])
        self.rows, self.wall_time = state["rows"], state["wall_time"]


def bounds(config: Config, env) -> np.ndarray:
    """Return the bound of each cost (C,): `safety_bound`, or the scenario's published one.

    Raises:
        ValueError: the number of bounds does not fit the number of costs.
    """
    given = config.safety_bound or (env.scenario.bound,) * env.num_costs
    if len(given) != env.num_costs:
        names = ", ".join(env.cost_names)
        raise ValueError(
            f"safety_bound={','.join(map(str, given))} has {len(given)} values: this task has {env.num_costs} ({names})"
        )
    return np.array(given, float)


def _cells(row: dict) -> dict:
    """Return the row as text; short, but exact to the last digit that matters."""
    return {k: f"{v:.8g}" if isinstance(v, float) else v for k, v in row.items()}


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside `path`, then move it into place."""
    part = path.with_name(path.name + ".part")
    write(part)
    os.replace(part, path)


def _on_termination() -> list[int]:
    """Return a list that receives the signal's number once the process is asked to end; the run then saves first."""
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _: received.append(caught))
    return received


def _commit() -> str | None:
    """Return the commit of the source tree, if it is one."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
