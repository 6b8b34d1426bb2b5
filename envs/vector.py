"""Many worlds of one scenario at once: the environment the learners train on.

One call of `mujoco.batch.Batch` steps all worlds on a thread pool, with the same bits at any number of threads; the
tasks are NumPy on views of its arrays, without a Python loop over worlds or agents. A single environment is the same
code with one world. All agents share one reward and one cost. What a task is stands in its family's file, see FAMILIES.
"""

import os
from typing import NamedTuple

import mujoco
import numpy as np
from mujoco.batch import Batch

from . import forks
from .ant import Ant
from .half_cheetah import HalfCheetah
from .scenarios import EPISODE_LIMIT, Scenario, complete
from .shadow_hand import ShadowHand
from .task import Task

FAMILIES: dict[str, type[Task]] = {
    "ant": Ant,
    "halfcheetah": HalfCheetah,
    "manyagent_ant": Ant,
    "shadowhand": ShadowHand,
}


class Step(NamedTuple):
    """What one vector step returns; no later step overwrites the arrays.

    Attributes:
        observation: (E, N, O) float32, already of the new episode where one ended.
        reward: (E,) float64.
        cost: (E, C) float64, 1 when unsafe.
        terminated: (E,) bool, the robot or an object fell, or the simulation became unstable.
        truncated: (E,) bool, the time limit was reached; never together with `terminated`.
        final_observation: (E, N, O) float32, of the state the step led to, ended or not.
        terms: the addends of reward and cost, (E,) each, by name.
    """

    observation: np.ndarray
    reward: np.ndarray
    cost: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final_observation: np.ndarray
    terms: dict[str, np.ndarray]


