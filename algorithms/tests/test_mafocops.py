"""MAFOCOPS: the closed form of eq. 15, the gradient of eq. 17, the law of nu, the gate and the early stop."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch.distributions import kl_divergence

from algorithms import MAFOCOPS
from algorithms.core.policy import Gaussian

from .reference import independent, make_actor, make_algorithm, make_batch, minibatches, plain_of, tensors

DELTA = 0.05


@pytest.fixture(autouse=True)
def double_precision():
    """The formulas are compared to ten digits."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Table:
    """The problem (7)-(9) on S states and K actions, solved through its dual."""

    def __init__(self, seed: int, budget: float, states=3, actions=4, costs=1) -> None:
        rng = np.random.default_rng(seed)
        self.rho = rng.dirichlet(np.ones(states))
        self.old = rng.dirichlet(np.full(actions, 2.0), states)  # (S, K)
        self.eta = self.centred(rng.standard_normal((states, actions)))
        self.cost = np.stack([self.centred(rng.standard_normal((states, actions))) for _ in range(costs)])  # (C, S, K)
        self.budget = np.full(costs, budget)  # b = c - J
        self.rng = rng

    def centred(self, advantage: np.ndarray) -> np.ndarray:
        return advantage - (self.old * advantage).sum(1, keepdims=True)

    def mean(self, policy: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.einsum("s,sk,...sk->...", self.rho, policy, values)

    def kl(self, policy: np.ndarray) -> float:
        return float(self.mean(policy, np.log(policy / self.old)))

    def optimum(self, lam: float, nu: np.ndarray) -> np.ndarray:
        """Equation 15, straight."""
        weight = self.old * np.exp((self.eta - np.tensordot(nu, self.cost, 1)) / lam)
        return weight / weight.sum(1, keepdims=True)

    def dual(self, lam: float, nu: np.ndarray) -> float:
        partition = (self.old * np.exp((self.eta - np.tensordot(nu, self.cost, 1)) / lam)).sum(1)
        return lam * DELTA + nu @ self.budget + lam * self.rho @ np.log(partition)

    def solve(self) -> tuple[float, np.ndarray]:
        start = np.r_[1.0, np.full(len(self.budget), 0.5)]
        limits = [(1e-3, None)] + [(0, None)] * len(self.budget)
        exact = {"ftol": 1e-15, "gtol": 1e-10}
        found = minimize(lambda x: self.dual(x[0], x[1:]), start, bounds=limits, method="L-BFGS-B", options=exact)
        return found.x[0], found.x[1:]


@pytest.mark.parametrize("costs", [1, 2])
@pytest.mark.parametrize("budget", [-0.02, 0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_the_closed_form_is_the_optimum_of_the_trust_region_problem(seed, budget, costs):
    table = Table(seed, budget, costs=costs)
    lam, nu = table.solve()
    best = table.optimum(lam, nu)
    slack = table.budget - table.mean(best, table.cost)
    assert table.kl(best) == pytest.approx(DELTA, rel=1e-3)
    assert (slack > -1e-4).all() and (np.abs(nu * slack) < 1e-4).all()
    assert table.mean(best, table.eta) == pytest.approx(table.dual(lam, nu), abs=1e-6)
    tried = 0
    for _ in range(400):
        other = table.old * np.exp(0.4 * table.rng.standard_normal(table.old.shape))
        other /= other.sum(1, keepdims=True)
        if table.kl(other) <= DELTA and (table.mean(other, table.cost) <= table.budget).all():
            tried += 1
            assert table.mean(other, table.eta) <= table.mean(best, table.eta) + 1e-6
    assert tried > 10 or budget < 0 or costs == 2


def test_the_dual_has_the_derivatives_of_corollary_2_and_is_convex():
    table, step = Table(0, 0.1, costs=2), 1e-6
    lam, nu = 0.7, np.array([0.4, 0.9])
    policy = table.optimum(lam, nu)
    for j in range(2):
        shift = step * np.eye(2)[j]
        slope = (table.dual(lam, nu + shift) - table.dual(lam, nu - shift)) / (2 * step)
        assert slope == pytest.approx(table.budget[j] - table.mean(policy, table.cost[j]), abs=1e-7)
    slope = (table.dual(lam + step, nu) - table.dual(lam - step, nu)) / (2 * step)
    assert slope == pytest.approx(DELTA - table.kl(policy), abs=1e-7)
    rng = np.random.default_rng(1)
    for _ in range(50):
        (lam, *nu), (other, *nus) = rng.uniform(0.1, 3, (2, 3))
        middle = table.dual((lam + other) / 2, (np.array(nu) + nus) / 2)
        assert middle <= (table.dual(lam, np.array(nu)) + table.dual(other, np.array(nus))) / 2 + 1e-12


def test_a_step_of_nu_follows_the_dual_at_the_old_policy():
    table = Table(3, budget=-0.2)  # J_C - c = 0.2
    algorithm = make_algorithm(MAFOCOPS, [make_actor()], nu_lr=1e-3)
    step = 1e-6  # at lambda -> infinity the optimal policy is the old one, whose cost advantage is 0
    slope = (table.dual(1e6, np.array([0.5 + step])) - table.dual(1e6, np.array([0.5 - step]))) / (2 * step)
    nu = np.array([0.5])
    moved = algorithm.next_nu(nu, -table.budget) - nu
    assert float(moved[0]) == pytest.approx(-1e-3 * slope, rel=1e-2)


def test_limits_of_the_closed_form():
    table = Table(1, 0.0, costs=2)
    nu = np.array([0.6, 0.2])
    np.testing.assert_allclose(table.optimum(1e9, nu), table.old, atol=1e-8)
    greedy, penalised = table.optimum(0.01, nu), table.eta - np.tensordot(nu, table.cost, 1)
    assert (greedy.argmax(1) == penalised.argmax(1)).all() and greedy.max(1).min() > 0.999
    shifted = Table(1, 0.0, costs=2)
    shifted.eta, shifted.cost = shifted.eta + np.ones((3, 1)) * 5, shifted.cost - np.arange(3)[:, None]
    np.testing.assert_allclose(shifted.optimum(0.7, nu), table.optimum(0.7, nu), atol=1e-12)
    np.testing.assert_allclose(table.optimum(0.7, np.zeros(2)), Table(1, 0.0).optimum(0.7, np.zeros(1)), atol=1e-12)


def test_the_slopes_give_the_gradient_of_kl_to_the_optimal_policy_on_a_softmax_table():
    """Equation 17, with one row per state and action, weighted by pi_k as samples would be."""
    table, lam, nu = Table(2, 0.0), 0.8, np.array([0.7])
    generator = torch.Generator().manual_seed(0)
    logits = torch.from_numpy(np.log(table.old)) + 0.1 * torch.randn(3, 4, generator=generator)
    logits.requires_grad_()
    log_policy, old = logits.log_softmax(1), torch.from_numpy(table.old)
    optimum = torch.from_numpy(table.optimum(lam, nu))
    wanted = torch.autograd.grad((log_policy.exp() * (log_policy - optimum.log())).sum(), logits, retain_graph=True)[0]

    algorithm = make_algorithm(MAFOCOPS, [make_actor()], lam=lam, kl_threshold=math.inf)
    kl = (log_policy.exp() * (log_policy - old.log())).sum(1)[:, None].expand(3, 4)
    advantage = table.eta - 0.7 * table.cost[0]
    rows = (log_policy.exp() / old).detach().numpy().ravel(), kl.detach().numpy().ravel(), advantage.ravel()
    slopes = map(torch.from_numpy, algorithm.slopes(*rows))
    d_log_prob, d_kl = (12 * slope.view(3, 4) * old for slope in slopes)  # E over a ~ pi_k in place of a mean of rows
    found = torch.autograd.grad((d_log_prob * log_policy + d_kl * kl).sum(), logits)[0]
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_the_slopes_give_the_gradient_of_kl_to_the_optimal_policy_for_a_gaussian():
    """Equation 17 for a 1-D Gaussian by quadrature, through the actor's own gradient."""
    actor, lam = make_actor(observation=3, action=1, hidden=(4,)), 0.9
    previous = make_actor(observation=3, action=1, hidden=(4,), seed=5)
    seen = torch.tensor([[0.3, -1.0, 0.5]])
    old = previous.policy(seen)
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    action = old.mean + old.std * nodes[:, None]  # (Q, 1)
    weights = weights / weights.sum()
    advantage = np.sin(2 * action[:, 0]) - 0.4 * action[:, 0] ** 2
    algorithm = make_algorithm(MAFOCOPS, [actor], lam=lam, kl_threshold=math.inf)
    many, many_old = seen.expand(120, 3), Gaussian(old.mean.repeat(120, 0), old.std)
    policy = actor.policy(many)
    ratio = np.exp(policy.log_prob(action) - many_old.log_prob(action))
    d_log_prob, d_kl = algorithm.slopes(ratio, policy.kl(many_old), advantage)
    found = actor.gradient(policy, action, 120 * weights * d_log_prob, many_old, 120 * weights * d_kl)

    theta = actor.theta.clone().requires_grad_()
    new = plain_of(actor).policy(theta, seen).base_dist
    nodes = new.loc + new.scale * torch.from_numpy(nodes)[:, None]
    log_partition = np.log((weights * np.exp(advantage / lam)).sum())
    target = independent(old).log_prob(nodes) + (torch.sin(2 * nodes) - 0.4 * nodes**2)[:, 0] / lam
    (torch.from_numpy(weights) * (new.log_prob(nodes)[:, 0] - target + log_partition)).sum().backward()
    torch.testing.assert_close(found, theta.grad, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("costs", [1, 2])
@pytest.mark.parametrize("share", [1.0, 1 / 3])
def test_the_gradient_is_that_of_the_loss_as_printed(share, costs, gate):
    actor, previous = make_actor(action=3), make_actor(action=3, seed=8)
    batch = make_batch(previous, costs=costs)
    nu = np.array([0.4, 1.1][:costs])
    kl = np.sort(actor.policy(batch.observation).kl(batch.old))
    threshold = share * float(kl[19] + kl[20]) / 2  # gates one half
    algorithm = make_algorithm(MAFOCOPS, [actor], costs, kl_threshold=threshold, gate=gate, lam=1.7)
    policy = actor.policy(batch.observation)
    ratio = np.exp(policy.log_prob(batch.action) - batch.log_prob)
    advantage = batch.advantage - batch.cost_advantage @ nu
    d_log_prob, d_kl = algorithm.slopes(ratio, policy.kl(batch.old), advantage, share)
    assert d_log_prob.shape == d_kl.shape == (40,)
    found = actor.gradient(policy, batch.action, d_log_prob, batch.old, d_kl)

    theta = actor.theta.clone().requires_grad_()
    new = plain_of(actor).policy(theta, batch.observation)
    focops_loss(new, tensors(batch), torch.from_numpy(nu), 1.7, threshold if gate else math.inf, share).backward()
    torch.testing.assert_close(found, theta.grad, rtol=1e-8, atol=1e-10)
    assert float((d_kl == 0).sum()) / 40 == (0.5 if gate else 0.0)


def focops_loss(new, batch, nu, lam, threshold, share=1.0):
    """mean over states of 1[KL <= threshold] { KL - ratio (M - nu . A_c) / lambda }, the indicator held fixed.

    KL is `share` of the sum over dimensions.
    """
    kl = share * kl_divergence(new, independent(batch.old))
    ratio = torch.exp(new.log_prob(batch.action) - batch.log_prob)
    gain = ratio * (batch.advantage - (batch.cost_advantage * nu).sum(1)) / lam
    return ((kl.detach() <= threshold) * (kl - gain)).mean()


@pytest.mark.parametrize("size", [1, 4])
def test_the_mean_of_the_kl_is_the_sum_with_lambda_and_delta_shared_among_the_dimensions(size):
    """Both losses differ by the factor A, which Adam does not see but through its epsilon."""
    actor = make_actor(action=size)
    batch = make_batch(make_actor(action=size, seed=8))
    policy = actor.policy(batch.observation)
    kl, delta = policy.kl(batch.old), float(np.median(policy.kl(batch.old))) / size
    rows = np.exp(policy.log_prob(batch.action) - batch.log_prob), kl, batch.advantage
    mean = make_algorithm(MAFOCOPS, [actor], lam=2.2, kl_threshold=delta, kl_reduction="mean")
    shared = make_algorithm(MAFOCOPS, [actor], lam=2.2 / size, kl_threshold=delta * size)
    for one, other in zip(mean.slopes(*rows, 1 / size), shared.slopes(*rows), strict=True):
        np.testing.assert_allclose(size * one, other, rtol=1e-12)
    used, slopes = [], mean.slopes
    mean.slopes = lambda *rows: (used.append(rows[3]), slopes(*rows))[1]
    mean.update_agent(0, batch)
    assert set(used) == {1 / size}


def test_at_the_old_policy_the_step_is_the_policy_gradient_over_lambda():
    actor = make_actor()
    batch = make_batch(actor)
    policy = actor.policy(batch.observation)
    algorithm = make_algorithm(MAFOCOPS, [actor], lam=2.2)
    advantage = batch.advantage - 0.5 * batch.cost_advantage[:, 0]
    d_log_prob, d_kl = algorithm.slopes(np.ones(40), policy.kl(batch.old), advantage)
    no_kl = actor.gradient(policy, batch.action, np.zeros(40), batch.old, d_kl).clone()
    assert no_kl.abs().max() < 1e-12
    found = actor.gradient(policy, batch.action, d_log_prob, batch.old, d_kl)
    theta = actor.theta.clone().requires_grad_()
    log_prob = plain_of(actor).policy(theta, batch.observation).log_prob(torch.from_numpy(batch.action))
    (log_prob * torch.from_numpy(advantage)).mean().backward()
    torch.testing.assert_close(found, -theta.grad / 2.2, rtol=1e-9, atol=1e-11)


def test_states_outside_the_trust_region_do_not_move_the_policy():
    actor = make_actor()
    batch = make_batch(make_actor(seed=8))
    kl = actor.policy(batch.observation).kl(batch.old)
    algorithm = make_algorithm(MAFOCOPS, [actor], kl_threshold=float(kl.min()) / 2, epochs=1, nu_lr=0.0)
    before = actor.theta.clone()
    found = algorithm.update_agent(0, batch)
    assert found["gated"] == 1.0 and torch.equal(actor.theta, before)


nus, violations = st.floats(0, 5), st.floats(-500, 500)


@given(nus, violations, st.floats(0, 0.1), st.one_of(st.floats(5, 10), st.just(math.inf)))
def test_nu_is_the_projected_step_exactly(nu, violation, rate, nu_max):
    algorithm = make_algorithm(MAFOCOPS, [make_actor()], nu_max=nu_max, nu_lr=rate)
    found = float(algorithm.next_nu(np.array([nu]), np.array([violation]))[0])
    assert found == min(nu_max, max(0.0, nu + rate * violation))
    assert 0 <= found <= nu_max


@given(nus, violations, violations)
def test_nu_rises_with_the_cost_and_stays_when_cost_equals_bound(nu, one, other):
    algorithm = make_algorithm(MAFOCOPS, [make_actor()], nu_max=math.inf, nu_lr=0.01)
    start = np.array([nu])
    low, high = (algorithm.next_nu(start, np.array([v]))[0] for v in sorted((one, other)))
    assert low <= high
    assert algorithm.next_nu(start, np.zeros(1))[0] == start[0]


@pytest.mark.parametrize("nu_max", [0.25, math.inf])
def test_both_readings_of_line_9_take_the_number_of_steps_they_say(nu_max):
    rows, epochs, rate, violation = 40, 3, 0.01, 2.0
    steps = {"minibatch": epochs * math.ceil(rows / 16), "iteration": 1}
    for reading, count in steps.items():
        actors = [make_actor(), make_actor(seed=1)]
        algorithm = make_algorithm(
            MAFOCOPS, actors, nu_update=reading, nu_lr=rate, nu_max=nu_max, epochs=epochs, minibatch_size=16,
            kl_threshold=math.inf,
        )  # fmt: skip
        found = algorithm.update_agent(1, make_batch(actors[1], rows, violation=violation))
        wanted = min(nu_max, count * rate * violation)
        assert found["nu"] == pytest.approx(wanted) and found["epochs"] == epochs
        assert algorithm.state["nu"].flatten().tolist() == pytest.approx([0.0, wanted])  # agent 0's stays


def test_without_violation_nu_stays_zero_and_costs_do_not_matter():
    ends = []
    for seed in range(2):
        actor = make_actor(lr=1e-3)
        costs = np.random.default_rng(seed).standard_normal((40, 1))
        batch = make_batch(actor, violation=-3.0)._replace(cost_advantage=costs)
        make_algorithm(MAFOCOPS, [actor], minibatch_size=16).update_agent(0, batch)
        ends.append(actor.theta)
    assert torch.equal(*ends)


@pytest.mark.parametrize("lr", [1e-5, 3e-3, 3e-2])
@pytest.mark.parametrize("share", [1.0, 1 / 3])
def test_epochs_stop_exactly_when_the_mean_kl_of_all_rows_exceeds_the_threshold(share, lr):
    reduction = "sum" if share == 1 else "mean"  # over three dimensions
    kls = []
    for epochs in range(1, 6):  # one more epoch each, never stopped: minibatches are the same as in the longer ones
        actor = make_actor(lr=lr)
        batch = make_batch(actor, rows=60)
        endless = {"kl_threshold": math.inf, "nu_lr": 0.0, "minibatch_size": 16, "kl_reduction": reduction}
        make_algorithm(MAFOCOPS, [actor], epochs=epochs, **endless).update_agent(0, batch)
        kls.append(share * float(actor.policy(batch.observation).kl(batch.old).mean()))
    for threshold in [0.5 * kls[0], *[1.0001 * kl for kl in kls], 1e9]:
        actor = make_actor(lr=lr)
        batch = make_batch(actor, rows=60)
        settings = {"minibatch_size": 16, "kl_threshold": threshold, "gate": False, "nu_lr": 0.0}
        stopping = make_algorithm(MAFOCOPS, [actor], epochs=5, kl_reduction=reduction, **settings)
        wanted = next((k for k, kl in enumerate(kls[:-1], 1) if kl > threshold), 5)
        assert stopping.update_agent(0, batch)["epochs"] == wanted


def shifted(shift: float, lr: float = 3e-3):
    """Return an actor and a batch of an older one, whose deviations are smaller (shift > 0) or larger."""
    actor, older = make_actor(lr=lr), make_actor()
    older.theta[-older.action_size :] -= shift
    return actor, make_batch(older, rows=60)


def both_kls(actor, batch) -> tuple[np.ndarray, np.ndarray]:
    """Return KL(pi_theta || pi_k) and KL(pi_k || pi_theta) by rows, by torch."""
    new, old = independent(actor.policy(batch.observation)), independent(batch.old)
    return kl_divergence(new, old).numpy(), kl_divergence(old, new).numpy()


@pytest.mark.parametrize("shift", [0.7, -0.7])
def test_the_gate_measures_the_new_policy_against_the_old_one(shift):
    """Between the two divergences all rows are gated, or none: whichever the new policy's from the old one says."""
    actor, batch = shifted(shift)
    kl, reverse = both_kls(actor, batch)
    threshold = (kl.mean() + reverse.mean()) / 2
    assert max(kl.min(), reverse.min()) > threshold > min(kl.max(), reverse.max())
    algorithm = make_algorithm(MAFOCOPS, [actor], kl_threshold=threshold, epochs=1, minibatch_size=60)
    assert algorithm.update_agent(0, batch)["gated"] == (kl.mean() > reverse.mean()) == (shift > 0)


@pytest.mark.parametrize("shift", [0.7, -0.7])
def test_the_stop_measures_the_new_policy_against_the_old_one(shift):
    actor, batch = shifted(shift, lr=1e-6)
    kl, reverse = (rows.mean() for rows in both_kls(actor, batch))
    algorithm = make_algorithm(
        MAFOCOPS, [actor], kl_threshold=float(kl + reverse) / 2, epochs=3, minibatch_size=16, gate=False
    )
    assert algorithm.update_agent(0, batch)["epochs"] == (1 if kl > reverse else 3)
    assert (kl > reverse) == (shift > 0)


def focops(actor, batch, config, nu, seed=3):
    """FOCOPS written out with autograd and torch.optim: nu first, then epochs of gated steps until KL > delta."""
    batch = tensors(batch)
    nu = (nu + config.nu_lr * batch.violation).clamp(0, config.nu_max)
    theta = torch.nn.Parameter(actor.theta.clone())
    optimiser = torch.optim.Adam([theta], lr=config.actor_lr, eps=1e-5)
    plain, generator = plain_of(actor), torch.Generator().manual_seed(seed)
    for _ in range(config.epochs):
        for mini in minibatches(batch, config.minibatch_size, generator):
            optimiser.zero_grad()
            focops_loss(plain.policy(theta, mini.observation), mini, nu, config.lam, config.kl_threshold).backward()
            torch.nn.utils.clip_grad_norm_([theta], config.max_grad_norm)
            optimiser.step()
        with torch.no_grad():
            new = plain.policy(theta, batch.observation)
            if kl_divergence(new, independent(batch.old)).mean() > config.kl_threshold:
                break
    return theta.detach(), nu


@pytest.mark.parametrize("lr", [1e-4, 1e-2], ids=["inside the trust region", "gated and stopped"])
@pytest.mark.parametrize("costs", [1, 2])
def test_one_agent_is_focops_step_for_step(costs, lr):
    actor = make_actor(lr=lr)
    batch = make_batch(actor, rows=60, costs=costs)
    algorithm = make_algorithm(
        MAFOCOPS, [actor], costs, nu_update="iteration", nu_lr=0.3, nu_init=0.2, minibatch_size=16, actor_lr=lr
    )
    theta, nu = focops(actor, batch, algorithm.config, torch.tensor(algorithm.state["nu"][0]))
    found = algorithm.update_agent(0, batch)
    torch.testing.assert_close(actor.theta, theta, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(algorithm.state["nu"][0], nu, rtol=1e-7, atol=1e-7)
    assert (found["epochs"] < 5) == (lr == 1e-2)


def test_the_reported_gated_share_is_that_of_all_rows_not_of_the_last_minibatch():
    actor = make_actor(lr=0.01)
    algorithm = make_algorithm(MAFOCOPS, [actor], epochs=4, minibatch_size=16, kl_threshold=0.02)
    seen, slopes = [], algorithm.slopes

    def spy(*rows):
        found = slopes(*rows)
        seen.append(found[1] == 0)
        return found

    algorithm.slopes = spy
    found = algorithm.update_agent(0, make_batch(actor, rows=40))  # 16, 16 and 8 rows an epoch
    shares = [float(part.mean()) for part in seen]
    assert found["gated"] == pytest.approx(float(np.concatenate(seen).mean())) and 0 < found["gated"] < 1
    assert found["gated"] != pytest.approx(np.mean(shares)) and found["gated"] != pytest.approx(np.mean(shares[2::3]))
