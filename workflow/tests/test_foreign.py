"""Tasks of another project: joined by a line, continued to the bit, refused in one sentence where they do not fit."""

import csv
import json
import os
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from algorithms.run.foreign import ForeignEnv
from envs.scenarios import SCENARIOS
from workflow import foreign
from workflow.suite import load
from workflow.tests.test_command_line import FULL

ANT, CHEETAH = "workflow.examples.mamujoco:ant_2x4", "workflow.examples.mamujoco:half_cheetah_6x1"


class Toy:
    """Two agents push a number; the second sees less. It ends after a drawn number of steps."""

    possible_agents = ("a", "b")
    actions, cost = (1, 1), True

    def observation_space(self, agent):
        return gymnasium.spaces.Box(-9, 9, ({"a": 2, "b": 1}[agent],))

    def action_space(self, agent):
        return gymnasium.spaces.Box(0.0, 4.0, (self.actions[agent == "b"],))

    def reset(self, seed=None, options=None):
        generator = np.random.default_rng(seed)
        self.x, self.left = generator.normal(), int(generator.integers(2, 7))
        return self._seen(), {agent: {} for agent in self.possible_agents}

    def step(self, actions):
        self.x += float(sum(action.sum() for action in actions.values()))
        self.left -= 1
        every = dict.fromkeys(self.possible_agents)
        info = {agent: {"cost": float(k) * (self.x > 3)} if self.cost else {} for k, agent in enumerate(every)}
        rewards, over = {"a": self.x, "b": 3 * self.x}, self.left == 0
        return self._seen(), rewards, dict.fromkeys(every, over), dict.fromkeys(every, False), info

    def _seen(self):
        return {"a": np.array([self.x, self.left]), "b": np.array([self.x])}


class Uneven(Toy):
    actions = (1, 2)


class Free(Toy):
    cost = False


@pytest.fixture
def row():
    """Make a row for a class of this module, and forget it afterwards."""
    yield lambda kind=Toy: foreign.add(f"toy_{kind.__name__}", f"{__name__}:{kind.__name__}", 5)
    for name in [name for name in SCENARIOS if name.startswith("toy_")]:
        del SCENARIOS[name]


def test_worlds_are_a_team_and_a_saved_state_continues_to_the_bit(row):
    env, other = ForeignEnv(row(), 3, seed=1), ForeignEnv(row(), 3, seed=9)
    actions = np.random.default_rng(0).uniform(-1.5, 1.5, (40, 3, 2, 1)).astype(np.float32)
    seen = env.reset()
    assert seen.shape == (3, 2, 2) and (seen[:, 1, 1] == 0).all() and (seen[:, 0, 1] > 1).all()
    assert env.state_columns.tolist() == [0, 1, 2]
    for action in actions[:17]:
        before, step = env.observation, env.step(action)
        x = before[:, 0, 0] + (2 * np.clip(action, -1, 1) + 2).sum((1, 2))  # [-1, 1] spans [0, 4]
        assert np.allclose(step.final_observation[:, 0, 0], x, atol=1e-5)
        assert np.allclose(step.reward, 2 * x, atol=1e-4) and (step.cost[:, 0] == (x > 3)).all()
        assert (step.terminated == (step.final_observation[:, 0, 1] == 0)).all()
    other.load_state_dict(env.state_dict())
    for action in actions[17:]:
        for mine, theirs in zip(env.step(action)[:6], other.step(action)[:6], strict=True):
            assert np.array_equal(mine, theirs)


def test_without_automatic_reset_an_ended_world_stands_still(row):
    env = ForeignEnv(row(), 4, seed=3)
    env.auto_reset = False
    env.reset()
    steps = [env.step(np.ones((4, 2, 1))) for _ in range(8)]
    assert (sum(step.terminated for step in steps) == 1).all()
    ended = np.argmax([step.terminated for step in steps], 0)
    assert len(set(ended)) > 1
    for k in range(4):
        assert all(step.reward[k] == 0 and step.cost[k] == 0 for step in steps[ended[k] + 1 :])


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [(Uneven, "agents with 1, 2 actions: all must have as many"), (Free, r"gives no info\['a'\]\['cost'\]")],
)
def test_what_does_not_fit_is_refused(row, kind, sentence):
    with pytest.raises(ValueError, match=sentence):
        ForeignEnv(row(kind), 2, seed=0)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ({"name": "ant_2x4", "env": ANT, "bound": 25}, "scenario 'ant_2x4' is one of ours"),
        ({"name": "toy_x", "env": "nowhere", "bound": 25}, "env='nowhere' of scenario toy_x is not valid"),
        ({"name": "toy/x", "env": ANT, "bound": 25}, "the scenario's name 'toy/x' is not valid"),
        ({"name": "toy_x", "env": ANT, "bound": -1}, "is out of range"),
        ({"name": "toy_x", "env": ANT}, "the key 'bound' is missing in scenarios.0"),
        ({"name": "toy_x", "env": ANT, "bound": 25, "bond": 1}, "unknown key 'bond' in scenarios.0"),
    ],
)
def test_a_wrong_line_is_refused(row, line, sentence):
    with pytest.raises(ValueError, match=sentence):
        load(FULL | {"scenarios": [line]})


def test_the_options_of_the_command_line_train_evaluate_and_continue_it(tmp_path):
    def run(module, *arguments):
        command = [sys.executable, "-m", f"algorithms.{module}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ)

    what = ["--scenario", "cheetah", "--env", CHEETAH, "--bound", "25", "--algorithm", "mafocops"]
    small = ["--set", "num_envs=2", "rollout_length=60", "epochs=1"]
    found = []
    for name, parts in (("one", ["240"]), ("two", ["120", "240"])):
        for steps in parts:
            done = run("train", *what, "--steps", steps, "--output", str(tmp_path / name), *small)
            assert done.returncode == 0, done.stderr
        with (tmp_path / name / "metrics.csv").open() as file:
            found.append(
                [
                    {k: v for k, v in row.items() if not k.startswith(("fps", "mem", "wall"))}
                    for row in csv.DictReader(file)
                ]
            )
    assert found[0] == found[1] and len(found[0]) == 2
    record = json.loads((tmp_path / "two/run.json").read_text())
    assert record["foreign"] == {"name": "cheetah", "env": CHEETAH, "bound": 25.0}
    assert run("evaluate", str(tmp_path / "two"), "--episodes", "1").returncode == 0
    wrong = run("train", *what[:3], "no.where:env", *what[4:], "--output", str(tmp_path / "three"))
    assert wrong.returncode == 2 and "env=no.where:env cannot be imported" in wrong.stderr
    assert not (tmp_path / "three/metrics.csv").exists()
