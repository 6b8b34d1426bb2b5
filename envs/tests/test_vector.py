"""The vector environment: determinism, threads, resets, ends of episodes, exact resumption, refusals."""

import pickle

import numpy as np
import pytest

import envs
from envs.scenarios import SCENARIOS


def rollout(name, steps=12, num_envs=3, num_threads=1, seed=5, **options):
    """Return what `steps` random steps gave, stacked by field."""
    env = envs.make(name, num_envs=num_envs, seed=seed, num_threads=num_threads, **options)
    rng = np.random.default_rng(0)
    first = env.reset()
    taken = [env.step(rng.uniform(-1, 1, (num_envs, env.num_agents, env.action_size))) for _ in range(steps)]
    return [first, *(np.stack([getattr(step, field) for step in taken]) for field in ("observation", "reward", "cost"))]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_seed_gives_the_same_bits_at_any_number_of_threads(name):
    for one, two in zip(rollout(name), rollout(name, num_threads=2), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", SCENARIOS)
def test_another_seed_gives_another_episode(name):
    assert not np.array_equal(rollout(name)[0], rollout(name, seed=6)[0])


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_world_does_not_depend_on_the_others(name):
    """World 0 of three gives, step for step, the bits of a single environment with the same seed and actions."""
    many, single = envs.make(name, num_envs=3, seed=5), envs.make(name, num_envs=1, seed=5)
    np.testing.assert_array_equal(many.reset()[:1], single.reset())
    rng = np.random.default_rng(1)
    for _ in range(30):
        action = rng.uniform(-1, 1, (3, many.num_agents, many.action_size))
        a, b = many.step(action), single.step(action[:1])
        for field in ("observation", "reward", "cost", "terminated", "truncated", "final_observation"):
            np.testing.assert_array_equal(getattr(a, field)[:1], getattr(b, field))


VARIANTS = {
    "ant": {"walls": "free"},
    "manyagent_ant": {"walls": "free"},
    "halfcheetah": {"costs": "separate"},
    "shadowhand": {"fall": "continue"},
}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("varied", [False, True])
def test_a_restored_environment_continues_bit_for_bit(name, varied):
    options = VARIANTS[SCENARIOS[name].family] if varied else {}
    env = envs.make(name, num_envs=2, seed=1, **options)
    env.reset()
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (40, 2, env.num_agents, env.action_size))
    for action in actions[:20]:
        env.step(action)
    other = envs.make(name, num_envs=2, seed=99, **options)
    other.reset()
    other.load_state_dict(pickle.loads(pickle.dumps(env.state_dict())))
    for world in (env, other):
        world._elapsed[0] = env.episode_limit - 10  # a reset on the way, so that the generators count too
    for action in actions[20:]:
        a, b = env.step(action), other.step(action)
        np.testing.assert_array_equal(a.observation, b.observation)
        np.testing.assert_array_equal(a.reward, b.reward)
        np.testing.assert_array_equal(a.truncated, b.truncated)
    np.testing.assert_array_equal(env.batch.state, other.batch.state)  # goals included


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_time_limit_truncates_and_starts_a_new_episode(name):
    env = envs.make(name, num_envs=2, seed=0)
    env.reset()
    env._elapsed[1] = env.episode_limit - 1
    assert env.episode_limit == {"shadowhandover": 75, "shadowhandreorientation": 600}.get(name, 1000)
    step = env.step(np.zeros((2, env.num_agents, env.action_size)))
    assert step.truncated.tolist() == [False, True] and not step.terminated.any()
    assert not np.array_equal(step.observation[1], step.final_observation[1])
    np.testing.assert_array_equal(step.observation[0], step.final_observation[0])
    assert env._elapsed.tolist() == [1, 0] and env.batch.time[1] == 0


@pytest.mark.parametrize("name", SCENARIOS)
def test_critics_see_every_number_once(name):
    """Agent 0's whole view where all see the same; both hands and the objects once where they do not."""
    env = envs.make(name, num_envs=3, seed=0)
    seen = env.reset()
    state = seen.reshape(3, -1)[:, env.state_columns]
    if SCENARIOS[name].family == "shadowhand":
        expected = np.concatenate([seen[:, 0, :187], seen[:, 1, :187], seen[:, 0, 187:]], 1)
        np.testing.assert_array_equal(seen[:, 0, 187:], seen[:, 1, 187:])
        assert expected.shape[1] == {"shadowhandover": 398, "shadowhandreorientation": 422}[name]
    else:
        expected = seen[:, 0]
    np.testing.assert_array_equal(state, expected)


@pytest.mark.parametrize("limit", [3, "3", 3.0, "3e0", np.int64(3)])
def test_the_length_of_an_episode_is_an_option(limit):
    env = envs.make("halfcheetah_2x3", num_envs=2, seed=0, episode_limit=limit)
    env.reset()
    ends = [env.step(np.zeros((2, 2, 3))).truncated.tolist() for _ in range(7)]
    assert ends == [[k % 3 == 2] * 2 for k in range(7)] and env.episode_limit == 3


