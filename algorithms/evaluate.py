"""Evaluate the final policy of a run on seeded episodes that training never saw, with and without exploration.

    python -m algorithms.evaluate results/mine [--episodes 32]

Writes evaluation.csv into the run's folder: one row per episode and mode (stochastic: as in training; deterministic:
the mean action), with the task's outcomes at its end where it has any. On one kind of CPU episode k is the same, to the
last bit, on every call, at any number of threads and of episodes. Of a run that failed, whose metrics.csv has no rows,
it writes the header alone.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import envs
from workflow import foreign
from workflow.numbers import whole

from .core.policy import Actor
from .core.rollout import Ensemble
from .run.folder import read_record, replace, write_metrics
from .train import Parser, make, refuse

SEED = 1_000_000  # added to the run's seed: apart from the seeds of training
ROWS = 32  # of one call of the networks, however many worlds there are: a product's last bits depend on its shape
MODES = ("stochastic", "deterministic")
IDENTITY = ("scenario", "algorithm", "variant", "seed")
MEASURES = ("bound", "episode_return", "episode_cost", "episode_length", "violation", "longest_unsafe")
HEADER = ",".join((*IDENTITY, "mode", "episode", *MEASURES)) + "\n"


def load(folder: str | Path) -> tuple[dict, object]:
    """Return run.json's record and the `Ensemble` of the final policies.

    Raises:
        ValueError: the folder holds no complete run, or its policies do not fit the task.
    """
    folder = Path(folder)
    path = folder / "policy.pt"
    if not path.exists():
        raise ValueError(f"{folder} holds no policy.pt: give the folder of a complete run")
    record = read_record(folder) or {}
    if absent := [name for name in (*IDENTITY, "settings") if name not in record]:
        raise ValueError(f"{folder / 'run.json'} does not name the {absent[0]}: it is not the record of a run")
    foreign.recall(record)
    try:
        saved = torch.load(path, weights_only=True)
        hidden, actors = tuple(saved["settings"]["hidden"]), []
        for parameters in saved["actors"]:
            if not isinstance(parameters, dict):
                raise TypeError("its parameters have no names, as those of versions before 0.2")
            actor = Actor(saved["observation_size"], saved["action_size"], hidden, torch.Generator(), 0.0, 1.0)
            actor.load_named(parameters)
            actors.append(actor)
        ensemble = Ensemble(actors)
    except Exception as error:  # whatever unpickling a damaged or foreign file may raise
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise ValueError(f"{path} is not a policy of ours: {reason}") from error
    scenario = envs.get(record["scenario"])
    sizes, found = (scenario.agents, scenario.actions_per_agent), (len(actors), actors[0].action_size)
    if isinstance(scenario, foreign.Foreign):
        team = team_of(scenario)
        sizes, found = (*team.shape, team.observation_size), (*found, saved["observation_size"])
    if found != sizes:
        raise ValueError(f"{path} holds {len(actors)} policies that do not fit {record['scenario']}")
    return record, ensemble


def team_of(scenario: foreign.Foreign):
    """Return the `Team` of another project's task.

    Raises:
        ValueError: it cannot be made.
    """
    from .run.foreign import ForeignEnv  # PettingZoo and whatever the task needs

    return ForeignEnv(scenario).team


def failed(folder: str | Path) -> bool:
    """Return whether the run in `folder` was given up: its metrics.csv is a header without rows."""
    path = Path(folder) / "metrics.csv"
    return path.exists() and path.read_bytes().count(b"\n") == 1


def make_env(record: dict, worlds: int, threads: int = 1):
    """Return the run's environment with `worlds` worlds, in which an ended episode is not followed by another."""
    env = make(record["scenario"], record["settings"], worlds, SEED + record["seed"], threads)
    env.auto_reset = False
    return env


def bounds(record: dict, env) -> np.ndarray:
    """Return the bound of each cost, (C,): the run's `safety_bound`, or the scenario's."""
    return np.array(record["settings"]["safety_bound"] or (env.scenario.bound,) * env.num_costs, float)


