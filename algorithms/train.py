"""Train one algorithm on one scenario.

    python -m algorithms.train --scenario ant_2x4 --algorithm mafocops --seed 0 --steps 10000000 --output results/mine

Resumes from the output folder if it holds a checkpoint of the same settings, refuses if they differ, and does nothing
if the run is complete. On a terminal it shows a progress bar, elsewhere plain lines.

Exit status: 0 complete; 1 a file could not be written or an error of the program; 2 called wrongly or the folder is in
use; 3 a number became infinite or NaN; 128 + n ended by signal n. After all but 2 and 3 the same command continues.
"""

import argparse
import contextlib
import importlib
import re
import sys
import time
from pathlib import Path

import torch

import envs
from workflow import foreign, layout
from workflow.numbers import whole

from . import ALGORITHMS
from .core.config import parse
from .run.folder import Task, check
from .run.lock import locked
from .run.run import Run
from .run.signals import end_at_once

VARIANT = re.compile(r"[\w=+-][\w.=+-]*")  # a variant is the name of a folder


class Parser(argparse.ArgumentParser):
    """A command line whose errors are one sentence and status 2."""

    def error(self, message: str) -> None:
        """Say what is wrong and end."""
        refuse(ValueError(message))


def arguments(**options: bool) -> Parser:
    """Return the command line's parser, made with argparse's `options`."""
    parser = Parser(prog="python -m algorithms.train", description="Train one algorithm on one scenario.", **options)
    parser.add_argument("--scenario", required=True, help="such as ant_2x4; an unknown one lists all")
    parser.add_argument(
        "--algorithm", required=True, help="mafocops, macpo, mappo_l, happo, mappo or another file of algorithms/"
    )
    parser.add_argument("--seed", type=whole, default=0, help="everything random follows from it")
    parser.add_argument(
        "--steps", type=whole, default=10_000_000, help="environment steps, rounded up to whole rollouts"
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", dest="settings", help="such as lam=2.2")
    parser.add_argument("--variant", default=None, help="name of these settings in the results; default: the settings")
    parser.add_argument("--threads", type=whole, default=1, help="threads for the physics")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where the networks learn")
    parser.add_argument("--memory", action="store_true", help="trace the last update's peak tensor memory (slow)")
    parser.add_argument("--env", metavar="PACKAGE.MODULE:FUNCTION", help="a task of another project, a ParallelEnv")
    parser.add_argument("--bound", type=float, default=0.0, help="of that task: on an episode's cost")
    parser.add_argument("--output", type=Path, default=None, help="folder of this run")
    return parser


def task_of(options: argparse.Namespace) -> tuple:
    """Return the `Task` and the algorithm's class, or raise ValueError with one sentence."""
    if options.env:
        foreign.add(options.scenario, options.env, options.bound)
    envs.scenarios.get(options.scenario)
    algorithm = class_of(options.algorithm)
    for name in ("steps", "threads"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} {getattr(options, name)} is out of range: it must be at least 1")
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed} is out of range: it must be at least 0")
    pairs = [text.partition("=") for text in options.settings]
    if unpaired := [name for name, equals, _ in pairs if not equals]:
        raise ValueError(f"--set {unpaired[0]} is not valid: write name=value")
    variant = options.variant or layout.variant_with({name: value for name, _, value in pairs}) or layout.DEFAULT
    if not VARIANT.fullmatch(variant):
        raise ValueError(f"the variant {variant!r} is not valid: use letters, digits and _ . = + -")
    named = {"default": {}} | getattr(algorithm, "VARIANTS", {})
    if variant not in named and not pairs:
        raise ValueError(
            f"unknown variant '{variant}' of {options.algorithm}: choose from {', '.join(named)}, or use --set"
        )
    config = parse(algorithm.Config, named.get(variant, {}) | {name: value for name, _, value in pairs})
    identity = (options.scenario, options.algorithm, variant, options.seed, options.steps)
    chosen = {name: value for name, _, value in pairs if name in envs.OPTIONS}
    envs.scenarios.complete(envs.get(options.scenario), chosen)  # another family's option, even at its default
    return Task(*identity, config, envs.TASK_VERSION), algorithm


