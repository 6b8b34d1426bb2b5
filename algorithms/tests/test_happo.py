"""Sequential improvement and clipping: HAPPO, MAPPO and MAPPO-Lagrangian, and the identities they rest on."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms import ALGORITHMS, HAPPO, MAPPO, MAPPOLagrangian
from algorithms.core import clip
from algorithms.core.clip import clipped_slope
from algorithms.core.learner import Sizes

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

numbers = st.floats(-3, 3)
CLIPPED = {"happo": HAPPO, "mappo": MAPPO, "mappo_l": MAPPOLagrangian}


@given(st.lists(st.tuples(st.floats(0.3, 3), numbers), min_size=1, max_size=20), st.floats(0.05, 0.5))
def test_clipped_slope_equals_autograd_of_the_clipped_surrogate(rows, clip):
    ratio, advantage = torch.tensor(rows, dtype=torch.float64).T
    log_ratio = ratio.log().requires_grad_()
    new = log_ratio.exp()
    if bool(((new - 1).abs() - clip).abs().min() < 1e-9):
        return  # at a kink there is no derivative
    torch.minimum(new * advantage, new.clamp(1 - clip, 1 + clip) * advantage).sum().backward()
    found = clipped_slope(new.detach().numpy(), advantage.numpy(), clip)
    np.testing.assert_allclose(found, log_ratio.grad, rtol=1e-9, atol=1e-12)


def test_a_ratio_beyond_the_clip_is_held_only_on_the_side_that_gains():
    ratio = np.array([1.3, 1.3, 0.7, 0.7, 1.0, 1.0])
    advantage = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    held = clipped_slope(ratio, advantage, 0.2) == 0
    assert held.tolist() == [True, False, False, True, False, False]


class Game:
    """A one-shot game of three agents: old and new policies, and an advantage with zero mean under the old ones."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.old, self.new = rng.dirichlet(np.ones(3), (2, 3))  # (agent, action)
        joint = rng.standard_normal((3, 3, 3))
        self.advantage = joint - self.mean(joint, [self.old] * 3)

    @staticmethod
    def mean(values: np.ndarray, tables: list[np.ndarray]) -> float:
        return float(np.einsum("abc,a,b,c->", values, *(table[i] for i, table in enumerate(tables))))

    def q(self, agents: tuple[int, ...]) -> np.ndarray:
        """E[advantage | actions of `agents`], the others as of old; kept broadcastable over all three."""
        found = self.advantage
        for i in set(range(3)) - set(agents):
            shape = [1, 1, 1]
            shape[i] = 3
            found = (found * self.old[i].reshape(shape)).sum(i, keepdims=True)
        return found

    def ratio(self, i: int) -> np.ndarray:
        shape = [1, 1, 1]
        shape[i] = 3
        return (self.new[i] / self.old[i]).reshape(shape)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_the_joint_advantage_is_the_sum_of_the_agents_advantages(order, seed):
    game = Game(seed)
    parts = [game.q(order[: h + 1]) - game.q(order[:h]) for h in range(3)]
    np.testing.assert_allclose(sum(parts), game.advantage, atol=1e-12)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_the_factor_estimates_the_advantage_of_an_agent_after_those_before_it(order, seed):
    game, factor = Game(seed), np.ones((1, 1, 1))
    for h, agent in enumerate(order):
        estimate = game.mean((game.ratio(agent) - 1) * factor * game.advantage, [game.old] * 3)
        moved = [game.new if i in order[: h + 1] else game.old for i in range(3)]
        own = game.q(order[: h + 1]) - game.q(order[:h])
        assert estimate == pytest.approx(game.mean(np.broadcast_to(own, (3, 3, 3)), moved), abs=1e-12)
        factor = factor * game.ratio(agent)


class Mover:
    """An algorithm that moves each policy by a fixed random step and keeps the batches it was given."""

    sequential = True
    Config = HAPPO.Config

    def __init__(self, actors, config, costs, generator):
        self.actors, self.state, self.batches, self.order = actors, {}, {}, []

    def update_agent(self, i, batch):
        generator = torch.Generator().manual_seed(100 + i)
        self.actors[i].theta.add_(0.05 * torch.randn(self.actors[i].theta.shape, generator=generator))
        self.batches[i] = batch
        self.order.append(i)
        return {}


