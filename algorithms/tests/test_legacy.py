"""The original code's errors: each switch against its formula, and against the right one where it is off.

Time limits, stale costs, the shared normaliser and the one-sided Huber loss belong to the learner and the critics and
are tested with them.
"""

import dataclasses

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from algorithms import ALGORITHMS, HAPPO, MACPO, MAPPOLagrangian
from algorithms.core.config import parse
from algorithms.core.learner import Sizes
from algorithms.core.policy import Gaussian
from algorithms.macpo import misprinted_kl

from .reference import (
    independent,
    make_actor,
    make_algorithm,
    make_batch,
    make_learner,
    make_rollout,
    minibatches,
    plain_of,
    tensors,
)

SWITCHES = ["none", "legacy_kl", "legacy_unsummed", "legacy_factor_on_cost", "legacy_constraint_scale"]


def quirky_batch(actor, switch: str, rows=40, violation=0.4):
    """A batch with a random factor M, by action dimension if log-probabilities are not summed."""
    batch = make_batch(actor, rows, violation=violation)
    factor = np.exp(0.3 * np.random.default_rng(5).standard_normal((rows, 3)))
    advantage = batch.advantage[:, None]
    if switch != "legacy_unsummed":
        return batch._replace(factor=factor[:, 0], advantage=factor[:, 0] * batch.advantage)
    by_dimension = batch.old.log_prob(batch.action, summed=False)
    return batch._replace(log_prob=by_dimension, factor=factor, advantage=factor * advantage)


def densities(plain, theta, batch, switch: str) -> torch.Tensor:
    """log pi(a|o): (B,), or (B, A) where it is not summed."""
    policy = plain.policy(theta, batch.observation)
    return (policy.base_dist if switch == "legacy_unsummed" else policy).log_prob(batch.action)


def misprint(old: Normal, new: Normal) -> torch.Tensor:
    """The mean of KL(old || new) with the sign of log(new std / old std) inverted."""
    return (kl_divergence(old, new) - 2 * torch.log(new.scale / old.scale)).sum(1).mean()


def test_the_misprinted_kl_has_the_wrong_sign_on_log_std_only():
    rng = np.random.default_rng(0)
    means, stds = rng.standard_normal((2, 7, 3)), 0.1 + rng.random((2, 3))
    old, new = (Gaussian(mean, std) for mean, std in zip(means, stds, strict=True))
    wanted = misprint(independent(old).base_dist, independent(new).base_dist)
    np.testing.assert_allclose(misprinted_kl(old, new).mean(), wanted)
    four = Gaussian(np.zeros((1, 4)), np.full(4, 0.3))
    shrunk = four._replace(std=0.99 * four.std)
    assert misprinted_kl(four, shrunk).item() == pytest.approx(0.081, abs=5e-4)  # the true one is 0.0004
    assert four.kl(shrunk).item() == pytest.approx(0.0004, abs=5e-5)


@pytest.mark.parametrize("switch", SWITCHES)
def test_macpo_solves_the_problem_its_switches_describe(switch):
    """q, r, s and c of the dual, from gradients and Hessian by autograd."""
    actor = make_actor(observation=3, hidden=(4,))
    batch = quirky_batch(make_actor(observation=3, hidden=(4,), seed=4), switch)
    changes = {} if switch == "none" else {switch: True}
    algorithm = make_algorithm(MACPO, [actor], cg_iterations=300, **changes)
    theta, plain = actor.theta.clone(), plain_of(actor)
    found = algorithm.step(actor, batch)

    batch = tensors(batch)
    cost = batch.cost_advantage if switch == "legacy_unsummed" else batch.cost_advantage[:, 0]
    if switch == "legacy_factor_on_cost":
        cost = cost * batch.factor
    old = plain.policy(theta, batch.observation).base_dist
    old = Normal(old.loc.detach(), old.scale.detach())

    def surrogate(x, signal):  # sums over dimensions where they are kept apart
        return (torch.exp(densities(plain, x, batch, switch) - batch.log_prob) * signal).sum() / 40

    def divergence(x):
        new = plain.policy(x, batch.observation).base_dist
        return misprint(old, new) if switch == "legacy_kl" else kl_divergence(old, new).sum(1).mean()

    g = torch.autograd.functional.jacobian(lambda x: surrogate(x, -batch.advantage), theta)
    b = torch.autograd.functional.jacobian(lambda x: surrogate(x, cost), theta)
    h = torch.autograd.functional.hessian(divergence, theta) + 0.1 * torch.eye(len(theta), dtype=theta.dtype)
    scale = 1 - 0.99 if switch == "legacy_constraint_scale" else 1 / 10
    wanted = {
        "q": g @ torch.linalg.solve(h, g),
        "r": b @ torch.linalg.solve(h, g),
        "s": b @ torch.linalg.solve(h, b),
        "c": batch.violation[0] * scale,
    }
    for name, value in wanted.items():
        assert found[name] == pytest.approx(float(value), rel=1e-4), name
    if found["accepted"]:
        assert found["step_kl"] == pytest.approx(float(divergence(actor.theta)), rel=1e-9)


