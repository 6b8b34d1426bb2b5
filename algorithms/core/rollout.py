"""Collection: all agents act in all worlds for T steps; then returns, advantages and finished episodes from the arrays.

Arrays have leading axes T (steps), E (worlds), N (agents), and a trailing axis C (costs). A termination and a time
limit stay two arrays to the end; only `gae` combines them.
"""

import copy
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .networks import NotFinite, kernels
from .policy import Actor


class Rollout(NamedTuple):
    """What T steps of E worlds produced. Tensors live on the CPU, where the physics is."""

    observation: Tensor  # (T + 1, E, N, O)
    action: Tensor  # (T, E, N, A)
    reward: np.ndarray  # (T, E)
    cost: np.ndarray  # (T, E, C)
    terminated: np.ndarray  # (T, E) bool
    truncated: np.ndarray  # (T, E) bool
    final_observation: Tensor  # (K, N, O), of the K steps that ended an episode, in the order of np.nonzero(ended)
    episodes: np.ndarray  # (F, 2 + C): return, length, costs of each episode that finished in this rollout
    unstable: np.ndarray  # (E,) steps at which the simulation of a world became unstable


class Ensemble:
    """The policies of all agents, for acting; on the CPU, where the physics is."""

    def __init__(self, actors: list[Actor]) -> None:
        """Copy the present parameters of `actors` (one per agent; the same object may appear several times)."""
        self._kernels, self._shape = kernels(), (len(actors), actors[0].action_size)
        self.observation_size = actors[0].sizes[0]
        self.std = np.stack([actor.std() for actor in actors])  # (N, A)
        if self._kernels:
            self._sizes = np.array(actors[0].sizes)
            thetas = [actor.theta.cpu().numpy() for actor in actors]
            self._folded = np.stack([self._kernels.fold(theta, self._sizes) for theta in thetas])
        else:
            self._modules = [copy.deepcopy(actor.module).cpu() for actor in actors]

    def mean(self, observation: np.ndarray) -> np.ndarray:
        """Return the means (E, N, A) at observation (E, N, O)."""
        mean = np.empty((len(observation), *self._shape), observation.dtype)
        if self._kernels:
            self._kernels.act(self._folded, self._sizes, observation, mean)
            return mean
        with torch.no_grad():
            for i, module in enumerate(self._modules):
                mean[:, i] = module(torch.from_numpy(observation[:, i])).numpy()
        return mean


class Collector:
    """Steps a vector environment with the current policies and keeps what must survive from rollout to rollout."""

    def __init__(self, env, length: int, seed: int) -> None:
        """Reset `env`, an `envs.VectorEnv` or anything with its interface, for rollouts of `length` steps."""
        self.env, self.length = env, length
        self.generator = torch.Generator().manual_seed(seed)
        self.observation = env.reset()
        self._running = np.zeros((env.num_envs, 2 + env.num_costs))  # return, length, costs of unfinished episodes

    def collect(self, actors: list[Actor]) -> Rollout:
        """Act for T steps with Gaussian exploration and return what happened.

        Raises:
            NotFinite: an observation, reward or cost is not finite.
        """
        env, length = self.env, self.length
        ensemble = Ensemble(actors)
        agents, worlds = env.num_agents, env.num_envs
        noise = torch.randn((length, worlds, agents, env.action_size), generator=self.generator).numpy()
        noise *= ensemble.std
        observation = torch.empty((length + 1, worlds, agents, env.observation_size))
        action = torch.empty((length, worlds, agents, env.action_size))
        reward, cost = np.empty((length, worlds)), np.empty((length, worlds, env.num_costs))
        terminated, truncated = np.zeros((2, length, worlds), bool)
        final, unstable = [], np.array(env.unstable)
        seen, acted = observation.numpy(), action.numpy()
        seen[0] = self.observation
        for t in range(length):
            np.add(ensemble.mean(seen[t]), noise[t], out=acted[t])
            step = env.step(acted[t])
            seen[t + 1], reward[t], cost[t] = step.observation, step.reward, step.cost
            terminated[t], truncated[t] = step.terminated, step.truncated
            ended = terminated[t] | truncated[t]
            if ended.any():
                final.append(torch.from_numpy(np.array(step.final_observation[ended])))
        self.observation = seen[-1].copy()
        final = torch.cat(final) if final else torch.empty((0, agents, env.observation_size))
        episodes, self._running = finished_episodes(reward, cost, terminated | truncated, self._running)
        arrays = {"observation": observation, "reward": reward, "cost": cost}
        if not all(math.isfinite(array.sum()) for array in arrays.values()):
            raise NotFinite("environment", arrays | {"action": action})
        return Rollout(
            observation, action, reward, cost, terminated, truncated, final, episodes, env.unstable - unstable
        )

    def state_dict(self) -> dict:
        """Return everything the next rollout depends on: worlds, generators, unfinished episodes."""
        return {
            "env": self.env.state_dict(),
            "generator": self.generator.get_state(),
            "observation": self.observation,
            "running": self._running,
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue from `state_dict()`, on one kind of CPU bit for bit."""
        self.env.load_state_dict(state["env"])
        self.generator.set_state(state["generator"])
        self.observation, self._running = state["observation"], state["running"]


def finished_episodes(
    reward: np.ndarray, cost: np.ndarray, ended: np.ndarray, running: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return undiscounted sums of the episodes that ended in a rollout, each counted once, and of those still going.

    Args:
        reward: (T, E).
        cost: (T, E, C).
        ended: (T, E) bool, terminated or truncated.
        running: (E, 2 + C) return, length and costs of the episodes under way before the rollout.

    Returns:
        episodes (F, 2 + C) and the new running sums (E, 2 + C); columns return, length, costs.
    """
    steps = np.concatenate([reward[..., None], np.ones_like(reward)[..., None], cost], -1)
    total = running + np.cumsum(steps, 0)  # (T, E, 2 + C)
    world, time = np.nonzero(ended.T)  # in the order of worlds, then time
    at_end = total[time, world]
    before = np.zeros_like(at_end)
    same = world[1:] == world[:-1]
    before[1:][same] = at_end[:-1][same]
    left = total[-1].copy()
    np.subtract.at(left, world, at_end - before)
    return at_end - before, left


def gae(
    reward: np.ndarray,
    value: np.ndarray,
    next_value: np.ndarray,
    terminated: np.ndarray,
    ended: np.ndarray,
    gamma: float,
    gae_lambda: float,
) -> np.ndarray:
    """Return generalised advantage estimates (T, E, K) of K signals at once (Schulman et al. 2016).

    gae_lambda = 1 gives Monte Carlo returns minus the value, gae_lambda = 0 the one-step temporal difference.

    Args:
        reward: (T, E, K) rewards or costs.
        value: (T, E, K) value of the state acted in.
        next_value: (T, E, K) value of the state reached - of the final one, where an episode ended.
        terminated: (T, E) no future after this step: nothing is bootstrapped.
        ended: (T, E) terminated or truncated: the next step belongs to another episode, so the trace is cut.
        gamma: discount.
        gae_lambda: weight of longer returns.
    """
    delta = reward + gamma * next_value * ~terminated[..., None] - value
    decay = (gamma * gae_lambda * ~ended)[..., None]
    advantage = np.empty_like(delta)
    following = np.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        following = advantage[t] = delta[t] + decay[t] * following
    return advantage
