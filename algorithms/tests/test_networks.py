"""Networks, distributions, optimiser and critics against autograd, torch.distributions and torch.optim.

What is computed in two ways, compiled and by torch, is tested in both; the reference is a third implementation.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import kl_divergence

from algorithms.core import networks, policy
from algorithms.core.config import Config
from algorithms.core.critic import Critics, Normaliser, value_loss_slope
from algorithms.core.kernels import CHUNK
from algorithms.core.networks import MLP, Adam, Autograd, Compiled, minibatches
from algorithms.core.policy import Actor, Gaussian
from algorithms.core.rollout import Ensemble

from .reference import CPU, independent, make_actor, make_batch, plain_of

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own
TOLERANCE = {torch.float64: 1e-8, torch.float32: 2e-4}  # LayerNorm of a row that hardly varies multiplies errors by 300
DTYPES = pytest.mark.parametrize("dtype", list(TOLERANCE), ids=["float64", "float32"])
ROWS = pytest.mark.parametrize("rows", [1, 17, 2 * CHUNK + 3])
HIDDEN = pytest.mark.parametrize("hidden", [(6,), (7, 6), (5, 6, 4)], ids=str)


@pytest.fixture(params=[Compiled, Autograd], ids=["compiled", "autograd"])
def way(request, monkeypatch) -> type:
    """The class that does the networks' arithmetic in a test that asks for it."""
    if request.param is Autograd:
        for module in (networks, policy):
            monkeypatch.setattr(module, "kernels", lambda: None)
    return request.param


def observations(dtype, rows=17, size=5, seed=1):
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(found, wanted, dtype):
    tolerance, found = TOLERANCE[dtype], torch.as_tensor(found)
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance * max(1.0, float(wanted.abs().max())))


@DTYPES
@HIDDEN
@ROWS
def test_forward_equals_torch_modules_with_the_same_parameters(way, dtype, hidden, rows):
    actor, seen = make_actor(hidden=hidden, dtype=dtype), observations(dtype, rows)
    assert type(actor._way) is way
    close(actor.forward(seen), plain_of(actor).output(actor.theta, seen).detach(), dtype)


@DTYPES
@HIDDEN
@ROWS
def test_backward_equals_autograd(way, dtype, hidden, rows):
    actor, seen = make_actor(hidden=hidden, dtype=dtype), observations(dtype, rows)
    dy = observations(dtype, rows, size=3, seed=2)
    actor.forward(seen)
    found = actor.backward(dy.numpy())
    theta = actor.theta.clone().requires_grad_()
    (plain_of(actor).output(theta, seen) * dy).sum().backward()
    close(found, theta.grad, dtype)


@DTYPES
@HIDDEN
@ROWS
def test_gauss_newton_products_equal_those_of_torch(way, dtype, hidden, rows):
    actor, seen = make_actor(hidden=hidden, dtype=dtype), observations(dtype, rows)
    direction = torch.randn(actor.theta.shape, generator=torch.Generator().manual_seed(4), dtype=dtype)
    metric = np.array([0.2, 1.0, 3.0], direction.numpy().dtype)
    actor.forward(seen)

    def output(theta):
        return plain_of(actor).output(theta, seen)

    _, change = torch.func.jvp(output, (actor.theta,), (direction,))
    _, back = torch.func.vjp(output, actor.theta)
    close(actor.gauss_newton(direction, metric), back(change.detach() * torch.from_numpy(metric))[0], dtype)


def test_evaluating_keeps_what_derivatives_need_and_a_gradient_stays_when_another_is_taken(way):
    actor, ones = make_actor(), np.ones((17, 3))
    actor.forward(observations(torch.float64))
    before = actor.backward(ones)
    kept = before.clone()
    actor.policy(observations(torch.float64, rows=40, seed=7), taped=False)
    assert torch.equal(actor.backward(ones), before)
    actor.backward(2 * ones)
    assert torch.equal(before, kept)


def test_named_parameters_are_those_of_the_plain_module_and_the_std(way):
    actor, other, seen = make_actor(), make_actor(seed=5), observations(torch.float64)
    named = actor.named()
    plain = plain_of(actor).net.double()
    plain.load_state_dict({name: value for name, value in named.items() if name != "std"})
    close(actor.forward(seen), plain(seen).detach(), torch.float64)
    np.testing.assert_allclose(actor.std(), 0.5 / (1 + np.exp(-named["std"].numpy())), rtol=1e-12)
    other.load_named(named)
    assert torch.equal(other.theta, actor.theta)
    other.theta.zero_()
    assert torch.equal(named["std"], actor.named()["std"])  # a copy