SIZES = Sizes(agents=3, costs=1, observation=5, action=2)


@pytest.mark.parametrize("seed", range(4))
def test_the_factor_is_the_product_of_the_ratios_of_the_agents_before(seed):
    learner = make_learner(Mover, SIZES, seed=seed)
    learner.update(make_rollout(SIZES))
    mover, wanted = learner.algorithm, 1.0
    first = mover.batches[mover.order[0]]
    for i in mover.order:
        batch = mover.batches[i]
        np.testing.assert_allclose(batch.factor, np.ones(40) * wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.advantage, first.advantage * batch.factor, rtol=1e-5, atol=1e-6)
        assert np.array_equal(batch.cost_advantage, first.cost_advantage)
        new = mover.actors[i].policy(batch.observation).log_prob(batch.action)
        old = independent(batch.old).log_prob(torch.from_numpy(batch.action)).numpy()
        wanted = wanted * np.exp(new - old)
    assert np.abs(wanted - 1).max() > 1e-3


def test_the_order_of_agents_is_drawn_anew_and_does_not_change_the_final_product():
    products, orders = [], set()
    for seed in range(6):
        learner = make_learner(Mover, SIZES, seed=seed)
        for actor, fixed in zip(learner.actors, make_learner(Mover, SIZES).actors, strict=True):
            actor.theta.copy_(fixed.theta)
        learner.update(make_rollout(SIZES))
        mover = learner.algorithm
        last = mover.batches[mover.order[-1]]
        new = mover.actors[mover.order[-1]].policy(last.observation).log_prob(last.action)
        products.append(last.factor * np.exp(new - last.log_prob))
        orders.add(tuple(mover.order))
    assert len(orders) > 1
    for product in products[1:]:
        np.testing.assert_allclose(product, products[0], rtol=1e-4, atol=1e-5)


def test_weighting_by_the_final_factor_gives_expectations_under_the_new_policies():
    """One-step episodes whose actions are quadrature nodes: E_old[M / A * f(a)] = E_new[f(a)]."""
    sizes = Sizes(agents=3, costs=1, observation=4, action=1)
    learner = make_learner(Mover, sizes)
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), -1).reshape(-1, 3)
    weight = np.prod(np.stack(np.meshgrid(*[weights / weights.sum()] * 3, indexing="ij")), 0).ravel()
    rows = len(grid)
    rollout = make_rollout(sizes, steps=rows, worlds=1)
    seen = rollout.observation[:1].expand(rows + 1, -1, -1, -1)
    policies = [actor.policy(seen[0, :, i]) for i, actor in enumerate(learner.actors)]
    points = np.float32(grid)
    action = torch.from_numpy(np.stack([p.mean[0] + p.std * points[:, [i]] for i, p in enumerate(policies)], 1))
    learner.update(rollout._replace(observation=seen, action=action[:, None]))
    mover = learner.algorithm
    last = mover.batches[mover.order[-1]]
    new = mover.actors[mover.order[-1]].policy(last.observation).log_prob(last.action)
    ratio = (last.factor * np.exp(new - last.log_prob)).astype(float)
    a, b, c = action[:, :, 0].double().numpy().T
    means = [mover.actors[i].policy(seen[0, :, i]).mean.item() for i in range(3)]
    stds = [mover.actors[i].std().item() for i in range(3)]
    assert float(weight @ ratio) == pytest.approx(1, abs=1e-4)
    assert float(weight @ (ratio * a * b * c)) == pytest.approx(math.prod(means), abs=1e-4)
    assert float(weight @ (ratio * b**2)) == pytest.approx(means[1] ** 2 + stds[1] ** 2, abs=1e-4)


def ppo(actor, batch, config, seed=3):
    """PPO written out with autograd and torch.optim; the entropy bonus is the mean over action dimensions."""
    batch, theta = tensors(batch), torch.nn.Parameter(actor.theta.clone())
    optimiser = torch.optim.Adam([theta], lr=config.actor_lr, eps=1e-5)
    plain, generator = plain_of(actor), torch.Generator().manual_seed(seed)
    for _ in range(config.epochs):
        for mini in minibatches(batch, config.minibatch_size, generator):
            policy = plain.policy(theta, mini.observation)
            ratio = torch.exp(policy.log_prob(mini.action) - mini.log_prob)
            clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
            gain = torch.minimum(ratio * mini.advantage, clipped * mini.advantage).mean()
            optimiser.zero_grad()
            (-gain - config.entropy_coef * policy.base_dist.entropy().mean()).backward()
            torch.nn.utils.clip_grad_norm_([theta], config.max_grad_norm)
            optimiser.step()
    return theta.detach()


