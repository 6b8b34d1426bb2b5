"""Collection: advantages against their definition, episodes against a replay, and nothing lost between rollouts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.core.rollout import Collector, finished_episodes, gae

from .games import SumGame
from .reference import make_actor

seeds = st.integers(0, 10_000)
rates = st.sampled_from([0.0, 0.1, 0.5, 1.0])


def random_steps(seed: int, terminates: float, truncates: float, steps=12, worlds=3, signals=2):
    rng = np.random.default_rng(seed)
    reward, value, following = rng.standard_normal((3, steps, worlds, signals))
    terminated = rng.random((steps, worlds)) < terminates
    ended = terminated | (rng.random((steps, worlds)) < truncates)
    following[:-1][~ended[:-1]] = value[1:][~ended[:-1]]  # within an episode the next state is the one acted in next
    return reward, value, following, terminated, ended


def definition(reward, value, following, terminated, ended, gamma, lam):
    """sum_l (gamma lambda)^l delta_{t+l} up to the episode's end, in O(T^2)."""
    advantage = np.zeros_like(reward)
    for world in range(reward.shape[1]):
        for t in range(len(reward)):
            for k in range(t, len(reward)):
                future = 0.0 if terminated[k, world] else gamma * following[k, world]
                advantage[t, world] += (gamma * lam) ** (k - t) * (reward[k, world] + future - value[k, world])
                if ended[k, world]:
                    break
    return advantage


@given(seeds, rates, rates, st.floats(0, 1), st.floats(0, 1))
def test_gae_equals_its_definition(seed, terminates, truncates, gamma, lam):
    steps = random_steps(seed, terminates, truncates)
    np.testing.assert_allclose(gae(*steps, gamma, lam), definition(*steps, gamma, lam), rtol=1e-9, atol=1e-9)


@given(seeds, rates, rates)
def test_lambda_one_is_monte_carlo_and_lambda_zero_the_temporal_difference(seed, terminates, truncates):
    reward, value, following, terminated, ended = steps = random_steps(seed, terminates, truncates)
    difference = reward + 0.9 * following * ~terminated[..., None] - value
    np.testing.assert_allclose(gae(*steps, 0.9, 0.0), difference, atol=1e-12)
    returns = np.zeros_like(reward)
    for t in range(len(reward) - 1, -1, -1):
        ahead = returns[t + 1] if t + 1 < len(reward) else following[t]
        ahead = np.where(ended[t][:, None], following[t], ahead) * ~terminated[t][:, None]
        returns[t] = reward[t] + 0.9 * ahead
    np.testing.assert_allclose(gae(*steps, 0.9, 1.0), returns - value, rtol=1e-9, atol=1e-9)


@given(seeds, st.integers(0, 11))
def test_nothing_leaks_backwards_across_the_end_of_an_episode(seed, end):
    reward, value, following, terminated, ended = random_steps(seed, 0.0, 0.0)
    ended[end] = True
    before = gae(reward, value, following, terminated, ended, 0.99, 0.95)[: end + 1]
    reward, value, following = reward.copy(), value.copy(), following.copy()
    reward[end + 1 :], value[end + 1 :], following[end + 1 :] = 7.0, -3.0, 11.0
    np.testing.assert_array_equal(gae(reward, value, following, terminated, ended, 0.99, 0.95)[: end + 1], before)


def test_a_time_limit_is_bootstrapped_and_a_termination_is_not():
    one = np.ones((1, 1, 1))
    ended, no = np.ones((1, 1), bool), np.zeros((1, 1), bool)
    assert gae(one, one, 10 * one, no, ended, 0.9, 0.95).item() == pytest.approx(1 + 9 - 1)
    assert gae(one, one, 10 * one, ended, ended, 0.9, 0.95).item() == pytest.approx(0)