def test_a_policy_that_is_not_the_last_one_is_refused(way):
    actor, seen, action = make_actor(), observations(torch.float64), np.ones((17, 3))
    first = actor.policy(seen)
    actor.policy(seen, taped=False)  # an evaluation does not count
    actor.gradient(first, action, np.ones(17))
    actor.policy(observations(torch.float64, seed=7))
    for call in (
        lambda: actor.gradient(first, action, np.ones(17)),
        lambda: actor.gradient_of(lambda log_prob, kl, entropy: log_prob.sum(), first, action),
        lambda: actor.fisher_vector_product(first, actor.theta),
    ):
        with pytest.raises(ValueError, match="the policy is not what"):
            call()


@pytest.mark.parametrize("rows", [1, 300])
def test_columns_of_a_larger_array_are_observations_too(way, rows):
    actor = make_actor()
    wide = observations(torch.float64, rows, size=10)
    assert np.array_equal(actor.forward(wide[:, 5:]), actor.forward(wide[:, 5:].clone()))


PARTS = {"log_prob": (1.0, 0.0, 0.0), "kl": (0.0, 1.0, 0.0), "entropy": (0.0, 0.0, 1.0), "all": (0.7, 1.3, -0.2)}


@DTYPES
@pytest.mark.parametrize("part", PARTS)
def test_policy_gradient_equals_autograd(way, part, dtype):
    on_log_prob, on_kl, on_entropy = PARTS[part]
    actor, seen = make_actor(dtype=dtype), observations(dtype)
    previous = make_actor(seed=9, dtype=dtype).policy(seen)
    action, weights = observations(dtype, size=3, seed=2), observations(dtype, size=2, seed=3)
    slope, kl_slope = on_log_prob * weights[:, 0], on_kl * weights[:, 1]
    rows = (action.numpy(), slope.numpy(), previous, kl_slope.numpy())
    found = actor.gradient(actor.policy(seen), *rows, on_entropy)

    theta = actor.theta.clone().requires_grad_()
    new = plain_of(actor).policy(theta, seen)
    kl = kl_divergence(new, independent(previous))
    entropy = new.entropy()[0]  # the same at all observations; a sum over dimensions
    ((slope * new.log_prob(action)).sum() + (kl_slope * kl).sum() + on_entropy * entropy).backward()
    close(found, theta.grad, dtype)


@DTYPES
def test_a_loss_of_rows_has_the_gradient_of_autograd(way, dtype):
    actor, seen = make_actor(dtype=dtype), observations(dtype)
    previous = make_actor(seed=9, dtype=dtype).policy(seen)
    action, weights = observations(dtype, size=3, seed=2), observations(dtype, size=2, seed=3)

    def loss(log_prob, kl, entropy):
        return -(log_prob.exp() * weights[:, 0]).mean() - torch.log1p(kl * weights[:, 1] ** 2).sum() + entropy**2

    found = actor.gradient_of(loss, actor.policy(seen), action.numpy(), previous)
    theta = actor.theta.clone().requires_grad_()
    new = plain_of(actor).policy(theta, seen)
    loss(new.log_prob(action), kl_divergence(new, independent(previous)), new.entropy()[0]).backward()
    close(found, theta.grad, dtype)


def test_a_loss_may_leave_out_what_it_does_not_need_and_is_possible_while_torch_records_nothing(way):
    actor, seen, action = make_actor(), observations(torch.float64), observations(torch.float64, size=3, seed=2)
    policy = actor.policy(seen)
    with torch.no_grad():
        found = actor.gradient_of(lambda log_prob, kl, entropy: log_prob.square().sum(), policy, action.numpy())
    wanted = actor.gradient(policy, action.numpy(), 2 * policy.log_prob(action.numpy()))
    close(found, wanted, torch.float64)


def explicit_fisher(actor: Actor, seen: torch.Tensor) -> torch.Tensor:
    """J^T M J with J the Jacobian of (means, log std) and M their Fisher information, averaged over observations."""

    plain = plain_of(actor)

    def moments(theta):
        policy = plain.policy(theta, seen).base_dist
        return policy.loc, policy.scale[0].log()

    of_mean, of_log_std = torch.func.jacrev(moments)(actor.theta)  # (B, A, P), (A, P)
    inverse_variance = torch.from_numpy(actor.std()) ** -2
    return torch.einsum("bap,a,baq->pq", of_mean, inverse_variance, of_mean) / len(seen) + 2 * of_log_std.T @ of_log_std


