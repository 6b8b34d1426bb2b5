"""Augmented random search on linear policies (Mania et al. 2018, arXiv 1803.07055): NumPy, no gradients.

    python -m workflow.examples.random_search --scenario ant_2x4 --seed 0 --steps 1000000 --output DIR

An iteration tries DIRECTIONS perturbations of the policy with both signs, each for one episode in a world of its own,
and moves the policy along the best ones. What counts is the return less PENALTY per unit of cost above the bound.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

import envs

DIRECTIONS, KEPT = 8, 4
NOISE, RATE, PENALTY = 0.05, 0.08, 10.0


def episodes(env, policies: np.ndarray) -> np.ndarray:
    """Return return, cost and length (E, 3) of one episode of each of E linear policies (E, N, A, O)."""
    total, alive, observation = np.zeros((env.num_envs, 3)), np.ones(env.num_envs, bool), env.reset()
    for _ in range(env.episode_limit):
        step = env.step(np.clip(np.einsum("enao,eno->ena", policies, observation), -1, 1))
        total[alive] += np.column_stack([step.reward, step.cost.sum(1), np.ones(len(alive))])[alive]
        alive &= ~(step.terminated | step.truncated)
        observation = step.observation
        if not alive.any():
            break
    return total


def improve(policy: np.ndarray, env, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the next policy (N, A, O) and the episodes (2 * DIRECTIONS, 3) that it was found with."""
    directions = rng.standard_normal((DIRECTIONS, *policy.shape))
    found = episodes(env, policy + NOISE * np.concatenate([directions, -directions]))
    score = found[:, 0] - PENALTY * np.maximum(found[:, 1] - env.scenario.bound, 0)
    plus, minus = score.reshape(2, -1)
    best = np.argsort(-np.maximum(plus, minus))[:KEPT]
    scale = np.concatenate([plus[best], minus[best]]).std() + 1e-6
    return policy + RATE / (KEPT * scale) * np.tensordot(plus[best] - minus[best], directions[best], 1), found


def main() -> None:
    """Search until --steps environment steps are made; whatever ends it, the same command continues."""
    parser = argparse.ArgumentParser()
    for name in ("scenario", "seed", "steps", "output"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    seed, folder = int(options.seed), Path(options.output)
    env = envs.make(options.scenario, num_envs=2 * DIRECTIONS, num_threads=1)
    saved = folder / "state.json"
    state = json.loads(saved.read_text()) if saved.exists() else {"rows": []}
    rows, size = state["rows"], (env.num_agents, env.action_size, env.observation_size)
    policy = np.array(state["policy"]) if rows else np.zeros(size)
    run = {"scenario": options.scenario, "algorithm": "random_search", "variant": "default", "seed": seed}
    while not rows or rows[-1]["step"] < int(options.steps):
        start = time.perf_counter()
        rng = np.random.default_rng([seed, len(rows)])  # so that an iteration does not depend on interruptions
        env.seed(int(rng.integers(2**32)))
        policy, found = improve(policy, env, rng)
        made, step = int(found[:, 2].sum()), rows[-1]["step"] if rows else 0
        numbers = {"iteration": len(rows) + 1, "step": step + made, "fps": made / (time.perf_counter() - start)}
        rows.append(run | numbers | {"episode_return": found[:, 0].mean(), "episode_cost": found[:, 1].mean()})
        replace(saved, json.dumps({"rows": rows, "policy": policy.tolist()}))
        table = [rows[0].keys(), *(row.values() for row in rows)]
        replace(folder / "metrics.csv", "".join(",".join(map(str, line)) + "\n" for line in table))


def replace(path: Path, text: str) -> None:
    """Let `path` hold `text`, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    os.replace(part, path)


if __name__ == "__main__":
    main()