@pytest.mark.parametrize("name", CLIPPED)
def test_one_agent_without_multiplier_is_ppo_step_for_step(name):
    actor = make_actor(lr=1e-2, grad=0.5)
    batch = make_batch(actor, rows=60)
    changes = {"lamda_lagr": 0.0, "lagrangian_coef_rate": 0.0} if name == "mappo_l" else {}
    algorithm = make_algorithm(CLIPPED[name], [actor], actor_lr=1e-2, minibatch_size=16, max_grad_norm=0.5, **changes)
    wanted = ppo(actor, batch, algorithm.config)
    found = algorithm.update_agent(0, batch)
    torch.testing.assert_close(actor.theta, wanted, rtol=1e-8, atol=1e-10)
    assert name == "mappo_l" or found["clipped"] > 0.1


def test_with_one_agent_happo_and_mappo_are_the_same_bit_for_bit():
    sizes = Sizes(agents=1, costs=1, observation=5, action=2)
    ends = []
    for kind in (HAPPO, MAPPO):
        learner = make_learner(kind, sizes, actor_lr=1e-2)
        for seed in range(3):
            learner.update(make_rollout(sizes, seed=seed))
        ends.append((learner.actors[0].theta, learner.critics.networks[0].theta))
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["mappo", "mappo_l"])
def test_the_first_agent_in_turn_learns_alike_whatever_the_algorithm(name):
    """M is 1 for it; MAPPO never multiplies, and MAPPO-L with a zero multiplier is HAPPO."""
    learner = make_learner(HAPPO, SIZES)
    update, batches = learner.algorithm.update_agent, []
    learner.algorithm.update_agent = lambda i, batch: batches.append((i, batch)) or update(i, batch)
    start = [actor.theta.clone() for actor in learner.actors]
    state = learner.generator.get_state()
    learner.update(make_rollout(SIZES))
    for position, (i, batch) in enumerate(batches):
        changes = {"lamda_lagr": 0.0, "lagrangian_coef_rate": 0.0} if name == "mappo_l" else {"share_policy": False}
        other = make_learner(CLIPPED[name], SIZES, **changes)
        assert torch.equal(other.actors[i].theta, start[i])
        other.generator.set_state(state)
        unweighted = batch._replace(advantage=batch.advantage / batch.factor, factor=np.ones_like(batch.factor))
        other.algorithm.update_agent(i, unweighted)
        assert torch.equal(other.actors[i].theta, learner.actors[i].theta) == (position == 0)


def test_a_shared_policy_learns_from_every_agents_rows():
    learner = make_learner(MAPPO, SIZES, epochs=1)
    found = []
    update = learner.algorithm.update_agent
    learner.algorithm.update_agent = lambda i, batch: found.append(batch) or update(i, batch)
    rollout = make_rollout(SIZES)
    learner.update(rollout)
    batch = found[0]
    assert len(found) == 1 and len(batch.action) == 120
    assert np.array_equal(batch.action.reshape(40, 3, 2), rollout.action.flatten(0, 1))
    assert torch.equal(batch.observation.view(40, 3, 5), rollout.observation[:-1].flatten(0, 1))
    assert np.array_equal(batch.advantage, batch.advantage[::3].repeat(3))
    assert learner.policies()[0] is learner.policies()[2]


def test_mappo_agents_without_sharing_do_not_see_each_others_changes():
    learner = make_learner(MAPPO, SIZES, share_policy=False, actor_lr=0.05)
    factors = []
    update = learner.algorithm.update_agent
    learner.algorithm.update_agent = lambda i, batch: factors.append(batch.factor) or update(i, batch)
    learner.update(make_rollout(SIZES))
    assert len(factors) == 3 and all((factor == 1).all() for factor in factors)


