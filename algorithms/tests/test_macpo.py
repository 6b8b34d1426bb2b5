"""MACPO: its dual against independent solvers, conjugate gradients, the line search, and CPO for one agent."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch.distributions import Independent, Normal, kl_divergence

from algorithms import MACPO
from algorithms.macpo import BOUNDARY, FREE, RECOVERY, REPAIR, Solution, conjugate_gradient, solve, without_noise

from .reference import make_actor, make_algorithm, make_batch, plain_of, tensors

DELTA = 0.008
seeds = st.integers(0, 10_000)


class Problem:
    """minimise g . s  subject to  c + b s <= 0 and s . H s / 2 <= delta, with random g, b (C, n), H."""

    def __init__(self, seed: int, costs: int, offset: float, n=5) -> None:
        rng = np.random.default_rng(seed)
        root = rng.standard_normal((n, n))
        self.h = root @ root.T + 0.1 * np.eye(n)
        self.g, self.b = rng.standard_normal(n), rng.standard_normal((costs, n))
        self.inverse = np.linalg.inv(self.h)
        reach = np.sqrt(2 * DELTA * np.diagonal(self.s))  # how far each constraint can be moved within the ball
        self.c = (offset + 0.3 * rng.standard_normal(costs)) * reach

    @property
    def q(self) -> float:
        return self.g @ self.inverse @ self.g

    @property
    def r(self) -> np.ndarray:
        return self.b @ self.inverse @ self.g

    @property
    def s(self) -> np.ndarray:
        return self.b @ self.inverse @ self.b.T

    def solve(self):
        return solve(self.q, self.r, self.s, self.c, DELTA)

    def step(self, found) -> np.ndarray:
        direction = found.nu @ self.b + (found.case != RECOVERY) * self.g
        return -self.inverse @ direction / found.lam

    def feasible(self) -> bool:
        """Whether the ball holds a point that satisfies all: seen on the circle in the plane of b_1 and b_2.

        With C <= 2 the constraints leave an unbounded set in that plane, so it meets the circle if it meets the disc.
        """
        if len(self.c) == 1:
            return self.c[0] <= np.sqrt(2 * DELTA * self.s[0, 0])
        edges = np.linalg.cholesky(self.s)  # b_j in orthonormal coordinates
        angle = np.linspace(0, 2 * np.pi, 200_001)
        points = np.sqrt(2 * DELTA) * np.stack([np.cos(angle), np.sin(angle)])
        return bool((self.c[:, None] + edges @ points).max(0).min() <= 1e-9)


OFFSETS = pytest.mark.parametrize("offset", [-3.0, -0.9, -0.4, 0.4, 0.9, 3.0])
COSTS = pytest.mark.parametrize("costs", [1, 2])


@COSTS
@OFFSETS
def test_the_step_satisfies_the_karush_kuhn_tucker_conditions(costs, offset):
    for seed in range(40):
        problem = Problem(seed, costs, offset)
        found = problem.solve()
        step = problem.step(found)
        kl = step @ problem.h @ step / 2
        assert (found.case != RECOVERY) == problem.feasible()
        assert kl == pytest.approx(DELTA, rel=1e-8)
        if found.case == RECOVERY:
            continue
        value = problem.c + problem.b @ step
        stationarity = problem.g + found.lam * problem.h @ step + found.nu @ problem.b
        assert np.abs(stationarity).max() < 1e-9 * (1 + found.lam)
        assert (value <= 1e-9).all() and (found.nu >= 0).all() and found.lam > 0
        assert np.abs(found.nu * value).max() < 1e-8 * (1 + found.nu.max())


@COSTS
@OFFSETS
def test_cases_are_named_after_what_binds_and_what_is_violated(costs, offset):
    for seed in range(40):
        problem = Problem(seed, costs, offset)
        found = problem.solve()
        if found.case == FREE:
            assert (found.nu == 0).all()
        elif found.case in (BOUNDARY, REPAIR):
            assert found.nu.max() > 0 and (found.case == REPAIR) == bool((problem.c >= 0).any())
        else:
            assert (problem.c > 0).any()


def test_all_cases_occur_for_one_and_for_two_costs():
    for costs in (1, 2):
        cases = {Problem(k, costs, offset).solve().case for k in range(40) for offset in (-3.0, -0.4, 0.4, 3.0)}
        assert cases == {FREE, BOUNDARY, REPAIR, RECOVERY}


def slsqp(problem: Problem, seed: int) -> float:
    """Return the least g . s found by SciPy, in coordinates where the trust region is the unit ball."""
    basis = np.sqrt(2 * DELTA) * np.linalg.inv(np.linalg.cholesky(problem.h)).T  # s = basis x
    g, scale = problem.g @ basis, np.sqrt(2 * DELTA * np.diagonal(problem.s))
    constraints = [
        {"type": "ineq", "fun": lambda x: -(problem.c + problem.b @ basis @ x) / scale},
        {"type": "ineq", "fun": lambda x: 1 - x @ x, "jac": lambda x: -2 * x},
    ]
    size, start = np.linalg.norm(g), 0.3 * np.random.default_rng(seed).standard_normal(len(g))
    best = minimize(lambda x: g @ x / size, start, method="SLSQP", constraints=constraints, options={"ftol": 1e-11})
    assert min(constraint["fun"](best.x).min() for constraint in constraints) > -1e-6, best.message
    return best.fun * size


@COSTS
@pytest.mark.parametrize("offset", [-0.5, 0.3])
def test_a_general_purpose_optimiser_finds_no_better_step(costs, offset):
    compared = 0
    for seed in range(12):
        problem = Problem(seed, costs, offset, n=3)
        found = problem.solve()
        if found.case == RECOVERY:
            continue
        assert problem.g @ problem.step(found) == pytest.approx(slsqp(problem, seed), rel=1e-4)
        compared += 1
    assert compared >= 5


def test_brute_force_in_the_plane_finds_no_better_step():
    grid = np.linspace(-1, 1, 801)
    points = np.stack(np.meshgrid(grid, grid)).reshape(2, -1)
    for seed in range(12):
        for costs, offset in ((1, -0.5), (1, 0.4), (2, -0.4)):
            problem = Problem(seed, costs, offset, n=2)
            found = problem.solve()
            ball = np.sqrt(2 * DELTA) * np.linalg.inv(np.linalg.cholesky(problem.h)).T @ points
            inside = (points**2).sum(0) <= 1
            allowed = inside & (problem.c[:, None] + problem.b @ ball <= 0).all(0)
            if found.case == RECOVERY:
                assert not allowed.any()
            elif allowed.any():
                mine, best = problem.g @ problem.step(found), (problem.g @ ball)[allowed].min()
                assert mine <= best + 1e-12 and mine == pytest.approx(best, abs=0.02 * np.sqrt(2 * DELTA * problem.q))


@given(seeds)
def test_recovery_goes_down_the_cost_as_far_as_the_ball_allows(seed):
    problem = Problem(seed, 1, 3.0)
    found = problem.solve()
    assert found.case == RECOVERY
    step = problem.step(found)
    steepest = -np.sqrt(2 * DELTA / problem.s[0, 0]) * problem.inverse @ problem.b[0]
    np.testing.assert_allclose(step, steepest, rtol=1e-9)


def test_recovery_leaves_satisfied_costs_out():
    problem = Problem(0, 2, 0.0)
    problem.c = np.array([5.0, -5.0])
    found = problem.solve()
    assert found.case == RECOVERY and found.nu[0] > 0 and found.nu[1] == 0


def cost_step(problem: Problem, c: float) -> tuple[int, np.ndarray]:
    problem.c = np.array([c])
    found = problem.solve()
    return found.case, problem.step(found)


@given(seeds)
def test_the_step_is_continuous_where_the_cost_crosses_the_bound(seed):
    problem = Problem(seed, 1, 0.0)
    below, above = cost_step(problem, -1e-9)[1], cost_step(problem, 1e-9)[1]
    np.testing.assert_allclose(below, above, atol=1e-6)


@given(seeds)
def test_the_step_tends_to_recovery_where_the_ball_only_touches_the_safe_side(seed):
    problem = Problem(seed, 1, 0.0)
    edge = float(np.sqrt(2 * DELTA * problem.s[0, 0]))
    inside, beyond = cost_step(problem, edge * (1 - 1e-9)), cost_step(problem, edge * (1 + 1e-9))
    assert (inside[0], beyond[0]) == (REPAIR, RECOVERY)
    np.testing.assert_allclose(inside[1], beyond[1], atol=1e-3 * np.abs(beyond[1]).max())


@given(seeds)
def test_the_step_is_the_plain_one_as_soon_as_the_boundary_leaves_the_ball(seed):
    problem = Problem(seed, 1, 0.0)
    edge = float(np.sqrt(2 * DELTA * problem.s[0, 0]))
    plain = -np.sqrt(2 * DELTA / problem.q) * problem.inverse @ problem.g
    case, step = cost_step(problem, -edge * (1 + 1e-9))
    assert case == FREE
    np.testing.assert_allclose(step, plain, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("offset", [-1.0, 0.0])
def test_without_a_cost_gradient_the_step_is_the_plain_one(offset):
    problem = Problem(0, 1, offset)
    problem.b, problem.c = problem.b * 1e-12, np.array([min(offset, 0.0)])
    found = problem.solve()
    assert found.case == FREE and (found.nu == 0).all()


def test_two_equal_constraints_act_as_one():
    for seed in range(10):
        single, double = Problem(seed, 1, -0.4), Problem(seed, 1, -0.4)
        double.b, double.c = np.repeat(double.b, 2, 0), np.repeat(double.c, 2)
        np.testing.assert_allclose(double.step(double.solve()), single.step(single.solve()), rtol=1e-9, atol=1e-12)


@given(seeds, st.integers(1, 8))
def test_conjugate_gradients_are_exact_after_as_many_steps_as_unknowns(seed, n):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    matrix = root @ root.T + torch.eye(n, dtype=torch.float64)
    b = torch.randn(n, generator=generator, dtype=torch.float64)
    kept = b.clone()
    found = conjugate_gradient(lambda x: matrix @ x, b, iterations=n, tolerance=1e-20)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, b), rtol=1e-6, atol=1e-8)
    assert torch.equal(b, kept)


@given(seeds)
def test_conjugate_gradients_minimise_the_energy_over_the_krylov_space(seed):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(9, 9, generator=generator, dtype=torch.float64)
    matrix = root @ root.T + torch.eye(9, dtype=torch.float64)
    b = torch.randn(9, generator=generator, dtype=torch.float64)
    krylov = torch.linalg.qr(torch.stack([torch.linalg.matrix_power(matrix, k) @ b for k in range(3)], 1))[0]
    best = krylov @ torch.linalg.solve(krylov.T @ matrix @ krylov, krylov.T @ b)
    found = conjugate_gradient(lambda x: matrix @ x, b, iterations=3, tolerance=0.0)
    torch.testing.assert_close(found, best, rtol=1e-6, atol=1e-8)


def test_conjugate_gradients_of_zero_are_zero():
    assert torch.equal(conjugate_gradient(lambda x: x, torch.zeros(4)), torch.zeros(4))


def surrogates(actor, batch) -> np.ndarray:
    """E[ratio A] and E[ratio A_c] (1 + C,) at the actor's present parameters."""
    ratio = np.exp(actor.policy(batch.observation).log_prob(batch.action) - batch.log_prob)
    return (ratio[:, None] * np.column_stack([batch.advantage, batch.cost_advantage])).mean(0)


