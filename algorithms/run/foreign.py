"""Many worlds of another project's PettingZoo ParallelEnv, with the interface of `envs.VectorEnv`.

The worlds are stepped in a loop: gymnasium's processes take about twice the CPU time per step, and a suite has a run
for every core. A world's state is not asked for: a checkpoint keeps the seed and the actions of the episode under way,
and continuing plays them again: to the same bits on one kind of CPU, where the task is a function of seed and actions.
"""

import importlib
from collections.abc import Mapping

import gymnasium
import numpy as np
from pettingzoo import ParallelEnv

from envs.vector import Step
from workflow.foreign import Foreign


class Team:
    """The agents of a ParallelEnv as rows of an array, and back.

    Shorter observations are padded with zeros; actions in [-1, 1] span the bounds of the task's own.

    Attributes:
        agents: their names, one per row.
        sizes: of their observations.
        observation_size: the largest of `sizes`, O.
        shape: of an action of all, (N, A).
    """

    def __init__(self, world: ParallelEnv) -> None:
        """Take the agents and spaces of `world`."""
        self.agents = list(world.possible_agents)
        self.sizes = [world.observation_space(agent).shape[0] for agent in self.agents]
        boxes = [world.action_space(agent) for agent in self.agents]
        self._low, self._high = (np.stack([getattr(box, side) for box in boxes]) for side in ("low", "high"))
        self.observation_size, self.shape = max(self.sizes), self._low.shape

    def stack(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the agents' observations as rows, (N, O) float32; an agent that sees nothing any more has zeros."""
        rows = np.zeros((len(self.agents), self.observation_size), np.float32)
        for row, agent, size in zip(rows, self.agents, self.sizes, strict=True):
            if agent in seen:
                row[:size] = seen[agent]
        return rows

    def split(self, action: np.ndarray) -> dict[str, np.ndarray]:
        """Return the rows of an action (N, A), clipped to [-1, 1], as the task takes them."""
        scaled = self._low + (np.clip(action, -1, 1) + 1) * (self._high - self._low) / 2
        return dict(zip(self.agents, scaled.astype(self._low.dtype), strict=True))


class ForeignEnv:
    """E worlds of one task with automatic reset; see `envs.VectorEnv` for the attributes.

    Reward and cost are the team's: the agents' mean reward, and the largest of their costs. An episode ends for all
    agents when it ends for one.
    """

    auto_reset = True
    num_costs, cost_names = 1, ("cost",)
    outcomes = ()

    def __init__(self, scenario: Foreign, num_envs: int = 1, seed: int | None = None) -> None:
        """Build the worlds.

        Raises:
            ValueError: the task cannot be imported, or is not of the kind that can be trained here.
        """
        self.scenario, self.num_envs = scenario, num_envs
        maker = _function(scenario.env)
        self._worlds = [maker() for _ in range(num_envs)]
        self._check(self._worlds[0])
        self.team = Team(self._worlds[0])
        self.num_agents, self.action_size = self.team.shape
        self.observation_size = self.team.observation_size
        self.state_columns = np.concatenate(
            [k * self.observation_size + np.arange(size) for k, size in enumerate(self.team.sizes)]
        )
        self.episode_limit = scenario.limit
        self.unstable = np.zeros(num_envs, np.int64)
        self.observation: np.ndarray | None = None
        self._ended = np.zeros(num_envs, bool)
        self._seeds, self._played = [0] * num_envs, [[] for _ in range(num_envs)]
        self.seed(seed)

    def seed(self, seed: int | None) -> None:
        """Give every world its own generator, which depends on the seed and the world's number alone."""
        self._generators = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(self.num_envs)]

    def reset(self) -> np.ndarray:
        """Start a new episode in every world and return the observation, (E, N, O) float32."""
        self.observation = np.stack([self._begin(k) for k in range(self.num_envs)])
        return self.observation

    def step(self, actions: np.ndarray) -> Step:
        """Advance all worlds by actions (E, N, A); a world that has ended stands still, without reward and cost.

        Raises:
            RuntimeError: before the first reset.
        """
        if self.observation is None:
            raise RuntimeError("call reset() before the first step()")
        reward, cost = np.zeros(self.num_envs), np.zeros((self.num_envs, 1))
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        final = self.observation.copy()
        for k in np.flatnonzero(~self._ended):
            final[k], reward[k], cost[k], terminated[k], truncated[k] = self._advance(
                k, np.array(actions[k], np.float32)
            )
        self.observation = final.copy()
        self._ended |= terminated | truncated
        if self.auto_reset:
            for k in np.flatnonzero(self._ended):
                self.observation[k] = self._begin(k)
        return Step(self.observation, reward, cost, terminated, truncated, final, {"cost_cost": cost[:, 0]})

    def state_dict(self) -> dict:
        """Return everything the future depends on: generators, and each episode's seed and actions so far."""
        empty = np.empty((0, self.num_agents, self.action_size), np.float32)
        return {
            "generators": [generator.bit_generator.state for generator in self._generators],
            "seeds": list(self._seeds),
            "played": [np.stack(played) if played else empty for played in self._played],
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue where `state_dict` was called, by playing the episodes under way again."""
        seeds = [int(seed) for seed in state["seeds"]]
        self.observation = np.stack([self._begin(k, seed) for k, seed in enumerate(seeds)])
        for k, played in enumerate(state["played"]):
            for action in played:
                self.observation[k] = self._advance(k, action)[0]
        for generator, saved in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = saved

    def _begin(self, k: int, seed: int | None = None) -> np.ndarray:
        """Start an episode of world k, with a seed of its own, and return its observation (N, O)."""
        self._seeds[k] = int(self._generators[k].integers(2**31)) if seed is None else seed
        self._played[k], self._ended[k] = [], False
        return self.team.stack(self._worlds[k].reset(seed=self._seeds[k])[0])

    def _advance(self, k: int, action: np.ndarray) -> tuple[np.ndarray, float, float, bool, bool]:
        """Step world k by an action (N, A) and return observation (N, O), reward, cost, terminated, truncated."""
        self._played[k].append(action)
        seen, reward, terminated, truncated, info = self._worlds[k].step(self.team.split(action))
        ended = any(terminated.values())
        shared = (np.mean(list(reward.values())), max(float(info[agent]["cost"]) for agent in reward))
        return self.team.stack(seen), *shared, ended, any(truncated.values()) and not ended

    def _check(self, world: ParallelEnv) -> None:
        """Refuse what cannot be trained here."""
        name = f"{self.scenario.name} ({self.scenario.env})"
        if not hasattr(world, "possible_agents"):
            raise ValueError(f"{name} is a {type(world).__name__}: it must be a PettingZoo ParallelEnv")
        actions = [world.action_space(agent) for agent in world.possible_agents]
        for space in [*actions, *(world.observation_space(agent) for agent in world.possible_agents)]:
            if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
                raise ValueError(f"{name} has the space {space}: every space must be a Box with one axis")
        if not all(space.is_bounded() for space in actions):
            raise ValueError(f"{name} has actions without bounds: they must lie between numbers")
        if len({space.shape for space in actions}) > 1:
            sizes = ", ".join(str(space.shape[0]) for space in actions)
            raise ValueError(f"{name} has agents with {sizes} actions: all must have as many")
        world.reset(seed=0)
        middle = {agent: (box.low + box.high) / 2 for agent, box in zip(world.possible_agents, actions, strict=True)}
        for agent, info in world.step(middle)[4].items():
            if "cost" not in info:
                raise ValueError(f"{name} gives no info[{agent!r}]['cost']: its step must say what it cost")


def _function(name: str):
    """Return what `package.module:function` names, or raise ValueError."""
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"env={name} cannot be imported: {error}") from error
