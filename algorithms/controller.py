"""A run's final policies as a function, for a loop of one's own: observations in, actions out.

controller = load("results/mine")
actions = controller(observations)
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

import envs
from workflow.foreign import Foreign

from . import evaluate


class Controller:
    """The policies of all agents.

    Attributes:
        scenario: what they were trained on.
        options: of its environment, for `envs.make` and `envs.parallel_env`; none of another project's task.
        agents: their names, as in the PettingZoo environment.
    """

    def __init__(self, record: dict, ensemble) -> None:
        """Take what `evaluate.load` returned."""
        self.scenario = envs.get(record["scenario"])
        self.options = envs.options_in(self.scenario, record["settings"])
        self._ensemble, self._team = ensemble, None
        if isinstance(self.scenario, Foreign):
            self._team = evaluate.team_of(self.scenario)
            self.agents = self._team.agents
        else:
            self.agents = [f"agent_{i}" for i in range(self.scenario.agents)]

    def __call__(
        self, observation: np.ndarray | Mapping[str, np.ndarray], generator: np.random.Generator | None = None
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Return the mean actions, or, with a generator, actions as in training.

        Args:
            observation: (E, N, O) of E worlds, (N, O) of one, or (O,) for each agent by name. In arrays of another
                project's task shorter observations are padded with zeros; by name they are as the task gives them.
            generator: of the exploration.

        Returns:
            actions in the same form, A in place of O. They may lie beyond [-1, 1], which the motors clamp; by name
            those for another project's task are within its bounds.

        Raises:
            ValueError: an agent has no observation, or the shape is another.
        """
        if isinstance(observation, Mapping):
            if missing := [agent for agent in self.agents if agent not in observation]:
                raise ValueError(f"no observation of {missing[0]}; give one of each of {', '.join(self.agents)}")
            if self._team is not None:
                return self._team.split(self(self._team.stack(observation), generator))
            actions = self(np.stack([observation[agent] for agent in self.agents]), generator)
            return dict(zip(self.agents, actions, strict=True))
        seen = np.asarray(observation, np.float32)
        wanted = (len(self.agents), self._ensemble.observation_size)
        if seen.ndim not in (2, 3) or seen.shape[-2:] != wanted:
            raise ValueError(f"observations have shape {seen.shape}; expected (E, N, O) or (N, O) = {wanted}")
        action = self._ensemble.mean(seen.reshape(-1, *wanted))  # (E, N, A)
        if generator is not None:
            action = action + self._ensemble.std * generator.standard_normal(action.shape, np.float32)
        return action.reshape(*seen.shape[:-1], -1)


def load(path: str | Path) -> Controller:
    """Return the controller of a complete run: of its folder, or of the policy.pt in it.

    Raises:
        ValueError: there is no complete run, or another project's task cannot be made.
    """
    path = Path(path)
    return Controller(*evaluate.load(path.parent if path.name == "policy.pt" else path))