@DTYPES
def test_fisher_vector_product_equals_the_explicit_matrix(way, dtype):
    actor, seen = make_actor(hidden=(4, 3), dtype=dtype), observations(dtype)
    policy, fisher = actor.policy(seen), explicit_fisher(actor, seen).detach()
    products = [actor.fisher_vector_product(policy, row).clone() for row in torch.eye(len(fisher), dtype=dtype)]
    close(torch.stack(products), fisher, dtype)


def test_fisher_matrix_is_symmetric_positive_semidefinite_and_the_hessian_of_kl_old_new():
    actor, seen = make_actor(hidden=(4, 3)), observations(torch.float64)
    policy, theta = actor.policy(seen), actor.theta.clone()
    old, plain = independent(policy), plain_of(actor)

    def divergence(new_theta):
        return kl_divergence(old, plain.policy(new_theta, seen)).mean()

    identity = torch.eye(len(theta), dtype=torch.float64)
    fisher = torch.stack([actor.fisher_vector_product(policy, row).clone() for row in identity])
    assert torch.allclose(torch.func.grad(divergence)(theta), torch.zeros_like(theta), atol=1e-12)
    torch.testing.assert_close(fisher, torch.func.hessian(divergence)(theta), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(fisher, fisher.T, rtol=1e-10, atol=1e-10)
    assert torch.linalg.eigvalsh(fisher)[0] > -1e-10


@DTYPES
@pytest.mark.parametrize("max_norm", [0.5, 1e6])
def test_adam_equals_torch_adam_with_clipped_gradients(way, dtype, max_norm):
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(30, generator=generator, dtype=dtype)
    wanted = torch.nn.Parameter(theta.clone())
    ours, theirs = Adam(theta, 1e-2, max_norm), torch.optim.Adam([wanted], lr=1e-2, eps=1e-5)
    for _ in range(20):
        gradient = torch.randn(30, generator=generator, dtype=dtype)
        wanted.grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_([wanted], max_norm)
        theirs.step()
        assert ours.step(gradient)
    close(theta, wanted.detach(), dtype)


centre, spread = st.floats(-3, 3), st.floats(0.05, 2)
moments = st.lists(st.tuples(centre, centre, spread, spread, centre), min_size=1, max_size=4)


@given(moments)
def test_log_prob_and_kl_in_both_directions_equal_torch_distributions(rows):
    first, second, std, other, action = np.array(rows).T
    ours = Gaussian(first[None], std), Gaussian(second[None], other)
    theirs = [independent(policy) for policy in ours]
    wanted = theirs[0].log_prob(torch.from_numpy(action[None]))
    np.testing.assert_allclose(ours[0].log_prob(action[None]), wanted, rtol=1e-10, atol=1e-10)
    for i, j in ((0, 1), (1, 0)):
        found = ours[i].kl(ours[j])
        np.testing.assert_allclose(found, kl_divergence(theirs[i], theirs[j]), rtol=1e-10, atol=1e-10)
        assert found >= -1e-12
    assert np.abs(ours[0].kl(ours[0])) < 1e-12


@given(moments)
def test_kl_is_positive_unless_the_policies_are_equal(rows):
    first, second, std, other, _ = np.array(rows).T
    different = np.abs(first - second).max() + np.abs(std - other).max()
    if different > 1e-3:
        assert Gaussian(first[None], std).kl(Gaussian(second[None], other)) > 0


def test_the_policy_starts_with_std_0_36553_and_a_mean_near_zero():
    actor = Actor(40, 4, (64, 64), torch.Generator().manual_seed(0), 9e-5, 10.0)
    np.testing.assert_allclose(actor.std(), np.full(4, 0.36553), rtol=0, atol=5e-6)
    assert np.abs(actor.policy(torch.randn(100, 40)).mean).max() < 0.1
    assert math.isclose(float(actor.std()[0]), 0.5 / (1 + math.exp(-1)), rel_tol=1e-6)


@given(st.floats(-50, 15))
def test_std_stays_below_one_half(parameter):
    actor = Actor(4, 2, (4,), torch.Generator(), 9e-5, 10.0)
    actor.theta[-2:] = parameter
    assert actor.std().min() > 0 and actor.std().max() < 0.5


def test_initial_weights_are_orthogonal_with_the_documented_gains():
    network = MLP((10, 8, 6, 3), 0.01, torch.Generator().manual_seed(0), extra=2)
    linear = [parameter for parameter in network.module.parameters() if parameter.dim() == 2]
    for weight, gain in zip(linear, (math.sqrt(2), math.sqrt(2), 0.01), strict=True):
        gram = weight.T @ weight if weight.shape[0] > weight.shape[1] else weight @ weight.T
        torch.testing.assert_close(gram, gain**2 * torch.eye(len(gram)), rtol=1e-5, atol=1e-5 * gain**2)
    flat = [float(parameter.detach().mean()) for parameter in network.module.parameters() if parameter.dim() == 1]
    assert flat == [1, 0, 0, 1, 0, 0, 1, 0, 0]  # LayerNorm; Linear's bias, LayerNorm, twice; bias
    assert network.theta[-2:].tolist() == [0, 0]


def test_the_ensemble_acts_as_each_actor_by_itself(way):
    actors = [make_actor(seed=seed, dtype=torch.float32) for seed in range(3)]
    seen = torch.randn(11, 3, 5, generator=torch.Generator().manual_seed(0))
    ensemble = Ensemble(actors)
    for i, actor in enumerate(actors):
        close(ensemble.mean(seen.numpy())[:, i], torch.from_numpy(actor.forward(seen[:, i])), torch.float32)
        assert np.array_equal(ensemble.std[i], actor.std())


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 5))
def test_minibatches_partition_the_rows_and_keep_the_tail(rows, size, seed):
    columns = (torch.arange(rows), -np.arange(rows), torch.arange(2 * rows).view(rows, 2))
    parts = list(minibatches(columns, size, torch.Generator().manual_seed(seed)))
    numbers = [part[0].tolist() for part in parts]
    assert sorted(np.concatenate(numbers)) == list(range(rows))
    assert [len(part) for part in numbers[:-1]] == [size] * (len(parts) - 1)
    for first, second, third in parts:  # one order for all columns
        assert np.array_equal(second, -first) and torch.equal(third, torch.stack([2 * first, 2 * first + 1], 1))


