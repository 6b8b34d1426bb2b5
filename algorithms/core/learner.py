"""One iteration of learning: rollout -> advantages -> agents one after another -> critics -> a row of metrics.

Sequential algorithms update agents in a random order; the advantage of each later agent is multiplied by the factor M
of the agents before it, the product of their new-to-old probability ratios (HAPPO; Algorithm 1, lines 6-8 and 19).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .beside import Beside
from .config import Config
from .critic import Critics
from .networks import NotFinite, minibatches
from .policy import Actor, Gaussian
from .rollout import Rollout, gae

STALE_INTERVAL = 5  # iterations between two refreshes of J_C in the original code (Q4)


class Batch(NamedTuple):
    """What one agent learns from: B = T * E rows (B = T * E * N where agents share one policy).

    Under quirk Q2 (log-probabilities not summed over action dimensions) log_prob, advantage and factor are (B, A).
    """

    observation: Tensor  # (B, O), on the device of the networks; all else is NumPy
    action: np.ndarray  # (B, A)
    log_prob: np.ndarray  # (B,) under the policy that acted, pi_k, which is `old`
    old: Gaussian
    advantage: np.ndarray  # (B,) standardised and multiplied by the factor of earlier agents: M^{1:h}
    cost_advantage: np.ndarray  # (B, C) standardised
    factor: np.ndarray  # (B,) product of the earlier agents' probability ratios
    violation: np.ndarray  # (C,) J_C - bound
    cost_scale: np.ndarray  # (C,) standard deviation that the cost advantage was divided by
    episode_length: float  # mean over finished episodes

    def like_log_prob(self, rows: np.ndarray) -> np.ndarray:
        """Return `rows` (B,) in a shape that multiplies `log_prob` row by row."""
        return rows.reshape(-1, *[1] * (self.log_prob.ndim - 1))

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator["Batch"]:
        """Yield the rows in random order, `size` at a time; the smaller tail is kept."""
        columns = (*self[:3], self.old.mean, *self[4:7])
        for observation, action, log_prob, mean, *others in minibatches(columns, size, generator):
            yield Batch(observation, action, log_prob, self.old._replace(mean=mean), *others, *self[7:])


class Sizes(NamedTuple):
    """Numbers of agents, costs, and components of an agent's observation and action; where the state stands."""

    agents: int
    costs: int
    observation: int
    action: int
    columns: slice | np.ndarray = slice(None)  # of all agents' observations in a row (N * O): what a critic reads

    @classmethod
    def of(cls, env) -> "Sizes":
        """Return those of an `envs.VectorEnv` or anything with its interface."""
        return cls(env.num_agents, env.num_costs, env.observation_size, env.action_size, env.state_columns)

    @property
    def state(self) -> int:
        """Return the number S of components of the state."""
        return len(np.arange(self.agents * self.observation)[self.columns])


