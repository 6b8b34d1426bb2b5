"""Settings shared by all tests here: one torch thread, reproducible examples, and a way to train inside the process.

Starting a process costs three seconds, so runs are made through the same functions as the command line, without it.
"""

import signal
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from algorithms.run.run import Run
from algorithms.train import arguments, env_maker, task_of

torch.set_num_threads(1)
settings.register_profile("algorithms", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("algorithms")

TINY = (
    *("num_envs=2", "rollout_length=50", "minibatch_size=25", "epochs=2"),
    *("critic_minibatch_size=25", "critic_epochs=1"),
)


@pytest.fixture(autouse=True)
def signal_handlers():
    """Give back the handlers of SIGINT and SIGTERM, which a run takes over."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def make_run():
    """Return a function that makes a tiny Run as the command line would, on the CPU."""

    def make(folder: Path, scenario="halfcheetah_2x3", algorithm="mafocops", seed=0, steps=300, threads=1, more=()):
        command = ["--scenario", scenario, "--algorithm", algorithm, "--seed", str(seed), "--steps", str(steps)]
        task, kind = task_of(arguments().parse_args([*command, "--set", *TINY, *more, "--variant", "tiny"]))
        return Run(task, kind, folder, env_maker(task, threads), torch.device("cpu"), threads=threads)

    return make