def test_minibatches_of_a_batch_keep_its_rows_together():
    actor = make_actor()
    batch = make_batch(actor, rows=40, costs=2)._replace(factor=np.arange(40.0))
    parts = list(batch.minibatches(16, torch.Generator().manual_seed(0)))
    order = np.concatenate([part.factor for part in parts]).astype(int)
    assert sorted(order) == list(range(40)) and not np.array_equal(order, np.arange(40))
    for part in parts:
        rows = part.factor.astype(int)
        assert np.array_equal(part.old.mean, batch.old.mean[rows]) and part.old.std is batch.old.std
        for name in ("observation", "action", "log_prob", "advantage", "cost_advantage"):
            assert np.array_equal(getattr(part, name), getattr(batch, name)[rows]), name
        assert all(one is other for one, other in zip(part[7:], batch[7:], strict=True))


def huber(error: torch.Tensor, delta: float, one_sided: bool) -> torch.Tensor:
    """The loss of the original code; one-sided, its linear branch asks for error > delta."""
    linear = error > delta if one_sided else error.abs() > delta
    return (error.abs() <= delta) * error**2 / 2 + delta * (error.abs() - delta / 2) * linear


@pytest.mark.parametrize("one_sided", [False, True], ids=["symmetric", "one-sided"])
@pytest.mark.parametrize("delta", [0.3, 10.0])
def test_value_loss_slope_equals_autograd_of_the_clipped_huber_loss(delta, one_sided):
    generator = torch.Generator().manual_seed(0)
    value, target, old = (torch.randn(3000, generator=generator, dtype=torch.float64) for _ in range(3))
    config = Config(huber_delta=delta, legacy_one_sided_huber=one_sided)
    free = value.clone().requires_grad_()
    clipped = old + (free - old).clamp(-config.value_clip, config.value_clip)
    loss = torch.maximum(huber(target - free, delta, one_sided), huber(target - clipped, delta, one_sided))
    loss.sum().backward()
    found = value_loss_slope(value.numpy(), target.numpy(), old.numpy(), config)
    np.testing.assert_allclose(found, free.grad, rtol=1e-12, atol=1e-12)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30))