@given(seeds, rates, st.integers(1, 3), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_every_episode_is_counted_once_however_rollouts_cut_it(seed, rate, costs, lengths):
    rng, worlds = np.random.default_rng(seed), 3
    steps = sum(lengths)
    reward, cost = rng.standard_normal((steps, worlds)), rng.random((steps, worlds, costs))
    ended = rng.random((steps, worlds)) < rate

    running, found, start = np.zeros((worlds, 2 + costs)), [], 0
    for length in lengths:
        part = slice(start, start + length)
        episodes, running = finished_episodes(reward[part], cost[part], ended[part], running)
        found.append(episodes)
        start += length

    replayed, open_episodes = [], np.zeros((worlds, 2 + costs))
    for t in range(steps):
        for world in range(worlds):
            open_episodes[world] += [reward[t, world], 1.0, *cost[t, world]]
            if ended[t, world]:
                replayed.append(open_episodes[world].copy())
                open_episodes[world] = 0.0
    found = np.concatenate(found)
    assert len(found) == len(replayed)
    if replayed:
        wanted = np.array(replayed)
        np.testing.assert_allclose(found[np.lexsort(found.T)], wanted[np.lexsort(wanted.T)], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(running, open_episodes, rtol=1e-9, atol=1e-9)


def actors_of(game: SumGame) -> list:
    sizes = {"observation": game.observation_size, "action": 1, "dtype": torch.float32}
    return [make_actor(seed=k, **sizes) for k in range(game.num_agents)]


def test_a_rollout_holds_what_the_environment_returned():
    game = SumGame(worlds=4, length=3, offsets=(0.0, 1.0))
    rollout = Collector(game, 7, seed=0).collect(actors_of(game))
    x = rollout.action.sum((2, 3)).numpy().astype(float)
    np.testing.assert_allclose(rollout.reward, x, atol=1e-6)
    np.testing.assert_allclose(rollout.cost, np.maximum(x[..., None] + [0.0, 1.0], 0), atol=1e-6)
    assert (np.flatnonzero(rollout.terminated[:, 0]) == [2, 5]).all() and not rollout.truncated.any()
    assert rollout.observation.shape == (8, 4, 2, 4) and rollout.episodes.shape == (8, 4)
    assert (rollout.episodes[:, 1] == 3).all() and rollout.episode_limit == 3
    np.testing.assert_allclose(rollout.unfinished, np.stack([x[6], np.ones(4), *rollout.cost[6].T], 1), atol=1e-6)
    assert rollout.final_observation.shape == (8, 2, 4) and (rollout.final_observation[..., 1] == 1).all()
    assert (rollout.observation[3, ..., 1] == 0).all()  # the next episode has begun


def test_final_observations_come_in_the_order_of_the_ends():
    class Staggered(SumGame):
        def reset(self):
            super().reset()
            self.clock[:] = [0, 2, 1]
            return self.observe()

        def observe(self):
            seen = super().observe()
            seen[..., 0] = np.arange(3)[:, None]  # the world's own number
            return seen

    game = Staggered(worlds=3, length=3)
    rollout = Collector(game, 3, seed=0).collect(actors_of(game))
    ended = np.nonzero(rollout.terminated)
    assert ended[1].tolist() == rollout.final_observation[:, 0, 0].tolist() == [1, 2, 0]


def test_actions_are_drawn_from_the_policies():
    game = SumGame(worlds=50, agents=3)
    actors = actors_of(game)
    rollout = Collector(game, 400, seed=0).collect(actors)
    seen = torch.from_numpy(game.observe()[0])
    for i, actor in enumerate(actors):
        drawn, policy = rollout.action[:, :, i, 0], actor.policy(seen[i : i + 1])
        assert float(drawn.mean()) == pytest.approx(policy.mean.item(), abs=0.02)
        assert float(drawn.std()) == pytest.approx(policy.std.item(), abs=0.02)


def test_a_restored_collector_continues_bit_for_bit():
    games = [SumGame(length=5, truncate=True) for _ in range(2)]
    first, second = Collector(games[0], 7, seed=0), Collector(games[1], 7, seed=1)
    actors = actors_of(games[0])
    first.collect(actors)
    second.load_state_dict(first.state_dict())
    for one, other in zip(first.collect(actors), second.collect(actors), strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))
