"""A run's policies in a loop of one's own: what evaluate plays, in every form of observations, from str and Path."""

import re

import numpy as np
import pytest
import torch

import envs
from algorithms import evaluate
from algorithms.controller import load
from envs.parallel import SafeParallelEnv
from workflow import sources


@pytest.fixture
def run(make_run, tmp_path):
    """The folder of a complete run of an ant with an option."""
    make_run(tmp_path, "ant_2x4", more=("episode_limit=20",)).train(lambda *_: None)
    return tmp_path


def test_the_loop_of_the_page_plays_the_episode_that_evaluate_plays(run, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```$", (sources.ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if "controller" in block)
    assert len(block.split("controller = ")[1].splitlines()) == 5
    played = []
    step = SafeParallelEnv.step

    def noted(game, actions):
        played.append(step(game, actions))
        return played[-1]

    monkeypatch.setattr(SafeParallelEnv, "step", noted)
    monkeypatch.chdir(run.parent)
    seed = evaluate.SEED + 0  # of a run with seed 0
    code = block.replace("results/mine", run.name).replace("seed=0", f"seed={seed}")
    exec(compile(code, "README.md", "exec"), {})
    row = evaluate.episodes(*evaluate.load(str(run)), 1, "deterministic")[0]
    assert len(played) == row["episode_length"] <= 20
    assert sum(rewards["agent_0"] for _, rewards, *_ in played) == pytest.approx(row["episode_return"], rel=1e-4)
    assert sum(infos["agent_0"]["cost"] for *_, infos in played) == row["episode_cost"]


def test_every_form_of_observations_and_of_paths_gives_the_same_actions(run):
    controllers = [load(path) for path in (run, str(run), run / "policy.pt", str(run / "policy.pt"))]
    env = envs.make("ant_2x4", num_envs=3, seed=0)
    observation = env.reset()
    expected = controllers[0](observation)
    assert expected.shape == (3, 2, 4) and expected.dtype == np.float32
    for controller in controllers:
        np.testing.assert_array_equal(controller(observation), expected)
        np.testing.assert_allclose(controller(observation[1]), expected[1], rtol=1e-4, atol=1e-6)
        named = controller({"agent_1": observation[2, 1], "agent_0": observation[2, 0]})
        for i in range(2):
            np.testing.assert_allclose(named[f"agent_{i}"], expected[2, i], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(controller(torch.from_numpy(observation)), expected)
    env.step(expected)


def test_exploration_has_the_deviation_of_training(run):
    controller = load(run)
    observation = np.repeat(envs.make("ant_2x4", seed=0).reset(), 4000, 0)
    noise = controller(observation, np.random.default_rng(0)) - controller(observation)
    expected = evaluate.load(run)[1].std  # (N, A)
    np.testing.assert_allclose(noise.std(0), expected, rtol=0.06)
    np.testing.assert_allclose(noise.mean(0), 0, atol=0.03)


def test_bad_input_is_refused_in_one_sentence(run, tmp_path):
    controller = load(run)
    with pytest.raises(ValueError, match=r"shape \(2, 5\); expected .* \(2, 31\)"):
        controller(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="no observation of agent_1; give one of each of agent_0, agent_1"):
        controller({"agent_0": np.zeros(31)})
    for path in (str(tmp_path / "nowhere"), tmp_path / "nowhere/policy.pt"):
        with pytest.raises(ValueError, match=r"nowhere holds no policy\.pt"):
            load(path)