def test_one_normaliser_update_gives_the_moments_of_the_batch(values):
    normaliser = Normaliser(1, 0.99999, shared=False)
    target = np.array(values)[:, None]
    normaliser.update(target)
    mean, std = normaliser.moments()
    square = np.square(target).mean()
    assert float(mean[0]) == pytest.approx(target.mean(), rel=1e-3, abs=1e-4 * (1 + square**0.5))
    variance = max(1e-2, target.var())
    assert float(std[0]) ** 2 == pytest.approx(variance, rel=1e-3, abs=1e-5 * (1 + square))


@pytest.mark.parametrize("beta", [0.9, 0.99999, 0.9999999])
def test_the_normaliser_is_exact_for_a_long_memory_and_a_small_spread(beta):
    normaliser = Normaliser(1, beta, shared=False)
    target = 1000 + np.random.default_rng(0).standard_normal((4096, 1))
    normaliser.update(target)
    mean, std = normaliser.moments()
    assert mean.item() == pytest.approx(target.mean(), rel=1e-6)
    assert std.item() == pytest.approx(target.std(), rel=1e-4)


def test_the_normaliser_is_a_debiased_exponential_average():
    normaliser, beta = Normaliser(2, 0.9, shared=False), 0.9
    batches = [np.random.default_rng(k).standard_normal((50, 2)) * (k + 1) + k for k in range(6)]
    for batch in batches:
        normaliser.update(batch)
    weights = np.array([beta ** (5 - k) for k in range(6)])
    weights /= weights.sum()
    mean = sum(w * b.mean(0) for w, b in zip(weights, batches, strict=True))
    square = sum(w * np.square(b).mean(0) for w, b in zip(weights, batches, strict=True))
    found = normaliser.moments()
    np.testing.assert_allclose(found[0], mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[1], np.sqrt(square - mean**2), rtol=1e-4, atol=1e-4)


def test_reward_and_cost_have_separate_statistics_unless_the_quirk_is_on():
    target = np.stack([np.linspace(90, 110, 50), np.linspace(0, 1, 50)], 1)
    for shared in (False, True):
        normaliser = Normaliser(2, 0.99, shared)
        normaliser.update(target)
        mean, _ = normaliser.moments()
        assert bool(mean[0] == mean[1]) == shared
        if not shared:
            np.testing.assert_allclose(mean, target.mean(0), rtol=1e-4, atol=1e-4)


def test_denormalising_undoes_normalising_the_regression_target():
    critics = Critics(5, 2, Config(), 0, CPU)
    target = np.random.default_rng(0).standard_normal((64, 3)) * 20 + 7
    critics.normaliser.update(target)
    mean, std = critics.normaliser.moments()
    np.testing.assert_allclose(critics.denormalise((target - mean) / std), target, rtol=1e-4, atol=1e-4)


def test_critics_learn_each_signal_on_its_own_scale():
    critics = Critics(5, 1, Config(hidden=(16, 16), critic_epochs=60, value_clip=100.0), 0, CPU)
    seen = torch.randn(400, 5, generator=torch.Generator().manual_seed(0))
    seen = torch.layer_norm(seen, (5,))  # the network sees no more than this
    target = torch.stack([1000 + 100 * seen[:, 0], 0.5 * seen[:, 1]], 1).double().numpy()
    critics.regress(seen, target, critics.normalised(seen))
    error = (critics.denormalise(critics.normalised(seen)) - target).var(0) / target.var(0)
    assert (error < 0.1).all()


def test_restored_actors_and_critics_continue_bit_for_bit():
    config = Config(hidden=(8, 8), critic_epochs=2, critic_minibatch_size=16)
    seen, target = torch.randn(50, 5), torch.randn(50, 2).double().numpy()
    first, second = Critics(5, 1, config, 0, CPU), Critics(5, 1, config, 1, CPU)
    actors = [make_actor(seed=k, dtype=torch.float32, lr=0.01) for k in range(2)]
    actors[0].descend(torch.randn(actors[0].theta.shape))
    first.regress(seen, target, first.normalised(seen))
    second.load_state_dict(first.state_dict())
    actors[1].load_state_dict(actors[0].state_dict())
    gradient = torch.randn(actors[0].theta.shape)
    for critics, actor in zip((first, second), actors, strict=True):
        critics.regress(seen, target, critics.normalised(seen))
        actor.descend(gradient.clone())
    assert np.array_equal(first.normalised(seen), second.normalised(seen))
    assert torch.equal(actors[0].theta, actors[1].theta)
    for one, other in zip(first.networks, second.networks, strict=True):
        assert one.theta.data_ptr() != other.theta.data_ptr()