@given(seeds, st.sampled_from([-5.0, -0.05, 0.05, 5.0]), st.sampled_from([0.3, 1.0, 30.0]), st.integers(1, 2))
def test_the_line_search_keeps_its_promises(seed, violation, fraction, costs):
    actor, previous = make_actor(seed=seed), make_actor(seed=seed)
    previous.theta.add_(torch.randn(actor.theta.shape, dtype=torch.float64) * 0.02)
    batch = make_batch(previous, costs=costs, seed=seed, violation=violation)
    algorithm = make_algorithm(MACPO, [actor], costs, fraction_coef=fraction, line_search_steps=4)
    start, policy, before = actor.theta.clone(), actor.policy(batch.observation), surrogates(actor, batch)
    found = algorithm.step(actor, batch)
    if not found["accepted"]:
        assert torch.equal(actor.theta, start) and found["step_kl"] == 0
        return
    kl = policy.kl(actor.policy(batch.observation)).mean()
    change = surrogates(actor, batch) - before
    assert kl <= algorithm.config.kl_threshold + 1e-12 and found["step_kl"] == pytest.approx(float(kl))
    assert (change[1:] <= max(-violation / batch.episode_length, 0.0) + 1e-9).all()
    if found["case_2"] or found["case_3"]:
        assert change[0] > -1e-12