class VectorEnv:
    """E worlds of one scenario with automatic reset.

    Attributes:
        scenario: the row of the benchmark.
        num_envs, num_agents, action_size, observation_size, num_costs: E, N, A, O, C.
        cost_names: ("cost",), or the names of the separate costs.
        episode_limit: control steps after which an episode is truncated.
        observation_limit: no entry of an observation is larger in magnitude.
        outcomes: names of the terms that say, at the end of an episode, how it went.
        state_columns: the entries of a world's flattened (N * O) observation that a critic reads, a slice or indices.
        auto_reset: whether `step` starts a new episode where one ended (the default); if not, call `reset`.
        batch: the mujoco.batch.Batch underneath.
        observation: (E, N, O), what `reset` or `step` returned last; None before the first reset.
        unstable: (E,) steps so far at which MuJoCo met huge or non-finite numbers and put the world back to the model's
            pose; the episode ends there.
    """

    auto_reset = True

    def __init__(
        self, scenario: Scenario, num_envs: int = 1, seed: int | None = None, num_threads: int | None = None, **options
    ) -> None:
        """Build the worlds.

        Args:
            scenario: the row of the benchmark.
            num_envs: number of worlds E.
            seed: of the reset noise; None takes entropy from the system.
            num_threads: of the simulation; None takes the CPUs this process may use, at most one per world.
            **options: of the task, by the names in OPTIONS.

        Raises:
            ValueError: if an option or its value is unknown, or a number is not positive.
        """
        chosen = complete(scenario, options)
        for name, number in (("num_envs", num_envs), ("num_threads", num_threads)):
            if number is not None and number < 1:
                raise ValueError(f"{name} is {number}; choose a positive number")
        self.scenario, self.num_envs, self.num_agents = scenario, num_envs, scenario.agents
        limit = chosen[EPISODE_LIMIT]
        self.action_size, self.episode_limit = (
            scenario.actions_per_agent,
            scenario.limit if limit == "original" else int(limit),
        )
        self._options, self._num_threads = chosen, num_threads
        model = FAMILIES[scenario.family].build(scenario, chosen)
        self._simulate(model)
        self._separate = chosen["costs"] == "separate"
        self.cost_names = self._task.cost_names if self._separate else ("cost",)
        self.num_costs = len(self.cost_names)
        self.observation_size, self.state_columns = self._task.observation_size, self._task.state_columns
        self.observation_limit, self.outcomes = self._task.observation_limit, self._task.outcomes
        self.observation: np.ndarray | None = None
        self._frame_skip = round(scenario.dt / model.opt.timestep)
        self._action_shape = (num_envs, self.num_agents, self.action_size)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self.unstable = np.zeros(num_envs, dtype=np.int64)
        self.seed(seed)

    def _simulate(self, model: mujoco.MjModel) -> None:
        """Make the worlds, and the task on their arrays."""
        self.batch = Batch(model, self.num_envs, self._num_threads or min(self.num_envs, _available_cpus()))
        self._task = FAMILIES[self.scenario.family](self.batch, self.scenario, self._options)
        # counters of non-finite or huge qpos, qvel and qacc: MuJoCo then resets the world instead of going on
        first, last = mujoco.mjtWarning.mjWARN_BADQPOS.value, mujoco.mjtWarning.mjWARN_BADQACC.value
        self._warnings = self.batch.warning[:, first : last + 1, 1]
        forks.in_every_child(self, VectorEnv._leave_threads)

    def _leave_threads(self) -> None:
        """Go on with threads of its own in a child process, where the parent's do not run."""
        old = self.batch
        if old.nthread > 1:
            forks.keep(old)
            self._simulate(old.model)
            self._take(old.state, old.warning)

    def _take(self, state: np.ndarray, warning: np.ndarray) -> None:
        """Continue from the worlds of another batch of the same model."""
        self.batch.state[:], self.batch.warning[:] = state, warning

    def __getstate__(self) -> dict:
        """Return what a copy or a pickle needs, which goes on bit for bit on one kind of CPU."""
        kept = {name: value for name, value in vars(self).items() if name not in ("batch", "_task", "_warnings")}
        return {"attributes": kept, "state": self.batch.state.copy(), "warning": self.batch.warning.copy()}

    def __setstate__(self, saved: dict) -> None:
        """Compile the model again and go on from `__getstate__`."""
        vars(self).update(saved["attributes"])
        self._simulate(FAMILIES[self.scenario.family].build(self.scenario, self._options))
        self._take(saved["state"], saved["warning"])

    def seed(self, seed: int | None) -> None:
        """Give every world its own generator, which depends on the seed and the world's number alone."""
        self._generators = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(self.num_envs)]

    def reset(self) -> np.ndarray:
        """Start a new episode in every world and return the observation, (E, N, O) float32."""
        self._reset_worlds(np.arange(self.num_envs))
        self.observation = self._task.observe()
        return self.observation

    def step(self, actions: np.ndarray) -> Step:
        """Advance all worlds by one control step; a world whose episode ends starts the next one at once.

        Args:
            actions: (E, N, A), an array or a tensor; the motors clamp to [-1, 1] but the control penalty charges the
                raw values.

        Raises:
            ValueError: if the shape is wrong or an action is not finite.
            RuntimeError: before the first reset.
        """
        flat, control = self._check_actions(actions)
        task = self._task
        task.act(flat)
        self.batch.step(nstep=self._frame_skip, stage=task.stage)
        self._elapsed += 1
        failed = self._warnings.any(axis=1)
        self.unstable += failed
        reward, terminated, terms = task.outcome(control, failed)
        truncated = (self._elapsed >= self.episode_limit) & ~terminated
        cost = self._cost(terms)
        final_observation = self.observation = self._task.observe()
        ended = np.flatnonzero(terminated | truncated)
        if ended.size and self.auto_reset:
            self._reset_worlds(ended)
            self.observation = self._task.observe()
        return Step(self.observation, reward, cost, terminated, truncated, final_observation, terms)

    def initial_terms(self) -> dict[str, np.ndarray]:
        """Return what `Step.terms` would be where no step was taken yet, (E,) each, under the same names."""
        return self._task.initial_terms(self.num_envs)

    def state_dict(self) -> dict:
        """Return copies of everything the future depends on: physics, warm starts, time, counters, generators."""
        return {
            "state": self.batch.state.copy(),
            "elapsed": self._elapsed.copy(),
            "generators": [generator.bit_generator.state for generator in self._generators],
            "observation": None if self.observation is None else self.observation.copy(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue where `state_dict` was called, on an environment made with the same arguments.

        On one kind of CPU the numbers that follow are the same bit for bit.

        Raises:
            ValueError: if the state belongs to another number of worlds or another model.
        """
        if state["state"].shape != self.batch.state.shape:
            raise ValueError(
                f"the saved state has shape {state['state'].shape}, this environment {self.batch.state.shape}; "
                "make it with the same scenario, num_envs and walls"
            )
        self.batch.state[:] = state["state"]
        self._elapsed[:] = state["elapsed"]
        for generator, saved in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = saved
        self.observation = None if state["observation"] is None else state["observation"].copy()

    def _check_actions(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the actions as (E, N * A) float64 and their squared norm (E,)."""
        if self.observation is None:
            raise RuntimeError("call reset() before the first step()")
        actions = as_array(actions)
        if actions.shape != self._action_shape:
            raise ValueError(f"actions have shape {actions.shape}; expected (E, N, A) = {self._action_shape}")
        flat = actions.reshape(self.num_envs, -1)
        control = np.einsum("ij,ij->i", flat, flat)
        if not np.isfinite(control).all():
            world = np.flatnonzero(~np.isfinite(control))[0]
            raise ValueError(f"the actions of world {world} are not finite: {actions[world].tolist()}")
        return flat, control

    def _cost(self, terms: dict[str, np.ndarray]) -> np.ndarray:
        """Stack the separate costs as (E, C), or merge them into one that is 1 if any of them is."""
        columns = [terms[f"cost_{name}"] for name in self._task.cost_names]
        cost = np.empty((self.num_envs, len(columns)))
        for i, column in enumerate(columns):
            cost[:, i] = column
        return cost if self._separate else cost.max(axis=1, keepdims=True)

    def _reset_worlds(self, worlds: np.ndarray) -> None:
        """Start new episodes; worlds is sorted."""
        self.batch.reset(worlds, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        self._task.begin(worlds, self._generators)
        self._elapsed[worlds] = 0
        self.batch.forward(worlds)


def as_array(value: object) -> np.ndarray:
    """Return numbers as float64: an array, a list, or a PyTorch tensor, with a gradient or on any device."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double()  # NumPy has no bfloat16
    return np.asarray(value, dtype=np.float64)


def _available_cpus() -> int:
    """CPUs this process may run on, which on a shared cluster node are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
