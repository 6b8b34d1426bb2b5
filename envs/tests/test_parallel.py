"""The PettingZoo interface, its pictures, and that building models leaves no trace."""

import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from pettingzoo.test import api_test, max_cycles_test, parallel_api_test, parallel_seed_test, render_test, seed_test
from pettingzoo.test.state_test import state_test
from pettingzoo.utils.conversions import parallel_to_aec

import envs
from envs.scenarios import SCENARIOS


def aec(name, **options):
    """Return the scenario as an environment in which agents take turns."""
    return parallel_to_aec(envs.parallel_env(name, **options))


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_passes_the_api_tests_of_pettingzoo(name):
    parallel_api_test(envs.parallel_env(name), num_cycles=30)
    api_test(aec(name), num_cycles=30)


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_passes_the_seed_tests_of_pettingzoo(name):
    parallel_seed_test(lambda: envs.parallel_env(name, episode_limit=30), num_cycles=40)
    seed_test(lambda: aec(name), num_cycles=10)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.filterwarnings("error")
def test_it_passes_the_state_test_of_pettingzoo(name):
    state_test(aec(name), envs.parallel_env(name))


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_passes_the_cycles_test_of_pettingzoo(name):
    class Module:
        """What PettingZoo calls max_cycles is the option episode_limit."""

        env = staticmethod(lambda max_cycles: aec(name, episode_limit=max_cycles))
        parallel_env = staticmethod(lambda max_cycles: envs.parallel_env(name, episode_limit=max_cycles))

    max_cycles_test(Module)


def test_it_passes_the_render_test_of_pettingzoo():
    def make(render_mode):  # the test begins with a window, which we do not have
        return aec("ant_2x4", render_mode=None if render_mode == "human" else render_mode)

    game = envs.parallel_env("ant_2x4", render_mode="rgb_array")
    game.reset()
    try:
        game.render()
    except RuntimeError as missing:
        pytest.skip(str(missing))
    render_test(make)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("costs", ["shared", "separate"])
def test_reset_gives_the_infos_of_a_step_and_nothing_costs_yet(name, costs):
    game = envs.parallel_env(name, costs=costs)
    _, before = game.reset(seed=0)
    rng = np.random.default_rng(0)
    action = {agent: rng.uniform(-1, 1, game.action_space(agent).shape) for agent in game.agents}
    *_, after = game.step(action)
    for agent in game.possible_agents:
        assert list(before[agent]) == list(after[agent]) and {type(value) for value in before[agent].values()} == {
            float
        }
        assert not any(value for key, value in before[agent].items() if key.startswith(("cost", "reward")))
    if SCENARIOS[name].family == "shadowhand":  # where the objects are is known before the first step
        for key in ("distance", "turn"):
            assert (
                before["agent_0"][key] == pytest.approx(after["agent_0"][key], abs=0.2) and before["agent_0"][key] > 0
            )


@pytest.mark.parametrize("kept", [False, True])
def test_reset_repeats_the_last_infos_where_asked(kept):
    game = envs.parallel_env("ant_2x4", keep_last_info=kept)
    assert game.reset(seed=0)[1]["agent_0"]["cost"] == 0
    rng = np.random.default_rng(0)
    while game.agents:
        *_, last = game.step({agent: rng.uniform(-1, 1, 4) for agent in game.agents})
    assert last["agent_0"]["cost_fall"] == 1
    _, infos = game.reset()
    assert (infos == last) == kept and infos["agent_0"]["cost"] == kept
    assert game.reset()[1]["agent_0"]["cost"] == 0  # no episode has ended since


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_state_is_what_a_critic_reads(name):
    game, env = envs.parallel_env(name), envs.make(name, seed=3)
    with pytest.raises(RuntimeError, match="reset"):
        game.state()
    game.reset(seed=3)
    first = env.reset().reshape(1, -1)[0, env.state_columns]
    np.testing.assert_array_equal(game.state(), first)
    assert game.state().dtype == game.state_space.dtype and game.state() in game.state_space
    game.step({agent: np.full(game.action_space(agent).shape, 0.5) for agent in game.agents})
    step = env.step(np.full((1, env.num_agents, env.action_size), 0.5))
    np.testing.assert_array_equal(game.state(), step.observation.reshape(-1)[env.state_columns])
    game.state()[:] = 9.0  # the caller's own
    assert game.state().max() < 9.0


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_the_vector_environment_with_one_world(name):
    game, env = envs.parallel_env(name), envs.make(name, num_envs=1, seed=7)
    seen, _ = game.reset(seed=7)
    np.testing.assert_array_equal(np.stack(list(seen.values())), env.reset()[0])
    rng = np.random.default_rng(0)
    for _ in range(10):
        action = rng.uniform(-1, 1, (env.num_agents, env.action_size))
        step = env.step(action[None])
        seen, reward, terminated, truncated, info = game.step(dict(zip(game.possible_agents, action, strict=True)))
        np.testing.assert_array_equal(np.stack(list(seen.values())), step.final_observation[0])
        assert set(reward.values()) == {step.reward[0]}
        assert {i["cost"] for i in info.values()} == {step.cost[0, 0]}
        assert any(terminated.values()) == step.terminated[0] and any(truncated.values()) == step.truncated[0]
        if not game.agents:
            break