@pytest.mark.parametrize(
    ("kind", "keywords"), [("float32", {"requires_grad": True}), ("float64", {}), ("bfloat16", {}), ("int64", {})]
)
def test_actions_may_be_tensors(kind, keywords):
    torch = pytest.importorskip("torch")
    env, twin, game = (envs.make("ant_2x4", seed=0), envs.make("ant_2x4", seed=0), envs.parallel_env("ant_2x4"))
    env.reset(), twin.reset(), game.reset(seed=0)
    action = torch.ones((1, 2, 4), dtype=getattr(torch, kind), **keywords)
    expected = twin.step(np.ones((1, 2, 4)))
    np.testing.assert_array_equal(env.step(action).observation, expected.observation)
    seen, *_ = game.step({"agent_0": action[0, 0], "agent_1": action[0, 1]})
    np.testing.assert_array_equal(seen["agent_1"], expected.observation[0, 1])


def test_the_final_observation_is_of_the_state_that_ended_the_episode():
    env = envs.make("ant_2x4", num_envs=1, seed=0)
    twin = envs.make("ant_2x4", num_envs=1, seed=0)
    env.reset(), twin.reset()
    env._elapsed[:] = env.episode_limit - 1
    action = np.full((1, 2, 4), 0.3)
    np.testing.assert_array_equal(env.step(action).final_observation, twin.step(action).observation)


@pytest.mark.parametrize("name", ["ant_2x4", "halfcheetah_2x3", "shadowhandover", "shadowhandreorientation"])
def test_an_unstable_simulation_ends_the_episode_and_shows_no_nan(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo logs the event in the working directory
    env = envs.make(name, num_envs=2, seed=0)
    env.reset()
    env.batch.qvel[0] = 1e12
    step = env.step(np.zeros((2, env.num_agents, env.action_size)))
    assert step.terminated.tolist() == [True, False] and env.unstable.tolist() == [1, 0]
    for field in ("observation", "final_observation", "reward", "cost"):
        assert np.isfinite(getattr(step, field)).all()
    assert not env.step(np.zeros((2, env.num_agents, env.action_size))).terminated.any()
    assert env.unstable.tolist() == [1, 0]


def test_no_later_step_overwrites_what_was_handed_out():
    env = envs.make("ant_2x4", num_envs=2, seed=0)
    first = env.reset()
    kept = first.copy()
    step = env.step(np.zeros((2, 2, 4)))
    seen = [np.array(value) for value in step[:6]]
    for _ in range(5):
        env.step(np.ones((2, 2, 4)))
    np.testing.assert_array_equal(first, kept)
    for value, copy in zip(step[:6], seen, strict=True):
        np.testing.assert_array_equal(value, copy)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: envs.make("ant_9x9"), ["'ant_9x9'", "ant_2x4"]),
        (lambda: envs.make("ant_2x4", walls="paper"), ["walls=paper", "ghost, free, solid"]),
        (lambda: envs.make("ant_2x4", wall="ghost"), ["'wall'", "walls, observation, partition, costs"]),
        (lambda: envs.make("halfcheetah_2x3", walls="solid"), ["'solid'", "ghost"]),
        (lambda: envs.make("ant_2x4", fall="end"), ["fall='end'", "ant_2x4", "walls, observation, partition, costs"]),
        (lambda: envs.make("shadowhandover", walls="free"), ["walls='free'", "shadowhandover", "costs, fall"]),
        (lambda: envs.make("shadowhandover", observation="full"), ["observation='full'", "costs, fall"]),
        (lambda: envs.make("shadowhandover", fall="up"), ["fall=up", "end, continue"]),
        (lambda: envs.options_in(envs.get("ant_2x4"), {"fall": "continue"}), ["fall='continue'", "ant_2x4"]),
        (lambda: envs.options_in(envs.get("shadowhandover"), {"walls": "free"}), ["walls='free'", "costs, fall"]),
        (lambda: envs.make("ant_2x4", episode_limit=0), ["episode_limit=0", "original or a positive whole number"]),
        (
            lambda: envs.make("ant_2x4", episode_limit="2.5"),
            ["episode_limit=2.5", "original or a positive whole number"],
        ),
        (
            lambda: envs.make("ant_2x4", episode_limit=True),
            ["episode_limit=True", "original or a positive whole number"],
        ),
        (lambda: envs.make("ant_2x4", num_envs=0), ["num_envs", "0", "positive"]),
    ],
)
def test_bad_input_is_refused_in_one_sentence_with_the_choices(call, words):
    with pytest.raises(ValueError) as refusal:
        call()
    assert "\n" not in str(refusal.value)
    for word in words:
        assert word in str(refusal.value)


def test_wrong_shapes_and_values_of_actions_are_refused():
    env = envs.make("ant_2x4", num_envs=2, seed=0)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros((2, 2, 4)))
    env.reset()
    with pytest.raises(ValueError, match=r"\(2, 8\).*\(2, 2, 4\)"):
        env.step(np.zeros((2, 8)))
    with pytest.raises(ValueError, match="world 1 are not finite"):
        env.step(np.stack([np.zeros((2, 4)), np.full((2, 4), np.nan)]))
    with pytest.raises(ValueError, match="same scenario"):
        env.load_state_dict(envs.make("ant_2x4", num_envs=3, seed=0).state_dict())