def search(step_scale, reward_slope, cost, c, case):
    """Try one step of the line search down `reward_slope` times the reward's loss; return what it found and moved."""
    actor = make_actor(dtype=torch.float32)
    batch = make_batch(actor)
    batch = batch._replace(cost_advantage=cost * batch.advantage[:, None])
    algorithm = make_algorithm(MACPO, [actor], fraction_coef=1.0, line_search_steps=1)
    policy, start = actor.policy(batch.observation), actor.theta.clone()
    signals = np.stack([-batch.advantage, batch.cost_advantage[:, 0]])
    step = step_scale * reward_slope * actor.gradient(policy, batch.action, signals[0] / len(batch.action)).clone()
    solution = Solution(case, 1.0, np.zeros(1))
    found = algorithm.line_search(actor, batch, policy, signals, step, solution, np.array([c]))
    return found["accepted"], torch.equal(actor.theta, start)


def test_a_refused_step_restores_the_parameters_bit_for_bit():
    small, large = 1e-3, 1e2
    assert search(small, 1, -1.0, -5.0, FREE) == (1.0, False)  # fits
    assert search(large, 1, -1.0, -5.0, FREE) == (0.0, True)  # leaves the trust region
    assert search(small, -1, 1.0, -5.0, FREE) == (0.0, True)  # loses reward
    assert search(small, -1, 1.0, 5.0, REPAIR) == (1.0, False)  # loses reward to mend the cost
    assert search(small, -1, 1.0, 5.0, RECOVERY) == (1.0, False)
    assert search(small, 1, 1.0, 1.0, REPAIR) == (0.0, True)  # raises a cost that is too high already
    assert search(small, 1, 1.0, -1e-9, BOUNDARY) == (0.0, True)  # raises the cost by more than its slack
    assert search(small, 1, 1.0, -5.0, BOUNDARY) == (1.0, False)  # raises it by less


