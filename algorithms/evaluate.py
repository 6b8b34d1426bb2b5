"""Evaluate the final policy of a run on seeded episodes that training never saw, with and without exploration.

    python -m algorithms.evaluate results/mine [--episodes 32] [--video FILE.mp4]

Writes evaluation.csv into the run's folder: one row per episode and mode (stochastic: as in training; deterministic:
the mean action). With --video it also films one deterministic episode.
"""

import sys
from pathlib import Path

import numpy as np

import envs

from .train import Parser, refuse

SEED = 1_000_000  # added to the run's seed: apart from the seeds of training


def load(folder: Path) -> tuple[dict, object]:
    """Return run.json's record and the `Ensemble` of the final policies.

    Raises:
        ValueError: the folder holds no complete run.
    """
    import torch

    from .core.folder import read_record
    from .core.policy import Actor
    from .core.rollout import Ensemble

    path = folder / "policy.pt"
    if not path.exists():
        raise ValueError(f"{folder} holds no policy.pt: give the folder of a complete run")
    record = read_record(folder) or {}
    if absent := [name for name in ("scenario", "algorithm", "variant", "seed", "settings") if name not in record]:
        raise ValueError(f"{folder / 'run.json'} does not name the {absent[0]}: it is not the record of a run")
    try:
        saved = torch.load(path, weights_only=True)
        hidden, actors = tuple(saved["settings"]["hidden"]), []
        for theta in saved["actors"]:
            actor = Actor(saved["observation_size"], saved["action_size"], hidden, torch.Generator(), 0.0, 1.0)
            actor.theta.copy_(theta)
            actors.append(actor)
        ensemble = Ensemble(actors)
    except Exception as error:  # whatever unpickling a damaged or foreign file may raise
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise ValueError(f"{path} is not a policy of ours: {reason}") from error
    scenario = envs.get(record["scenario"])
    if len(actors) != scenario.agents or actors[0].action_size != scenario.actions_per_agent:
        raise ValueError(f"{path} holds {len(actors)} policies that do not fit {record['scenario']}")
    return record, ensemble


def options_of(record: dict) -> dict[str, str]:
    """Return the environment's options of a run."""
    return {name: record["settings"][name] for name in ("walls", "observation", "partition", "costs")}


def episodes(record: dict, ensemble, count: int, exploring: bool) -> np.ndarray:
    """Return return, length and costs (count, 2 + C) of one episode in each of `count` worlds."""
    import torch

    env = envs.make(record["scenario"], num_envs=count, seed=SEED + record["seed"], **options_of(record))
    generator = torch.Generator().manual_seed(SEED + record["seed"])
    total = np.zeros((count, 2 + env.num_costs))
    alive = np.ones(count, bool)
    observation = env.reset()
    for _ in range(env.episode_limit):
        action = ensemble.mean(torch.from_numpy(observation).transpose(0, 1))  # (N, E, A)
        if exploring:
            action = action + ensemble.std * torch.randn(action.shape, generator=generator)
        step = env.step(action.numpy().transpose(1, 0, 2))
        total[alive] += np.column_stack([step.reward, np.ones(count), step.cost])[alive]
        alive &= ~(step.terminated | step.truncated)
        observation = step.observation
    return total


def film(record: dict, ensemble, path: Path) -> None:
    """Write a video of one deterministic episode."""
    import imageio
    import torch

    env = envs.parallel_env(record["scenario"], render_mode="rgb_array", **options_of(record))
    seen, _ = env.reset(seed=SEED + record["seed"])
    fps = round(1 / envs.get(record["scenario"]).dt)
    with imageio.get_writer(path, fps=fps, macro_block_size=1) as video:
        while env.agents:
            observation = torch.from_numpy(np.stack([seen[agent] for agent in env.possible_agents]))[:, None]
            action = ensemble.mean(observation)[:, 0].numpy()
            seen = env.step(dict(zip(env.possible_agents, action, strict=True)))[0]
            video.append_data(env.render())


def main() -> None:
    """Run the command line."""
    parser = Parser(prog="python -m algorithms.evaluate", description="Evaluate a run's final policy.")
    parser.add_argument("folder", type=Path, help="folder of a complete run")
    parser.add_argument("--episodes", type=int, default=32, help="episodes of each mode")
    parser.add_argument("--video", type=Path, help="film one episode into this file (mp4)")
    options = parser.parse_args()
    try:
        if options.episodes < 1:
            raise ValueError(f"--episodes {options.episodes} is out of range: it must be at least 1")
        if options.video and (options.video.suffix != ".mp4" or not options.video.parent.is_dir()):
            raise ValueError(f"--video {options.video} is not valid: name an .mp4 file in a folder that exists")
        record, ensemble = load(options.folder)
    except ValueError as error:
        refuse(error)
    from .core.folder import write_metrics

    rows = []
    for mode in ("stochastic", "deterministic"):
        found = episodes(record, ensemble, options.episodes, mode == "stochastic")
        cost = found[:, 2:].sum(1)
        print(f"{mode}: return {found[:, 0].mean():.1f}, cost {cost.mean():.1f}, length {found[:, 1].mean():.0f}")
        for k, row in enumerate(found):
            identity = {name: record[name] for name in ("scenario", "algorithm", "variant", "seed")}
            found_row = {"mode": mode, "episode": k, "episode_return": float(row[0]), "episode_cost": float(cost[k])}
            rows.append(identity | found_row | {"episode_length": int(row[1])})
    try:
        write_metrics(options.folder / "evaluation.csv", rows)
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}")
    if options.video:
        film(record, ensemble, options.video)


if __name__ == "__main__":
    sys.exit(main())
