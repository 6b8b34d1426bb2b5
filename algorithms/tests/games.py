"""A constrained game for several agents whose optimum is known, with the interface of `envs.VectorEnv`.

Each step pays the sum x of all agents' actions and costs its positive part. Without a constraint x grows without end.
E[x] <= E[max(x, 0)], so under a bound d on the cost per step no policy earns more than d a step, and the deterministic
policy x = d earns just that.
"""

from typing import NamedTuple

import numpy as np


class Step(NamedTuple):
    observation: np.ndarray
    reward: np.ndarray
    cost: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final_observation: np.ndarray


class SumGame:
    """E worlds, N agents with one action each, episodes of L steps; every cost j is offset[j] + x, where positive."""

    action_size = 1

    def __init__(self, agents=2, worlds=16, length=1, offsets=(0.0,), truncate=False) -> None:
        self.num_agents, self.num_envs, self.episode_limit = agents, worlds, length
        self.num_costs, self.offsets, self.truncate = len(offsets), np.array(offsets), truncate
        self.cost_names = tuple(f"cost{j}" for j in range(self.num_costs))
        self.observation_size = 2 + agents
        self.state_columns = slice(self.observation_size)
        self.clock, self.unstable = np.zeros(worlds, int), np.zeros(worlds, int)

    def reset(self) -> np.ndarray:
        self.clock[:] = 0
        return self.observe()

    def observe(self) -> np.ndarray:
        seen = np.zeros((self.num_envs, self.num_agents, self.observation_size), np.float32)
        seen[..., 0] = 1.0
        seen[..., 1] = (self.clock / self.episode_limit)[:, None]
        seen[..., 2:] = np.eye(self.num_agents)
        return seen

    def step(self, actions: np.ndarray) -> Step:
        x = actions.sum((1, 2)).astype(float)  # (E,)
        cost = np.maximum(x[:, None] + self.offsets, 0.0)
        self.clock += 1
        final, over = self.observe(), self.clock == self.episode_limit
        self.clock[over] = 0
        no = np.zeros_like(over)
        return Step(self.observe(), x, cost, no if self.truncate else over, over if self.truncate else no, final)

    def state_dict(self) -> dict:
        return {"clock": self.clock.copy()}

    def load_state_dict(self, state: dict) -> None:
        self.clock[:] = state["clock"]
