"""How fast training runs, beside the physics it needs.

    python -m algorithms.benchmark --scenario ant_2x4 --algorithm mafocops --threads 2

After a warm-up iteration, each round trains one iteration at the given settings (16 x 1000 steps by default), then
steps the very same states with the very same controls again, on the same threads, with nothing but
`mujoco.batch.Batch.step`. The last line is the ratio of end-to-end FPS to that physics-only FPS, the limit no trainer
on this machine can pass; medians of rounds.
"""

import sys
import time
from pathlib import Path

import numpy as np

from .train import Parser, arguments, device_of, env_maker, refuse, task_of

COLUMNS = ("physics", "collect", "update", "end_to_end", "ratio")


class Recorder:
    """A vector environment that remembers the physics state and the controls of every step."""

    def __init__(self, env) -> None:
        """Wrap `env`; everything but `step` is its own."""
        self._env, self.states, self.controls = env, [], []

    def __getattr__(self, name: str):
        """Hand everything else to the wrapped environment."""
        return getattr(self._env, name)

    def step(self, actions: np.ndarray):
        """Step the wrapped environment and note what the physics started from."""
        self.states.append(self._env.batch.state.copy())
        step = self._env.step(actions)
        self.controls.append(self._env.batch.ctrl.copy())
        return step

    def replay(self) -> float:
        """Step the recorded states with the recorded controls and return steps per second, over all worlds."""
        batch, scenario = self._env.batch, self._env.scenario
        state, ctrl = batch.state, batch.bind("ctrl")
        robot = slice(0, scenario.agents * scenario.actions_per_agent)  # the obstacle's control is part of the state
        nstep = round(scenario.dt / batch.model.opt.timestep)
        kept = state.copy()
        start = time.perf_counter()
        for before, control in zip(self.states, self.controls, strict=True):
            state[:] = before
            ctrl[:, robot] = control[:, robot]
            batch.step(nstep=nstep)
        spent = time.perf_counter() - start
        state[:] = kept
        return len(self.states) * batch.nsim / spent


def measure(task, algorithm: type, threads: int, device, rounds: int) -> dict[str, float]:
    """Return the medians over `rounds` of physics, collect, update and end-to-end FPS and of their ratio."""
    import torch

    from .core.beside import peak_rss_mib
    from .core.learner import Learner, Sizes
    from .core.rollout import Collector
    from .run.run import bounds

    torch.set_num_threads(1)
    env = Recorder(env_maker(task, threads)())
    beside = threads > 1 and device.type == "cpu"
    learner = Learner(algorithm, task.config, Sizes.of(env), bounds(task.config, env), task.seed, device, beside)
    collector = Collector(env, task.config.rollout_length, task.seed)
    samples = task.config.num_envs * task.config.rollout_length
    found = []
    with torch.no_grad():
        for _ in range(1 + rounds):
            env.states, env.controls = [], []
            start = time.perf_counter()
            rollout = collector.collect(learner.policies())
            collected = time.perf_counter()
            learner.update(rollout)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            ended = time.perf_counter()
            physics, whole = env.replay(), samples / (ended - start)
            found.append(
                (physics, samples / (collected - start), samples / (ended - collected), whole, whole / physics)
            )
    medians = np.median(found[1:], axis=0)
    peak = peak_rss_mib() + (learner.beside.peak_rss_mib if learner.beside else 0)
    return dict(zip(COLUMNS, medians, strict=True)) | {"peak_rss_mib": peak}


def main() -> None:
    """Run the command line."""
    parser = Parser(
        prog="python -m algorithms.benchmark",
        description="Measure physics-only, collection, update and end-to-end FPS.",
        parents=[arguments(add_help=False)],
    )
    parser.add_argument("--rounds", type=int, default=3, help="iterations measured after the warm-up")
    options = parser.parse_args()
    try:
        task, algorithm = task_of(options)
        device = device_of(options.device)
        if options.rounds < 1:
            raise ValueError(f"--rounds {options.rounds} is out of range: it must be at least 1")
        found = measure(task, algorithm, options.threads, device, options.rounds)
    except ValueError as error:
        refuse(error)
    print(f"{task.scenario} {task.algorithm}, {options.threads} thread(s), {device.type}, steps per second:")
    for name in COLUMNS[:4]:
        print(f"{name.replace('_', ' '):>12} {found[name]:9.0f}")
    print(f"{'peak RSS':>12} {found['peak_rss_mib']:9.0f} MiB")
    print(f"ratio {found['ratio']:.2f}")
    if options.output:
        write_row(
            options.output, {"scenario": task.scenario, "algorithm": task.algorithm, "threads": options.threads} | found
        )


def write_row(path: Path, row: dict) -> None:
    """Write one measurement as a CSV of a header and a row."""
    from .run.folder import write_metrics

    path.parent.mkdir(parents=True, exist_ok=True)
    write_metrics(path, [row])


if __name__ == "__main__":
    sys.exit(main())