@given(st.floats(0, 3), st.floats(-500, 500), st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_multiplier_moves_by_its_law(lam, violation, surrogate, rate, gamma):
    algorithm = make_algorithm(MAPPOLagrangian, [make_actor()], lagrangian_coef_rate=rate, gamma=gamma)
    vector = np.array([[lam], [violation], [surrogate]])
    found = float(algorithm.next_multipliers(*vector)[0])
    step = violation * (1 - gamma) + surrogate
    assert found == max(0.0, lam + rate * step) and found >= 0
    if step * rate > 1e-9:
        assert found > lam
    if rate == 0:
        assert found == lam


@pytest.mark.parametrize("costs", [1, 2])
def test_multipliers_follow_the_law_minibatch_by_minibatch(costs):
    """With a policy that stands still every ratio is 1, so the moves can be added up by hand."""
    actors = [make_actor(lr=0.0), make_actor(lr=0.0, seed=1)]
    batch = make_batch(actors[1], rows=48, costs=costs, violation=3.0)
    algorithm = make_algorithm(
        MAPPOLagrangian, actors, costs, minibatch_size=16, epochs=2, lagrangian_coef_rate=0.1, lamda_lagr=2.0
    )
    algorithm.update_agent(1, batch)
    wanted = 2.0 + 0.1 * 2 * 3 * (3.0 * 0.01 + batch.cost_advantage.mean(0))
    np.testing.assert_allclose(algorithm.state["lam"][1], wanted, rtol=1e-7, atol=1e-7)
    assert (algorithm.state["lam"][0] == 2.0).all()


def test_the_penalty_is_subtracted_with_each_costs_own_multiplier():
    ends = []
    for penalised in (True, False):
        actor = make_actor(lr=1e-2)
        batch, lam = make_batch(actor, costs=2), np.array([0.3, 1.4])
        algorithm = make_algorithm(MAPPOLagrangian, [actor], 2, minibatch_size=16, lagrangian_coef_rate=0.0)
        if not penalised:
            batch, lam = batch._replace(advantage=batch.advantage - batch.cost_advantage @ lam), 0 * lam
        algorithm.state["lam"][:] = lam
        algorithm.update_agent(0, batch)
        ends.append(actor.theta)
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("costs", [1, 2])
def test_every_algorithm_improves_its_surrogate_without_a_violation(name, costs):
    actor = make_actor(lr=1e-3, dtype=torch.float32)
    batch = make_batch(actor, rows=400, costs=costs, violation=-50.0)
    changes = {"lamda_lagr": 0.0} if name == "mappo_l" else {}
    make_algorithm(ALGORITHMS[name], [actor], costs, **changes).update_agent(0, batch)
    ratio = np.exp(actor.policy(batch.observation).log_prob(batch.action) - batch.log_prob)
    assert (ratio * batch.advantage).mean() > batch.advantage.mean() + 1e-3


@pytest.mark.parametrize("name", ["mafocops", "macpo", "mappo_l"])
@pytest.mark.parametrize("worst", [0, 1])
def test_the_violated_one_of_two_costs_is_lowered(name, worst):
    actor = make_actor(lr=1e-3, dtype=torch.float32)
    batch = make_batch(actor, rows=400, costs=2)
    violation = np.full(2, -50.0)
    violation[worst] = 50.0
    changes = {"mafocops": {"nu_lr": 1.0, "nu_max": 20.0}, "mappo_l": {"lagrangian_coef_rate": 1.0}}.get(name, {})
    make_algorithm(ALGORITHMS[name], [actor], 2, **changes).update_agent(0, batch._replace(violation=violation))
    ratio = np.exp(actor.policy(batch.observation).log_prob(batch.action) - batch.log_prob)
    change = (ratio[:, None] * batch.cost_advantage).mean(0) - batch.cost_advantage.mean(0)
    assert change[worst] < -1e-3 and change[worst] < change[1 - worst]


def test_the_reported_clipped_share_is_that_of_all_rows(monkeypatch):
    actor, seen, slope = make_actor(lr=0.02), [], clip.clipped_slope

    def spy(*rows):
        seen.append(slope(*rows) == 0)
        return slope(*rows)

    monkeypatch.setattr(clip, "clipped_slope", spy)
    algorithm = make_algorithm(HAPPO, [actor], epochs=3, minibatch_size=16)
    found = algorithm.update_agent(0, make_batch(actor, rows=40))
    assert found["clipped"] == pytest.approx(float(np.concatenate(seen).mean())) and 0 < found["clipped"] < 1
    assert found["clipped"] != pytest.approx(float(seen[-1].mean()))
