"""Learning: on a game with a known constrained optimum the safe algorithms end there; the others break the bound."""

import dataclasses

import numpy as np
import pytest
import torch

from algorithms import ALGORITHMS
from algorithms.core.learner import Learner, Sizes
from algorithms.core.rollout import Collector

from .games import SumGame
from .reference import CPU

SAFE = {
    "mafocops": {"nu_lr": 0.3, "nu_max": 5.0, "nu_update": "iteration", "lam": 1.0, "actor_lr": 2e-3},
    "macpo": {},
    "mappo_l": {"lagrangian_coef_rate": 0.05, "gamma": 0.0, "actor_lr": 2e-3, "entropy_coef": 0.0},
}
TOLERANCE = {"mafocops": 0.1, "macpo": 0.05, "mappo_l": 0.05}  # nu and policy circle the optimum of MAFOCOPS
UNSAFE = {"happo": {"actor_lr": 2e-3}, "mappo": {"actor_lr": 2e-3}}
QUICK = {"rollout_length": 9, "hidden": (8,), "minibatch_size": 144, "critic_minibatch_size": 288, "critic_epochs": 2}


def play(name: str, game: SumGame, bound: tuple[float, ...], iterations: int) -> tuple[float, np.ndarray]:
    """Learn and return the mean return and costs (C,) per episode over the last fifth of the iterations."""
    changes = QUICK | (SAFE | UNSAFE)[name]
    kind = ALGORITHMS[name]
    config = dataclasses.replace(kind.Config(), **changes)
    learner = Learner(kind, config, Sizes.of(game), np.array(bound), 0, CPU)
    collector = Collector(game, config.rollout_length, 0)
    means = []
    with torch.no_grad():
        for _ in range(iterations):
            rollout = collector.collect(learner.policies())
            learner.update(rollout)
            means.append(rollout.episodes.mean(0))
    late = np.mean(means[-iterations // 5 :], 0)
    return late[0], late[2:]


@pytest.mark.parametrize("name", SAFE)
def test_a_safe_algorithm_ends_at_the_constrained_optimum(name):
    earned, cost = play(name, SumGame(worlds=64), (0.5,), 150)
    assert cost[0] == pytest.approx(0.5, abs=TOLERANCE[name])
    assert earned == pytest.approx(0.5, abs=2 * TOLERANCE[name])


@pytest.mark.parametrize("name", SAFE)
def test_a_safe_algorithm_finds_its_way_back_from_an_infeasible_start(name):
    """Standing still costs more than 1 a step, so episodes of three steps start at twice the bound."""
    earned, cost = play(name, SumGame(worlds=64, length=3, offsets=(1.0,), truncate=True), (1.5,), 200)
    assert cost[0] == pytest.approx(1.5, abs=3 * TOLERANCE[name])
    assert earned == pytest.approx(-1.5, abs=5 * TOLERANCE[name])  # x = -0.5 a step


@pytest.mark.parametrize("name", SAFE)
def test_of_two_costs_the_tighter_one_holds(name):
    earned, cost = play(name, SumGame(worlds=64, offsets=(0.0, 0.5)), (5.0, 0.8), 150)
    assert cost[1] == pytest.approx(0.8, abs=TOLERANCE[name]) and cost[0] < 1.0
    assert earned == pytest.approx(0.3, abs=2 * TOLERANCE[name])


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unconstrained_algorithm_earns_more_and_breaks_the_bound(name):
    earned, cost = play(name, SumGame(worlds=64), (0.5,), 150)
    assert earned > 1.0 and cost[0] > 1.0
