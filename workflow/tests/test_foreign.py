"""Tasks of another project: joined by a line, continued to the bit, refused in one sentence where they do not fit."""

import csv
import json
import os
import re
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch

from algorithms import evaluate
from algorithms.controller import load as load_controller
from algorithms.run.folder import check
from algorithms.run.foreign import ForeignEnv
from algorithms.run.run import Run
from algorithms.train import arguments, env_maker, task_of
from envs.scenarios import SCENARIOS
from workflow import foreign, sources
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


class Wide(Toy):
    actions = (2, 2)


@pytest.fixture
def row():
    """Make a row for a class of this module, and forget it afterwards."""
    yield lambda kind=Toy: foreign.add(f"toy_{kind.__name__}", f"{__name__}:{kind.__name__}", 5)
    forget()


def forget():
    """Let this process know no task of another project."""
    for name in [name for name, known in SCENARIOS.items() if known.family == foreign.FAMILY]:
        del SCENARIOS[name]


def task_and_class(kind=Toy, bound="5", env=None):
    """Return what the command line makes of options for a class of this module, under one name for all."""
    what = ["--scenario", "toy_one", "--env", env or f"{__name__}:{kind.__name__}", "--bound", bound]
    small = ["num_envs=2", "rollout_length=40", "minibatch_size=20", "critic_minibatch_size=20", "epochs=1"]
    return task_of(arguments().parse_args([*what, "--algorithm", "happo", "--steps", "80", "--set", *small]))


def run_in(folder, **options):
    task, kind = task_and_class(**options)
    return Run(task, kind, folder, env_maker(task, 1), torch.device("cpu"))


@pytest.fixture
def trained(tmp_path):
    """The folder of a complete run of Toy."""
    run_in(tmp_path).train(lambda *_: None)
    yield tmp_path
    forget()


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
    page = (sources.ROOT / "workflow/examples/README.md").read_text()
    (block,) = re.findall(r"^```python\n(from algorithms.controller.*?)^```$", page, re.MULTILINE | re.DOTALL)
    variables = {}
    code = block.replace("results/mine", str(tmp_path / "two")).replace("ant_2x4", "half_cheetah_6x1")
    exec(compile(code, "README.md", "exec"), variables)
    assert variables["game"].agents == [] and all(variables["truncated"].values())
    wrong = run("train", *what[:3], "no.where:env", *what[4:], "--output", str(tmp_path / "three"))
    assert wrong.returncode == 2 and "env=no.where:env cannot be imported" in wrong.stderr
    assert not (tmp_path / "three/metrics.csv").exists()


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"kind": Wide}, r"holds a run with env=\S+:Toy, not \S+:Wide"),
        ({"bound": "6"}, r"holds a run with bound=5\.0, not 6\.0"),
    ],
)
def test_another_task_under_the_same_name_is_refused(trained, other, sentence):
    task, _ = task_and_class()
    assert check(trained, task)
    with pytest.raises(ValueError, match=r"scenario 'toy_one' is \S+:Toy with bound 5 already: .* with bound \d"):
        task_and_class(**other)
    forget()
    with pytest.raises(ValueError, match=sentence):
        check(trained, task_and_class(**other)[0])
    for name in ("run.json", "metrics.csv", "policy.pt"):
        (trained / name).unlink()  # a checkpoint is left
    with pytest.raises(ValueError, match="belongs to another run or other settings"):
        run_in(trained, **other)


def test_a_controller_takes_the_task_s_own_observations_and_gives_its_own_actions(trained):
    forget()  # as in a process of its own: the record tells
    controllers = [load_controller(path) for path in (trained, str(trained / "policy.pt"))]
    env = ForeignEnv(controllers[0].scenario, 3, seed=5)
    seen = env.reset()
    for controller in controllers:
        assert controller.agents == ["a", "b"] and controller.options == {}
        actions = controller(seen)
        assert actions.shape == (3, 2, 1)
        for mean in (actions[1], 1e3 * np.sign(actions[1])):  # also beyond the bounds, which are 0 and 4
            named = controller._team.split(mean)
            for k, agent in enumerate("ab"):
                assert named[agent] == pytest.approx(2 + 2 * np.clip(mean[k], -1, 1)) and named[agent].shape == (1,)
        by_name = controller({"b": seen[1, 1, :1], "a": seen[1, 0]})
        for k, agent in enumerate("ab"):
            np.testing.assert_allclose(by_name[agent], 2 + 2 * np.clip(actions[1, k], -1, 1), rtol=1e-5)
            assert controller.agents[k] == list(by_name)[k]
        with pytest.raises(ValueError, match="no observation of b; give one of each of a, b"):
            controller({"a": seen[0, 0]})


def test_a_controller_in_one_s_own_loop_plays_what_evaluate_plays(trained):
    controller, game = load_controller(trained), Toy()
    env = ForeignEnv(controller.scenario, 1, evaluate.SEED)
    env.reset()
    observations, _ = game.reset(seed=env._seeds[0])
    total, over = np.zeros(2), False
    while not over:
        observations, rewards, terminated, _, infos = game.step(controller(observations))
        total += np.mean(list(rewards.values())), max(info["cost"] for info in infos.values())
        over = any(terminated.values())
    row = evaluate.episodes(*evaluate.load(trained), 1, "deterministic")[0]
    np.testing.assert_allclose(total, [row["episode_return"], row["episode_cost"]], rtol=1e-5)


def test_policies_of_a_task_that_has_changed_are_refused(trained, monkeypatch):
    monkeypatch.setattr(Toy, "actions", (2, 2))
    with pytest.raises(ValueError, match=r"policy\.pt holds 2 policies that do not fit toy_one"):
        load_controller(trained)