class Learner:
    """Actors, critics and an algorithm, with everything that must survive an interruption."""

    def __init__(
        self,
        algorithm: type,
        config: Config,
        sizes: Sizes,
        bound: np.ndarray,
        seed: int,
        device: torch.device,
        beside: bool = False,
    ) -> None:
        """Build everything from one seed; `bound` (C,) limits the mean episode cost.

        With `beside` the critics regress in a process of their own while the actors learn, with the same result.
        """
        self.config, self.sizes, self.device = config, sizes, device
        self.bound = np.asarray(bound, float)
        streams = np.random.SeedSequence(seed).spawn(4)
        actors, shuffles, critics, order = (int(stream.generate_state(1)[0]) for stream in streams)
        generator = torch.Generator().manual_seed(actors)
        self.share = getattr(config, "share_policy", False)
        count = 1 if self.share else sizes.agents
        self.actors = [
            Actor(sizes.observation, sizes.action, config.hidden, generator, config.actor_lr, config.max_grad_norm)
            for _ in range(count)
        ]
        for actor in self.actors:
            actor.to(device)
        self.generator = torch.Generator().manual_seed(shuffles)
        self.critics = Critics(sizes.state, sizes.costs, config, critics, device)
        self.beside = Beside(self.critics) if beside else None
        self.order = np.random.default_rng(order)
        self.algorithm = algorithm(self.actors, config, sizes.costs, self.generator)
        self.iteration = 0
        self.episode_cost: np.ndarray | None = None  # (C,) J_C: mean over the latest iteration that finished episodes
        self.stale_cost = np.zeros(sizes.costs)

    def policies(self) -> list[Actor]:
        """Return one actor per agent."""
        return self.actors * self.sizes.agents if self.share else self.actors

    def update(self, rollout: Rollout) -> tuple[dict[str, float], dict[str, float]]:
        """Improve policies and critics with one rollout.

        Returns:
            diagnostics every algorithm has, and the algorithm's own; means over agents.

        Raises:
            NotFinite: a gradient is not finite.
        """
        observation = rollout.observation.to(self.device)
        seen = observation[:-1].flatten(0, 1)  # (B, N, O), B = T * E
        state = self._state(observation)  # (T + 1, E, S)
        output, advantage, target = self._advantages(rollout, state)
        state = state[:-1].flatten(0, 1)
        if self.beside:
            self.beside.begin(state, target, output)
        shared, own = self._improve_policies(rollout, seen, advantage)
        explained = 1 - (target - self.critics.denormalise(output)).var(0) / np.maximum(target.var(0), 1e-12)
        if self.beside:
            self.beside.finish()
        else:
            self.critics.regress(state, target, output)
        self.iteration += 1
        shared |= {"explained_variance": float(explained[0]), "explained_variance_cost": float(explained[1:].mean())}
        return shared, own

    def _state(self, observation: Tensor) -> Tensor:
        """Return what the critics read (..., S) of the agents' observations (..., N, O)."""
        return observation.flatten(-2)[..., self.sizes.columns]

    def _improve_policies(self, rollout: Rollout, seen: Tensor, advantage: np.ndarray) -> tuple[dict, dict]:
        """Update the agents one after another from observations (B, N, O) and advantages (B, 1 + C)."""
        scale = advantage.std(0)
        advantage = ((advantage - advantage.mean(0)) / (scale + 1e-5)).astype(np.float32)
        length = float(rollout.episodes[:, 1].mean()) if len(rollout.episodes) else float(self.config.rollout_length)
        cost = self._episode_cost(rollout)
        action = rollout.action.flatten(0, 1).numpy()  # (B, N, A)
        summed = not getattr(self.config, "legacy_unsummed", False)
        reward_advantage = advantage[:, 0] if summed else np.repeat(advantage[:, :1], self.sizes.action, 1)
        factor = np.ones_like(reward_advantage)
        groups = [slice(None)] if self.share else [[i] for i in range(self.sizes.agents)]
        order = self.order.permutation(len(groups)) if self.algorithm.sequential else range(len(groups))
        diagnostics = []
        for i in map(int, order):
            actor, inputs = self.actors[i], seen[:, groups[i]].flatten(0, 1)
            acted = action[:, groups[i]].reshape(-1, self.sizes.action)
            old = actor.policy(inputs, taped=False)
            columns = (factor * reward_advantage, advantage[:, 1:], factor)
            repeated = (np.repeat(column, len(inputs) // len(seen), 0) for column in columns)
            batch = Batch(
                inputs, acted, old.log_prob(acted, summed), old, *repeated, cost - self.bound, scale[1:], length
            )
            try:
                own = self.algorithm.update_agent(i, batch)
            except NotFinite as error:
                error.place = f"agent {i}: {error.place}"
                raise
            new = actor.policy(inputs, taped=False)
            if self.algorithm.sequential:
                factor = factor * np.exp(new.log_prob(acted, summed) - batch.log_prob)
            entropy = float(np.log(new.std).mean()) + 0.5 * math.log(2 * math.pi * math.e)
            shared = {"kl": float(new.kl(old).mean()), "entropy": entropy}
            own |= {"std": float(new.std.mean()), "kl_old_new": float(old.kl(new).mean()), "j_c": float(cost.mean())}
            diagnostics.append((shared, own))
        return tuple(
            {name: float(np.mean([agent[name] for agent in found])) for name in found[0]}
            for found in zip(*diagnostics, strict=True)
        )

    def _advantages(self, rollout: Rollout, state: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return critics' outputs at collection, advantages and value targets, each (B, 1 + C); the latter float64.

        Args:
            rollout: of T steps.
            state: (T + 1, E, S).
        """
        steps, worlds = rollout.reward.shape
        terminated, ended = rollout.terminated, rollout.terminated | rollout.truncated
        if self.config.time_limit == "failure":
            terminated = ended
        output = self.critics.normalised(state.flatten(0, 1)).reshape(steps + 1, worlds, -1)
        value = self.critics.denormalise(output).astype(np.float64)
        following = value[1:].copy()
        if ended.any():
            final = self.critics.normalised(self._state(rollout.final_observation.to(self.device)))
            following[ended] = self.critics.denormalise(final)
        signal = np.concatenate([rollout.reward[..., None], rollout.cost], -1)
        advantage = gae(signal, value[:-1], following, terminated, ended, self.config.gamma, self.config.gae_lambda)
        rows = (output[:-1], advantage, advantage + value[:-1])
        return tuple(column.reshape(steps * worlds, -1) for column in rows)

    def _episode_cost(self, rollout: Rollout) -> np.ndarray:
        """Return J_C (C,): the undiscounted mean over episodes finished in this iteration, else in the latest with any.

        Before the first episode has finished it is this rollout's mean cost per step times the rollout length.
        """
        if len(rollout.episodes):
            self.episode_cost = rollout.episodes[:, 2:].mean(0)
        if self.config.legacy_stale_cost:
            used = self.stale_cost
            if self.iteration % STALE_INTERVAL == 0 and self.episode_cost is not None:
                self.stale_cost = self.episode_cost
            return used
        if self.episode_cost is None:
            return rollout.cost.mean((0, 1)) * self.config.rollout_length
        return self.episode_cost

    def state_dict(self) -> dict:
        """Return everything the next update depends on.

        Raises:
            TypeError: the algorithm keeps something that is no array, which could be saved but not restored in place.
        """
        for name, value in self.algorithm.state.items():
            if not isinstance(value, np.ndarray):
                kind = type(value).__name__
                raise TypeError(f"state[{name!r}] of {type(self.algorithm).__name__} is of type {kind}: use an array")
        return {
            "actors": [actor.state_dict() for actor in self.actors],
            "critics": self.critics.state_dict(),
            "algorithm": self.algorithm.state,
            "generator": self.generator.get_state(),
            "order": self.order.bit_generator.state,
            "iteration": self.iteration,
            "episode_cost": self.episode_cost,
            "stale_cost": self.stale_cost,
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue from `state_dict()`, on one kind of CPU bit for bit."""
        for actor, saved in zip(self.actors, state["actors"], strict=True):
            actor.load_state_dict(saved)
        self.critics.load_state_dict(state["critics"])
        for name, value in state["algorithm"].items():
            self.algorithm.state[name][:] = value
        self.generator.set_state(state["generator"])
        self.order.bit_generator.state = state["order"]
        self.iteration, self.episode_cost = state["iteration"], state["episode_cost"]
        self.stale_cost = state["stale_cost"]