def test_an_ended_episode_waits_for_reset_and_bad_calls_are_refused():
    game = envs.parallel_env("halfcheetah_2x3")
    game.reset(seed=0)
    action = {agent: np.zeros(3) for agent in game.agents}
    with pytest.raises(ValueError, match="agent_1"):
        game.step({"agent_0": np.zeros(3)})
    with pytest.raises(ValueError, match=r"agent_1 has shape \(2,\); expected \(A,\) = \(3,\)"):
        game.step({"agent_0": np.zeros(3), "agent_1": np.zeros(2)})
    for _ in range(1000):
        _, _, terminated, truncated, _ = game.step(action)
    assert all(truncated.values()) and not any(terminated.values()) and game.agents == []
    with pytest.raises(RuntimeError, match="reset"):
        game.step(action)
    game.reset()
    assert game.agents == game.possible_agents
    with pytest.raises(ValueError, match="human"):
        envs.parallel_env("ant_2x4", render_mode="human")


@pytest.mark.parametrize("name", ["ant_2x4", "halfcheetah_2x3", "manyagent_ant_2x3"])
def test_pictures_show_walls_or_obstacle_and_redden_when_unsafe(name):
    game = envs.parallel_env(name, render_mode="rgb_array")
    game.reset(seed=0)
    action = {agent: np.zeros(game.action_space(agent).shape) for agent in game.agents}
    try:
        frames = {False: game.render()}
    except RuntimeError as missing:
        pytest.skip(str(missing))
    state = game._env.batch.qpos
    if name == "halfcheetah_2x3":
        state[:, 0] = 3.0  # seven metres behind the obstacle
    else:
        state[:, 1] = 4.0  # beside the wall
    _, _, _, _, info = game.step(action)
    assert info["agent_0"]["cost"] == 1
    frames[True] = game.render()
    game.close()
    for frame in frames.values():
        assert frame.shape == (480, 640, 3) and frame.dtype == np.uint8
        assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 100  # a scene, not a blank
    red = {unsafe: ((f[..., 0] > 120) & (f[..., 1] < 60) & (f[..., 2] < 60)).mean() for unsafe, f in frames.items()}
    blue = {unsafe: (f[..., 2].astype(int) - f[..., 0] > 30).mean() for unsafe, f in frames.items()}
    assert red[True] > 0.01 > red[False] and blue[False] > 0.01


def test_rendering_without_opengl_says_what_to_install(monkeypatch):
    def missing(width, height):
        raise ImportError("no such library")

    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr(mujoco, "GLContext", missing)
    game = envs.parallel_env("halfcheetah_2x3", render_mode="rgb_array")
    game.reset(seed=0)
    with pytest.raises(RuntimeError, match="install libegl1"):
        game.render()
    with pytest.raises(RuntimeError, match="rgb_array"):
        envs.parallel_env("halfcheetah_2x3").render()


def test_reading_the_scenarios_imports_neither_numpy_nor_mujoco():
    code = "import sys, envs; envs.get('ant_2x4'); print({'numpy', 'mujoco', 'gymnasium'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_models_are_built_without_writing_into_installed_packages(tmp_path, monkeypatch):
    import gymnasium_robotics

    monkeypatch.chdir(tmp_path)
    folder = Path(gymnasium_robotics.__file__).parent / "envs" / "multiagent_mujoco"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "__pycache__" not in path.parts}
    for name in SCENARIOS:
        envs.make(name, seed=0, num_threads=1)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "__pycache__" not in path.parts}
    assert after == before and list(tmp_path.iterdir()) == []