@pytest.mark.parametrize(("divergence", "curvature"), [(Gaussian.kl, 0.145), (misprinted_kl, 0.538)])
def test_the_misprint_changes_the_curvature_along_the_std_parameter(divergence, curvature):
    """At the initial parameter 1 of std = 0.5 sigmoid(p)."""
    mean, step = np.zeros((1, 1)), 1e-3
    policies = [Gaussian(mean, 0.5 / (1 + np.exp(-np.array([p])))) for p in (1 - step, 1, 1 + step)]
    below, here, above = (divergence(policies[1], policy).item() for policy in policies)
    assert (below - 2 * here + above) / step**2 == pytest.approx(curvature, abs=5e-4)


def test_the_step_is_no_longer_than_its_cap():
    for cap in (1e-4, 1e-2):
        actor = make_actor()
        start = actor.theta.clone()
        found = make_algorithm(MACPO, [actor], max_step_norm=cap).step(actor, make_batch(actor, violation=-50.0))
        assert found["accepted"]
        moved = float((actor.theta - start).norm())
        assert moved == pytest.approx(cap * 0.5 ** found["line_search"], rel=1e-6)


@pytest.mark.parametrize("switch", ["none", "legacy_unsummed", "legacy_factor_on_cost"])
def test_mappo_l_descends_the_loss_its_switches_describe(switch):
    actor = make_actor(lr=1e-2)
    batch = quirky_batch(actor, switch, violation=2.0)
    changes = {} if switch == "none" else {switch: True}
    algorithm = make_algorithm(
        MAPPOLagrangian, [actor], minibatch_size=16, actor_lr=1e-2, lagrangian_coef_rate=0.1, epochs=2, **changes
    )
    theta, lam, config = torch.nn.Parameter(actor.theta.clone()), 0.78, algorithm.config
    optimiser, plain = torch.optim.Adam([theta], lr=1e-2, eps=1e-5), plain_of(actor)
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        for mini in minibatches(tensors(batch), 16, generator):
            ratio = torch.exp(densities(plain, theta, mini, switch) - mini.log_prob)
            cost = mini.cost_advantage if switch == "legacy_unsummed" else mini.cost_advantage[:, 0]
            on_cost = mini.factor if switch == "legacy_factor_on_cost" else 1.0
            mixed = mini.advantage - lam * cost * on_cost
            gain = torch.minimum(ratio * mixed, ratio.clamp(0.8, 1.2) * mixed).sum() / len(ratio)
            entropy = plain.policy(theta, mini.observation).base_dist.entropy().mean()
            optimiser.zero_grad()
            (-gain - config.entropy_coef * entropy).backward()
            torch.nn.utils.clip_grad_norm_([theta], config.max_grad_norm)
            optimiser.step()
            lam = max(0.0, lam + 0.1 * (2.0 * 0.01 + float((ratio * cost).detach().mean())))
    found = algorithm.update_agent(0, batch)
    torch.testing.assert_close(actor.theta, theta.detach(), rtol=1e-7, atol=1e-9)
    assert found["lam"] == pytest.approx(lam, rel=1e-5)


@pytest.mark.parametrize("kind", [MACPO, MAPPOLagrangian])
def test_unsummed_factors_multiply_dimension_by_dimension(kind):
    sizes = Sizes(agents=3, costs=1, observation=5, action=2)
    learner = make_learner(kind, sizes, legacy_unsummed=True)
    given, update = [], learner.algorithm.update_agent
    learner.algorithm.update_agent = lambda i, batch: given.append((i, batch)) or update(i, batch)
    learner.update(make_rollout(sizes))
    wanted = np.ones((40, 2))
    for i, batch in given:
        np.testing.assert_allclose(batch.factor, wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.advantage, given[0][1].advantage * wanted, rtol=1e-5, atol=1e-6)
        policies, action = (learner.actors[i].policy(batch.observation), batch.old), torch.from_numpy(batch.action)
        new, old = (independent(policy).base_dist.log_prob(action).numpy() for policy in policies)
        wanted = wanted * np.exp(new - old)
    assert not np.array_equal(wanted[:, 0], wanted[:, 1])


def test_without_switches_the_joint_probability_counts():
    batch_of, learner = [], make_learner(HAPPO, Sizes(2, 1, 5, 2))
    update = learner.algorithm.update_agent
    learner.algorithm.update_agent = lambda i, batch: batch_of.append(batch) or update(i, batch)
    learner.update(make_rollout(Sizes(2, 1, 5, 2)))
    batch = batch_of[0]
    joint = independent(batch.old).log_prob(torch.from_numpy(batch.action))
    assert batch.log_prob.shape == (40,) and np.allclose(batch.log_prob, joint, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, kind in ALGORITHMS.items() if hasattr(kind, "VARIANTS")])
def test_the_legacy_variant_switches_every_quirk_on_and_learns(name):
    kind = ALGORITHMS[name]
    config = parse(kind.Config, kind.VARIANTS["legacy"])
    switches = [field.name for field in dataclasses.fields(kind.Config) if field.name.startswith("legacy")]
    assert len(switches) >= 5 and all(getattr(config, switch) for switch in switches)
    assert config.time_limit == "failure" != kind.Config().time_limit
    assert not any(getattr(kind.Config(), switch) for switch in switches)
    sizes = Sizes(agents=2, costs=1, observation=5, action=2)
    chosen = {switch: True for switch in switches} | {"time_limit": "failure"}
    learner = make_learner(kind, sizes, **chosen)
    for seed in range(2):
        learner.update(make_rollout(sizes, seed=seed))
    assert all(torch.isfinite(actor.theta).all() for actor in learner.actors)