def test_the_line_search_shortens_the_step_until_it_fits():
    actor = make_actor()
    batch = make_batch(actor, violation=-50.0)
    algorithm = make_algorithm(MACPO, [actor], fraction_coef=20.0, line_search_steps=10)
    found = algorithm.step(actor, batch)
    assert found["accepted"] and found["line_search"] >= 3  # 20 trust regions take four halvings


def test_the_constraint_is_the_violation_per_step_in_units_of_the_cost_advantage():
    actor = make_actor()
    batch = make_batch(actor, costs=2)._replace(
        violation=np.array([3.0, -2.0]), cost_scale=np.array([0.5, 4.0]), episode_length=25.0
    )
    found = make_algorithm(MACPO, [actor], 2).constraint(batch)
    np.testing.assert_allclose(found, [3 / 25 / 0.5, -2 / 25 / 4], rtol=1e-4, atol=0)


def cpo(actor, batch, config):
    """CPO's step with an explicit Hessian of the KL by autograd and the dual's two branches, for one cost."""
    batch, plain, theta = tensors(batch), plain_of(actor), actor.theta.clone()
    old = plain.policy(theta, batch.observation)
    old = Independent(Normal(old.base_dist.loc.detach(), old.base_dist.scale.detach()), 1)

    def divergence(x):
        return kl_divergence(old, plain.policy(x, batch.observation)).mean()

    def loss(x, advantage):
        new = plain.policy(x, batch.observation)
        return (torch.exp(new.log_prob(batch.action) - batch.log_prob) * advantage).mean()

    signals = (-batch.advantage, batch.cost_advantage[:, 0])  # both to be decreased
    g, b = (torch.autograd.functional.jacobian(lambda x, a=a: loss(x, a), theta) for a in signals)
    h = torch.autograd.functional.hessian(divergence, theta)
    h = h + config.damping * torch.eye(len(theta), dtype=theta.dtype)
    v, w = torch.linalg.solve(h, g), torch.linalg.solve(h, b)
    q, r, s, delta = float(g @ v), float(g @ w), float(b @ w), config.kl_threshold
    c = float(batch.violation[0] / batch.episode_length / (batch.cost_scale[0] + 1e-5))
    a, room = q - r * r / s, 2 * delta - c * c / s
    case = FREE if c < 0 and room < 0 else RECOVERY if c > 0 and room < 0 else BOUNDARY if c < 0 else REPAIR
    if case == RECOVERY:
        step = np.sqrt(2 * delta / s) * w
    elif case == FREE:
        step = v / np.sqrt(q / (2 * delta))
    else:
        split = max(r / c, 0)  # for c < 0 the branch with nu > 0 lies below it, for c > 0 above it
        below, above = (0.0, split), (split, np.inf)
        binding, free = (below, above) if c < 0 else (above, below)
        lams = np.clip(np.sqrt(a / room), *binding), np.clip(np.sqrt(q / (2 * delta)), *free)
        with np.errstate(divide="ignore"):
            values = -0.5 * (a / lams[0] + room * lams[0]) - r * c / s, -0.5 * (q / lams[1] + 2 * delta * lams[1])
        lam = lams[0] if values[0] >= values[1] else lams[1]
        nu = max(0.0, lam * c - r) / s
        step = (v + nu * w) / lam
        case = case if nu > 0 else FREE
    start = [float(loss(theta, signal)) for signal in signals]
    for trial in range(config.line_search_steps):
        new = theta - config.fraction_coef * config.line_search_fraction**trial * step
        better = float(loss(new, signals[0])) < start[0] or case < BOUNDARY
        if divergence(new) <= delta and better and float(loss(new, signals[1])) - start[1] <= max(-c, 0):
            return new, case
    return theta, case