def class_of(name: str) -> type:
    """Return the class of an algorithm: one of ALGORITHMS, or the only one with `update_agent` in algorithms/<name>.py.

    Raises:
        ValueError: there is none, or there are several.
    """
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    if not (name.isidentifier() and Path(__file__).with_name(f"{name}.py").exists()):
        valid = ", ".join(ALGORITHMS)
        raise ValueError(f"unknown algorithm '{name}': choose from {valid}, or add its file to algorithms/")
    module = importlib.import_module(f".{name}", __package__)
    own = [kind for kind in vars(module).values() if getattr(kind, "__module__", None) == module.__name__]
    found = [kind for kind in own if hasattr(kind, "update_agent")]
    if len(found) != 1:
        raise ValueError(f"algorithms/{name}.py has {len(found)} classes with update_agent: it needs one")
    return found[0]


def env_maker(task, threads: int):
    """Return a function that makes the vector environment of `task`."""
    return lambda: make(task.scenario, vars(task.config), task.config.num_envs, task.seed, threads)


def make(scenario: str, settings: dict, worlds: int, seed: int, threads: int):
    """Return a vector environment of one of SCENARIOS with a run's settings, ours or another project's."""
    row = envs.get(scenario)
    options = envs.options_in(row, settings)
    if isinstance(row, foreign.Foreign):
        from .run.foreign import ForeignEnv  # PettingZoo and whatever the task needs

        return ForeignEnv(row, worlds, seed)
    return envs.make(scenario, worlds, seed, threads, **options)


def device_of(name: str):
    """Return the torch device; `auto` is a GPU where there is one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda is not available on this machine: choose cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


class Progress:
    """A progress bar on a terminal, a line per iteration elsewhere."""

    def __init__(self, total: int, done: int) -> None:
        """Show `done` of `total` environment steps."""
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, initial=done, unit="step", unit_scale=True, dynamic_ncols=True)

    def __call__(self, row: dict, seconds_left: float) -> None:
        """Show one iteration."""
        names = [name.removeprefix("episode_cost_") for name in row if name.startswith("episode_cost_")]
        costs = [(f"cost {name}", row[f"episode_cost_{name}"], row[f"bound_{name}"]) for name in names]
        costs = costs or [("cost", row["episode_cost"], row["bound"])]
        told = ", ".join(f"{name} {_number(cost)} (bound {bound:g})" for name, cost, bound in costs)
        text = f"return {_number(row['episode_return'])}, {told}, FPS {row['fps']:.0f}"
        if self.bar is not None:
            self.bar.set_postfix_str(text)
            self.bar.update(row["step"] - self.bar.n)
            return
        left = time.strftime("%H:%M:%S", time.gmtime(seconds_left))
        name = f"{row['scenario']} {row['algorithm']} {row['variant']} seed {row['seed']}"
        print(f"{name}: step {row['step']}, {text}, {left} left", flush=True)


def _number(value: float | None) -> str:
    """Return a mean over episodes as text; `-` where none has ended."""
    return "-" if value is None else f"{value:.1f}"


def main() -> None:
    """Run the command line."""
    options = arguments().parse_args()
    end_at_once()
    with contextlib.ExitStack() as until_the_end:
        try:
            run = open_run(options, until_the_end)
            if run is not None:
                run.train(Progress(run.iterations * run.per_iteration, run.learner.iteration * run.per_iteration))
        except OSError as error:
            place = error.filename or "the standard output"
            sys.exit(f"error: {place}: {error.strerror}; what was saved before is intact, the same command continues")
        except ArithmeticError as error:
            print(f"error: {error}; what it was computed from is in {run.folder / 'fault.pt'}", file=sys.stderr)
            sys.exit(3)


def open_run(options: argparse.Namespace, lock: contextlib.ExitStack):
    """Return the `Run` in its folder, which `lock` keeps from other processes; None if it is complete.

    Ends the process, with status 2, if the options or the folder are not valid.
    """
    try:
        task, algorithm = task_of(options)
        device = device_of(options.device)
        folder = options.output or Path("results", _place(task).folder)
        complete = check(folder, task)
        if not complete:
            lock.enter_context(locked(folder))
            env = env_maker(task, options.threads)
            run = Run(task, algorithm, folder, env, device, options.memory, options.threads)
            complete = run.complete  # another process may have ended it since
    except ValueError as error:
        refuse(error)
    if complete:
        print(f"{folder} is complete: nothing to do")
        return None
    return run


def _place(task) -> layout.Place:
    """Return where a suite keeps the run of `task`."""
    return layout.Place(layout.TRAINING, task.scenario, task.algorithm, task.variant, task.seed)


def refuse(error: ValueError) -> None:
    """Say what is wrong in one sentence and end with status 2."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
