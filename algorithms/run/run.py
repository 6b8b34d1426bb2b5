"""One training run: iterations of collecting and learning, a row of metrics each, and checkpoints.

On one kind of CPU a run is a pure function of (scenario, algorithm, settings, seed, steps): interrupted and resumed it
writes the same rows, but for the columns of time and memory.
"""

import io
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ..core.beside import peak_rss_mib
from ..core.config import Config
from ..core.learner import Learner, Sizes
from ..core.networks import NotFinite
from ..core.rollout import Collector, Rollout
from . import checkpoint
from .folder import Task, append_metrics, check, read_record, replace, write_metrics, write_record
from .memory import gpu_process_mib, update_peak
from .provenance import now, provenance
from .signals import end_after_iteration

CHECKPOINT_INTERVAL = 30.0  # seconds of training that an interruption may cost
CHECKPOINT_SHARE = 0.02  # of the time may go into saving: where the disk is slow, checkpoints are further apart


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
        threads: int = 1,
    ) -> None:
        """Create or continue the run in `folder`; `make_env` is called unless the run is complete.

        Two processes must not do so at once: see `lock.locked`. With more than one of `threads`, which are those of the
        physics, the critics learn beside the actors.

        Raises:
            ValueError: the folder holds another run, something that is no run, or a checkpoint of neither.
        """
        self.task, self.folder, self.device, self.trace_memory = task, folder, device, trace_memory
        self.complete = check(folder, task)
        if self.complete:
            return
        torch.set_num_threads(1)  # minibatches are too small to share; one thread also means one order of summation
        config = task.config
        self.env = make_env()
        bound = bounds(config, self.env)
        beside = threads > 1 and device.type == "cpu"
        self.learner = Learner(algorithm, config, Sizes.of(self.env), bound, task.seed, device, beside)
        self.collector = Collector(self.env, config.rollout_length, task.seed)
        self.rows: list[dict] = []
        self.wall_time = 0.0
        self.provenance = provenance(device, threads)
        self.per_iteration = config.num_envs * config.rollout_length
        self.iterations = math.ceil(task.steps / self.per_iteration)
        if state := checkpoint.load(folder, task.identity()):
            self._restore(state)

    @torch.no_grad()
    def train(self, report: Callable[[dict, float], None]) -> None:
        """Train to the end; `report(row, seconds_left)` is called after every iteration.

        Asked to end by SIGTERM or Ctrl-C, it finishes the iteration, saves and exits with 128 + the signal's number.

        Raises:
            OSError: a file cannot be written; what was there before is untouched, and the run can be continued.
            NotFinite: a number became infinite or NaN; fault.pt holds what it was computed from.
        """
        stopped = end_after_iteration()
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in self.folder.glob("*.part"):
            part.unlink()
        record = self._begin()
        self._tell_bounds()
        write_metrics(self.folder / "metrics.csv", self.rows)
        due = time.perf_counter() + CHECKPOINT_INTERVAL
        while self.learner.iteration < self.iterations:
            try:
                row = self.iterate()
            except NotFinite as error:
                self._save_fault(error)
                raise
            append_metrics(self.folder / "metrics.csv", row)
            report(row, (self.iterations - self.learner.iteration) * self.wall_time / self.learner.iteration)
            if stopped or time.perf_counter() > due:
                spent = self._save_checkpoint()
                due = time.perf_counter() + max(CHECKPOINT_INTERVAL, spent / CHECKPOINT_SHARE)
                if stopped:  # before or while saving: in either case nothing is lost
                    sys.exit(128 + stopped[0])
        self._save_checkpoint()
        write_metrics(self.folder / "metrics.csv", self.rows)  # whatever others did to the file meanwhile
        self._save_policy()
        write_record(self.folder, record | {"status": "complete", "ended": now()} | self._spent())

    @torch.no_grad()
    def iterate(self) -> dict:
        """Collect one rollout, learn from it, and return its row of metrics."""
        learner, device = self.learner, self.device
        start = time.perf_counter()
        rollout = self.collector.collect(learner.policies())
        collected = time.perf_counter()
        for world in np.flatnonzero(rollout.unstable):
            print(
                f"warning: iteration {learner.iteration + 1}: the simulation of world {world} became unstable "
                f"{rollout.unstable[world]} time(s); the episode ended there",
                file=sys.stderr,
            )
        last = learner.iteration + 1 == self.iterations
        networks = [*learner.actors, *learner.critics.networks]
        held = [rollout.observation, rollout.action, *(tensor for network in networks for tensor in network.kept())]
        with update_peak(device, self.trace_memory and last, held) as memory:
            shared, own = learner.update(rollout)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        ended = time.perf_counter()
        self.wall_time += ended - start
        row = self._row(rollout, shared, own)
        row["fps_collect"] = self.per_iteration / (collected - start)
        row["fps_update"] = self.per_iteration / (ended - collected)
        row["fps"] = self.per_iteration / (ended - start)
        row["memory_update_mib"], row["memory_gpu_mib"] = memory.get("mib"), gpu_process_mib(device)
        row = {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
        self.rows.append(row)
        return row

    def _row(self, rollout: Rollout, shared: dict, own: dict) -> dict:
        """Return the row of an iteration; cells without a value are empty."""
        task, bound, episodes = self.task, self.learner.bound, rollout.episodes
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
            "memory_rss_mib": self._peak_rss_mib(),
            "memory_gpu_mib": None,
            "unstable": int(rollout.unstable.sum()),
        }
        if len(bound) > 1:
            for name, value, limit in zip(self.env.cost_names, mean[2:], bound, strict=True):
                row |= {f"episode_cost_{name}": value, f"bound_{name}": limit}
        return row | {f"{task.algorithm}_{name}": value for name, value in own.items()}

    def _begin(self) -> dict:
        """Write and return the run's record: what is run, on what, since when and after how many interruptions."""
        earlier = read_record(self.folder)
        self._compare(earlier or {})
        record = {
            **{name: value for name, value in self.task.identity().items() if name != "config"},
            "status": "running",
            "started": earlier["started"] if earlier else now(),
            "ended": None,
            "resumes": earlier["resumes"] + 1 if earlier else 0,
            **self._spent(),
            "settings": self.task.settings(),
            **self.provenance,
        }
        write_record(self.folder, record)
        return record

    def _compare(self, before: dict) -> None:
        """Say so if the run was begun on another device, by other instructions of the CPU or with other networks."""
        records = [(found.get("hardware") or {}) | found for found in (before, self.provenance)]
        names = {"device": "device", "capability": "instructions", "networks": "networks"}
        pairs = {what: [record.get(key) for record in records] for key, what in names.items()}
        changed = {what: pair for what, pair in pairs.items() if pair[0] not in (None, pair[1])}
        if changed:
            old, new = (", ".join(f"{pair[k]} {what}" for what, pair in changed.items()) for k in (0, 1))
            print(
                f"warning: {self.folder} was begun with {old} and goes on with {new}: they round otherwise, so the "
                "numbers agree, but not to the last bit",
                file=sys.stderr,
            )

    def _tell_bounds(self) -> None:
        """Say so if several costs each have the published bound of one."""
        bound, names = self.learner.bound, self.env.cost_names
        if len(bound) > 1 and not self.task.config.safety_bound:
            each = ",".join(f"{limit:g}" for limit in bound)
            print(
                f"note: each cost ({', '.join(names)}) has the published bound of {bound[0]:g}, {bound.sum():g} in "
                f"all; --set safety_bound={each} would be the same, and sets each",
                file=sys.stderr,
            )

    def _spent(self) -> dict:
        return {"wall_time": round(self.wall_time, 2), "peak_rss_mib": round(self._peak_rss_mib(), 1)}

    def _peak_rss_mib(self) -> float:
        """Return the peak of this process and of the one beside it."""
        return peak_rss_mib() + (self.learner.beside.peak_rss_mib if self.learner.beside else 0)

    def _save_checkpoint(self) -> float:
        """Save everything the rest of the run depends on and return the seconds it took."""
        start = time.perf_counter()
        state = {
            "identity": self.task.identity(),
            "learner": self.learner.state_dict(),
            "collector": self.collector.state_dict(),
            "rows": self.rows,
            "wall_time": self.wall_time,
        }
        checkpoint.save(self.folder, state)
        return time.perf_counter() - start

    def _save_policy(self) -> None:
        policy = {
            "actors": [actor.named() for actor in self.learner.policies()],
            "observation_size": self.env.observation_size,
            "action_size": self.env.action_size,
            "settings": self.task.settings(),
        }
        buffer = io.BytesIO()  # torch.save would write a file's name into the file
        torch.save(policy, buffer)
        replace(self.folder / "policy.pt", buffer.getvalue())

    def _save_fault(self, error: NotFinite) -> None:
        """Keep what is not finite, and tell where: a dict of tensors in fault.pt."""
        error.place = f"iteration {self.learner.iteration + 1}: {error.place}"
        buffer = io.BytesIO()
        torch.save({name: torch.as_tensor(array).cpu() for name, array in error.arrays.items()}, buffer)
        replace(self.folder / "fault.pt", buffer.getvalue())

    def _restore(self, state: dict) -> None:
        self.learner.load_state_dict(state["learner"])
        self.collector.load_state_dict(state["collector"])
        self.rows, self.wall_time = state["rows"], state["wall_time"]
        if self.learner.iteration > self.iterations:
            raise ValueError(
                f"{self.folder} holds a checkpoint after {self.learner.iteration} iterations, more than "
                f"{self.task.steps} steps; choose another --output"
            )


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
