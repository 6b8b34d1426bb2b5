"""One training run: iterations of collecting and learning, a row of metrics each, and checkpoints.

A run is a pure function of (scenario, algorithm, settings, seed, steps): interrupted and resumed it writes the same
rows, but for the columns of time and memory.
"""

import math
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from .config import Config
from .folder import Task, append_metrics, check, replace, write_metrics, write_record
from .learner import Learner, Sizes
from .memory import gpu_process_mib, peak_rss_mib, update_peak
from .rollout import Collector

CHECKPOINT_INTERVAL = 30.0  # seconds of training that an interruption may cost


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
        self.complete = check(folder, task)
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

    @torch.inference_mode()
    def train(self, report: Callable[[dict, float], None]) -> None:
        """Train to the end; `report(row, seconds_left)` is called after every iteration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._record("running")
        write_metrics(self.folder / "metrics.csv", self.rows)
        stopped = _on_termination()
        saved = time.perf_counter()
        while self.learner.iteration < self.iterations:
            row = self.iterate()
            append_metrics(self.folder / "metrics.csv", row)
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
        replace(self.folder / "policy.pt", lambda path: torch.save(policy, path))
        self._record("complete")

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

    def _record(self, status: str) -> None:
        write_record(self.folder / "run.json", self.task, status, self.wall_time, self.device)

    def _save_checkpoint(self) -> None:
        state = {
            "identity": self.task.identity(),
            "learner": self.learner.state_dict(),
            "collector": self.collector.state_dict(),
            "rows": self.rows,
            "wall_time": self.wall_time,
        }
        replace(self.folder / "checkpoint.pt", lambda path: torch.save(state, path))

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


def _on_termination() -> list[int]:
    """Return a list that receives the signal's number once the process is asked to end; the run then saves first."""
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _: received.append(caught))
    return received
