"""The scenarios as PettingZoo parallel environments.

The same code as the vector environment with one world, so that a policy meets exactly the task it was trained on. It
does not reset by itself: after the end of an episode `agents` is empty until `reset`. All agents share reward and cost;
`info[agent]["cost"]` is 1 when unsafe and the other entries of `info` are the addends of reward and cost.
"""

from typing import TYPE_CHECKING

import gymnasium
import numpy as np
from pettingzoo import ParallelEnv

from .scenarios import Scenario
from .vector import VectorEnv, as_array

if TYPE_CHECKING:
    from .rendering import Renderer

RENDER_MODES = (None, "rgb_array")


class SafeParallelEnv(ParallelEnv):
    """One world of a scenario for PettingZoo."""

    metadata = {"name": "safe_multi_agent_mujoco", "render_modes": ["rgb_array"], "is_parallelizable": True}  # noqa: RUF012

    def __init__(
        self, scenario: Scenario, render_mode: str | None = None, keep_last_info: bool = False, **options
    ) -> None:
        """Build the world; see `parallel_env` of the package."""
        if render_mode not in RENDER_MODES:
            raise ValueError(f"unknown render_mode {render_mode!r}; choose from None, rgb_array")
        self._env = VectorEnv(scenario, **options)
        self._env.auto_reset = False
        self._renderer: Renderer | None = None
        self._unsafe, self._keep_last_info = False, keep_last_info
        self._last_infos: dict[str, dict[str, float]] | None = None
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "name": scenario.name, "render_fps": round(1 / scenario.dt)}
        self.possible_agents = [f"agent_{i}" for i in range(scenario.agents)]
        self.agents: list[str] = []
        limit = self._env.observation_limit
        self._action_shape = action = (scenario.actions_per_agent,)
        observation = (self._env.observation_size,)
        state = np.arange(scenario.agents * self._env.observation_size)[self._env.state_columns]
        self.state_space = gymnasium.spaces.Box(-limit, limit, state.shape, np.float32)
        self.observation_spaces = {
            agent: gymnasium.spaces.Box(-limit, limit, observation, np.float32) for agent in self.possible_agents
        }
        self.action_spaces = {
            agent: gymnasium.spaces.Box(-1.0, 1.0, action, np.float32) for agent in self.possible_agents
        }

    def observation_space(self, agent: str) -> gymnasium.spaces.Box:
        """Space of an agent's observation, (O,) float32."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.spaces.Box:
        """Space of an agent's action, (A,) in [-1, 1]; actions beyond it are legal, clamped and charged in full."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        """Start an episode; without a seed the random numbers continue.

        Returns:
            observations and infos by agent; an info has the entries that it has after a step, or repeats the last of
            the episode that ended before, if the environment was made so.
        """
        if seed is not None:
            self._env.seed(seed)
        self._unsafe = False
        self.agents = list(self.possible_agents)
        observation = self._split(self._env.reset())
        infos = self._last_infos or self._infos(self._env.initial_terms())
        self._last_infos = None
        return observation, infos

    def state(self) -> np.ndarray:
        """Return what a critic of all agents reads, (S,) float32: each number that some agent sees, once.

        Raises:
            RuntimeError: before the first reset.
        """
        if self._env.observation is None:
            raise RuntimeError("call reset() before state()")
        return self._env.observation.reshape(-1)[self._env.state_columns].copy()

    def step(self, actions: dict[str, np.ndarray]) -> tuple[dict, dict, dict, dict, dict]:
        """Advance by one control step.

        Args:
            actions: (A,) for each agent, an array or a tensor.

        Returns:
            observations, rewards, terminations, truncations and infos by agent.

        Raises:
            ValueError: if an agent's action is missing, has the wrong shape or is not finite.
            RuntimeError: if the episode has ended.
        """
        if not self.agents:
            raise RuntimeError("the episode has ended; call reset() before step()")
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise ValueError(f"no action for {', '.join(missing)}; give one for each of {', '.join(self.agents)}")
        joint = [as_array(actions[agent]) for agent in self.agents]
        for agent, action in zip(self.agents, joint, strict=True):
            if action.shape != self._action_shape:
                raise ValueError(
                    f"the action of {agent} has shape {action.shape}; expected (A,) = {self._action_shape}"
                )
        result = self._env.step(np.stack(joint)[None])
        self._unsafe = bool(result.cost.any())
        answer = (
            self._split(result.observation),
            dict.fromkeys(self.agents, float(result.reward[0])),
            dict.fromkeys(self.agents, bool(result.terminated[0])),
            dict.fromkeys(self.agents, bool(result.truncated[0])),
            self._infos(result.terms),
        )
        if result.terminated[0] or result.truncated[0]:
            self.agents, self._last_infos = [], self._infos(result.terms) if self._keep_last_info else None
        return answer

    def render(self) -> np.ndarray:
        """Return the present state as an image, (480, 640, 3) uint8, with what is unsafe in red.

        Raises:
            RuntimeError: if the environment was made without a render mode or the machine has no OpenGL.
        """
        if self.render_mode is None:
            raise RuntimeError('made without rendering; pass render_mode="rgb_array"')
        if self._renderer is None:
            from .rendering import Renderer  # OpenGL is needed by nobody else

            self._renderer = Renderer(self._env.batch.model, self._env.scenario)
        return self._renderer.frame(self._env.batch.state[0], self._unsafe)

    def close(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __getstate__(self) -> dict:
        """Return what a copy or a pickle needs; it makes a renderer of its own."""
        return {**vars(self), "_renderer": None}

    def _infos(self, terms: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
        info = {"cost": float(self._unsafe), **{name: float(term[0]) for name, term in terms.items()}}
        return {agent: dict(info) for agent in self.possible_agents}

    def _split(self, observation: np.ndarray) -> dict[str, np.ndarray]:
        return {agent: observation[0, i] for i, agent in enumerate(self.possible_agents)}