@pytest.mark.parametrize("violation", [-9.0, -0.6, -0.2, 0.2, 0.6, 9.0])
@pytest.mark.parametrize("seed", range(3))
def test_one_agent_takes_the_step_of_cpo(seed, violation):
    actor = make_actor(observation=3, action=2, hidden=(4, 3), seed=seed)
    batch = make_batch(actor, rows=60, seed=seed, violation=violation)
    algorithm = make_algorithm(MACPO, [actor], trust_region="iteration", cg_iterations=200)
    wanted, case = cpo(actor, batch, algorithm.config)
    start = actor.theta.clone()
    found = algorithm.update_agent(0, batch)
    assert found[f"case_{case}"] == 1.0
    moved = float((wanted - start).abs().max())
    torch.testing.assert_close(actor.theta, wanted, rtol=0, atol=1e-3 * moved + 1e-12)


def test_one_step_is_taken_per_minibatch_or_per_iteration():
    for region, steps in (("minibatch", 3), ("iteration", 1)):
        actor, calls = make_actor(), []
        algorithm = make_algorithm(MACPO, [actor], trust_region=region, minibatch_size=16)
        step = algorithm.step
        algorithm.step = lambda a, b, step=step, calls=calls: calls.append(len(b.action)) or step(a, b)
        algorithm.update_agent(0, make_batch(actor))
        assert len(calls) == steps and sum(calls) == 40


def test_two_costs_of_which_one_is_constant_act_as_one():
    ends = []
    for costs in (1, 2):
        actor = make_actor()
        batch = make_batch(actor, violation=-0.2)
        batch = batch._replace(
            cost_advantage=np.column_stack([batch.cost_advantage, np.zeros((40, costs - 1))]),
            violation=np.array([-0.2, -1.0][:costs]),
            cost_scale=np.ones(costs),
        )
        make_algorithm(MACPO, [actor], costs).update_agent(0, batch)
        ends.append(actor.theta)
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-12)