def play(env, ensemble, seed: int, exploring: bool) -> Iterator:
    """Reset `env` and yield the `Step`s of one episode of each world; ended worlds move on until the last has ended.

    Args:
        env: E worlds, see `make_env`.
        ensemble: the policies.
        seed: of the exploration; every world has its own generator.
        exploring: whether to act as in training, or by the mean action.
    """
    torch.set_num_threads(1)  # one order of summation
    worlds, agents = env.num_envs, env.num_agents
    children = np.random.SeedSequence((SEED, seed)).spawn(worlds)
    generators = [np.random.default_rng(child) for child in children] if exploring else []
    padded = np.zeros((-(-worlds // ROWS) * ROWS, agents, env.observation_size), np.float32)
    observation, alive = env.reset(), np.ones(worlds, bool)
    while alive.any():
        padded[:worlds] = observation
        action = np.concatenate([ensemble.mean(padded[at : at + ROWS]) for at in range(0, len(padded), ROWS)])[:worlds]
        if exploring:
            noise = np.stack([generator.standard_normal((agents, env.action_size)) for generator in generators])
            action = action + ensemble.std * noise.astype(np.float32)
        step = env.step(action)
        yield step
        alive &= ~(step.terminated | step.truncated)
        observation = step.observation


def episodes(record: dict, ensemble, count: int, mode: str, threads: int = 1) -> list[dict]:
    """Return the rows of evaluation.csv of `count` episodes in one of MODES."""
    env = make_env(record, count, threads)
    total = np.zeros((count, 2 + env.num_costs))  # return, length, costs
    unsafe, longest = np.zeros((2, count), int)  # consecutive steps with a cost: now, and at most
    outcomes, alive = {}, np.ones(count, bool)
    for step in play(env, ensemble, record["seed"], mode == "stochastic"):
        total[alive] += np.column_stack([step.reward, np.ones(count), step.cost])[alive]
        unsafe = (unsafe + 1) * step.cost.any(1)
        longest[alive] = np.maximum(longest, unsafe)[alive]
        for name in env.outcomes:
            outcomes[name] = np.where(alive, step.terms[name], outcomes.get(name, 0))
        alive &= ~(step.terminated | step.truncated)
    bound, cost = bounds(record, env), total[:, 2:]
    rows = []
    for k in range(count):
        row = {name: record[name] for name in IDENTITY} | {"mode": mode, "episode": k, "bound": bound.sum()}
        row |= {"episode_return": total[k, 0], "episode_cost": cost[k].sum()}
        if len(bound) > 1:
            for name, value, limit in zip(env.cost_names, cost[k], bound, strict=True):
                row |= {f"episode_cost_{name}": value, f"bound_{name}": limit}
        row |= {"episode_length": int(total[k, 1]), "violation": np.max(cost[k] - bound)}
        rows.append(row | {"longest_unsafe": longest[k]} | {name: int(value[k]) for name, value in outcomes.items()})
    return rows


def main() -> None:
    """Run the command line."""
    parser = Parser(prog="python -m algorithms.evaluate", description="Evaluate a run's final policy.")
    parser.add_argument("folder", type=Path, help="folder of a complete run")
    parser.add_argument("--episodes", type=whole, default=32, help="episodes of each mode")
    parser.add_argument("--threads", type=whole, default=1, help="threads for the physics")
    options = parser.parse_args()
    output = options.folder / "evaluation.csv"
    try:
        for name in ("episodes", "threads"):
            if getattr(options, name) < 1:
                raise ValueError(f"--{name} {getattr(options, name)} is out of range: it must be at least 1")
        run = None if failed(options.folder) else load(options.folder)
    except ValueError as error:
        refuse(error)
    try:
        if run is None:
            print(f"{options.folder} holds a run that failed: {output} gets no rows")
            return replace(output, HEADER.encode())
        rows = [row for mode in MODES for row in episodes(*run, options.episodes, mode, options.threads)]
        write_metrics(output, rows)
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}")
    for mode in MODES:
        found = [row for row in rows if row["mode"] == mode]
        mean = {name: np.mean([row[f"episode_{name}"] for row in found]) for name in ("return", "cost", "length")}
        print(f"{mode}: " + ", ".join(f"{name} {value:.1f}" for name, value in mean.items()))


if __name__ == "__main__":
    sys.exit(main())