def test_the_factor_of_earlier_agents_does_not_touch_the_cost():
    """The constraint has no M: rows weighted by M in the advantage leave b, s and c as they are."""
    found = []
    for weight in (1.0, 3.0):
        actor = make_actor()
        batch = make_batch(actor)
        batch = batch._replace(advantage=weight * batch.advantage, factor=weight * batch.factor)
        found.append(make_algorithm(MACPO, [actor]).step(actor, batch))
    assert found[0]["s"] == pytest.approx(found[1]["s"], rel=1e-9)
    assert found[1]["q"] == pytest.approx(9 * found[0]["q"], rel=1e-3)


@COSTS
@OFFSETS
def test_without_noise_the_plane_of_the_natural_gradients_gives_the_same_step(costs, offset):
    for seed in range(10):
        problem = Problem(seed, costs, offset)
        both = np.vstack([problem.g, problem.b])
        products = both @ problem.inverse @ both.T
        basis, same = without_noise(products, np.zeros_like(products))
        np.testing.assert_allclose(basis, np.eye(1 + costs), atol=1e-8)
        np.testing.assert_allclose(same, products, rtol=1e-8, atol=1e-10)


@COSTS
@OFFSETS
def test_a_cross_fitted_step_fills_the_trust_region_and_mends_what_it_mends_on_other_rows(costs, offset):
    whole = 0
    for seed in range(40):
        problem, rng = Problem(seed, costs, offset), np.random.default_rng(seed)
        both, other = np.vstack([problem.g, problem.b]), rng.standard_normal((1 + costs, 5))
        products, noise = (x @ problem.inverse @ x.T for x in (both, 0.2 * other))
        value, vector = np.linalg.eigh(products - noise)
        gains = (vector * np.maximum(value, 0)) @ vector.T  # along v and w, of any step x v + y w
        basis, inside = without_noise(products, noise)
        found = solve(inside[0, 0], inside[1:, 0], inside[1:, 1:], problem.c, DELTA)
        whole += value[0] > 0
        x = basis @ np.concatenate([[found.case != RECOVERY], found.nu]) / found.lam
        kl = x @ products @ x / 2
        if value[0] > 0:  # else there may be nothing to gain beside the constraint, and the step ends on it
            assert kl == pytest.approx(DELTA, rel=1e-6)
        assert kl <= DELTA * (1 + 1e-6)
        if found.case != RECOVERY:
            assert (problem.c - (gains @ x)[1:] <= 1e-6).all()
    assert whole >= 20


def test_half_the_difference_of_two_halves_has_the_noise_of_their_mean_and_no_signal():
    rng = np.random.default_rng(0)
    signal, scale = np.array([[3.0, 0.0, 1.0], [-1.0, 0.5, 0.0]]), np.array([0.2, 1.0, 3.0])
    first, second = signal + scale * rng.standard_normal((2, 40_000, 2, 3))
    mean, difference = (first + second) / 2, (first - second) / 2
    estimate = (mean @ mean.swapaxes(1, 2) - difference @ difference.swapaxes(1, 2)).mean(0)
    np.testing.assert_allclose(estimate, signal @ signal.T, atol=0.1)
    assert (mean @ mean.swapaxes(1, 2)).mean(0)[0, 0] > 1.4 * (signal @ signal.T)[0, 0]


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.4), (1.0, 0.7, 0.99)])
def test_cross_fitting_leaves_of_q_what_other_rows_confirm(share, low, high):
    """Advantages of noise alone, and advantages that rise with an action: what is left of q and s."""
    left = []
    for seed in range(12):
        actor = make_actor(seed=seed)
        batch = make_batch(actor, rows=2000, seed=seed, violation=-5.0)
        signal = (batch.action - batch.old.mean)[:, :1] / batch.old.std[:1]
        noise = 1.0 if share == 0 else 0.5
        batch = batch._replace(
            advantage=noise * batch.advantage + share * signal[:, 0],
            cost_advantage=noise * batch.cost_advantage - share * signal,
        )
        start, found = actor.theta.clone(), []
        for cross_fit in (False, True):
            actor.theta.copy_(start)
            found.append(make_algorithm(MACPO, [actor], cross_fit=cross_fit).step(actor, batch))
        left.append([found[1][name] / found[0][name] for name in ("q", "s")])
    assert ((low <= np.median(left, 0)) & (np.median(left, 0) <= high)).all(), np.median(left, 0)
