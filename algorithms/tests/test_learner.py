"""One iteration of the learner: what the algorithm is given, what J_C is, time limits, and resuming."""

import multiprocessing

import numpy as np
import pytest
import torch

from algorithms import ALGORITHMS, HAPPO, MAFOCOPS
from algorithms.core.learner import STALE_INTERVAL, Sizes
from algorithms.core.networks import NotFinite
from algorithms.core.rollout import gae
from algorithms.run.memory import update_peak

from .reference import CPU, independent, make_learner, make_rollout

SIZES = Sizes(agents=2, costs=1, observation=5, action=2, columns=slice(5))
TOGETHER = SIZES._replace(columns=np.array([0, 1, 2, 8, 5, 4]))  # both agents' observations make the state
SEEN = pytest.mark.parametrize("sizes", [SIZES, TOGETHER], ids=["by agent 0", "together"])
EVERY = pytest.mark.parametrize("name", ALGORITHMS)


def batches_of(learner, rollout) -> list:
    """Update and return what each agent was given."""
    given, update = [], learner.algorithm.update_agent
    learner.algorithm.update_agent = lambda i, batch: given.append(batch) or update(i, batch)
    learner.update(rollout)
    learner.algorithm.update_agent = update
    return given


def episodes(*costs: float) -> np.ndarray:
    return np.array([[1.0, 10.0, cost] for cost in costs]).reshape(-1, 3)


@EVERY
@pytest.mark.parametrize("costs", [1, 2])
def test_every_algorithm_updates_all_that_learns_and_stays_finite(name, costs):
    sizes = SIZES._replace(costs=costs)
    learner = make_learner(ALGORITHMS[name], sizes, bound=0.1)
    before = [n.theta.clone() for n in (*learner.actors, *learner.critics.networks)]
    for seed in range(3):
        shared, own = learner.update(make_rollout(sizes, seed=seed))
        assert np.isfinite([*shared.values(), *own.values()]).all()
    for old, network in zip(before, (*learner.actors, *learner.critics.networks), strict=True):
        assert torch.isfinite(network.theta).all() and not torch.equal(network.theta, old)


def test_advantages_are_standardised_signal_by_signal():
    given = batches_of(make_learner(HAPPO, SIZES._replace(costs=2)), make_rollout(SIZES._replace(costs=2), steps=200))
    first = given[0]
    for column in (first.advantage, *first.cost_advantage.T):
        assert float(column.mean()) == pytest.approx(0, abs=1e-5)
        assert float(column.std()) == pytest.approx(1, abs=1e-3)


def value_targets(learner, rollout):
    """Return the learner's unstandardised reward and cost advantages (T, E, 1 + C)."""
    state = learner._state(rollout.observation)
    return learner._advantages(rollout, state)[1].reshape(*rollout.reward.shape, -1)


def state_of(observation: torch.Tensor, sizes: Sizes) -> torch.Tensor:
    """Return the state (..., S) that two agents' observations (..., 2, O) hold."""
    return torch.cat([observation[..., 0, :], observation[..., 1, :]], -1)[..., sizes.columns]


@SEEN
@pytest.mark.parametrize("time_limit", ["bootstrap", "failure"])
def test_truncated_steps_bootstrap_from_the_final_observation_and_terminated_ones_do_not(time_limit, sizes):
    rollout = make_rollout(sizes, steps=60)
    learner = make_learner(HAPPO, sizes, time_limit=time_limit)
    critics, ended = learner.critics, rollout.terminated | rollout.truncated
    critics.normaliser.update(np.random.default_rng(0).standard_normal((50, 2)) * [3.0, 0.5] + [2.0, 1.0])
    seen = critics.denormalise(critics.normalised(state_of(rollout.observation, sizes).flatten(0, 1)))
    value = seen.reshape(61, 2, 2).astype(float)
    following = value[1:].copy()
    following[ended] = critics.denormalise(critics.normalised(state_of(rollout.final_observation, sizes)))
    signal = np.concatenate([rollout.reward[..., None], rollout.cost], -1)
    terminated = ended if time_limit == "failure" else rollout.terminated
    wanted = gae(signal, value[:-1], following, terminated, ended, 0.99, 0.95)
    np.testing.assert_allclose(value_targets(learner, rollout), wanted, rtol=1e-4, atol=1e-5)
    assert rollout.truncated.any() and rollout.terminated.any()


def test_the_final_observation_of_a_termination_does_not_matter_and_that_of_a_time_limit_does():
    rollout = make_rollout(SIZES, steps=60)
    ended = np.nonzero(rollout.terminated | rollout.truncated)
    for kind, matters in (("terminated", False), ("truncated", True)):
        chosen = torch.from_numpy(getattr(rollout, kind)[ended])
        changed = torch.where(chosen[:, None, None], rollout.final_observation.flip(2), rollout.final_observation)
        pair = (rollout, rollout._replace(final_observation=changed))
        found = [value_targets(make_learner(HAPPO, SIZES), one) for one in pair]
        assert np.array_equal(*found) != matters


@SEEN
@pytest.mark.parametrize("beside", [False, True])
def test_critics_learn_from_the_state_alone(sizes, beside):
    """What no critic reads changes no value network, what one reads changes all."""
    rollout = make_rollout(sizes)
    thetas = []
    for columns in ([], np.setdiff1d(np.arange(10), np.arange(10)[sizes.columns]), [np.arange(10)[sizes.columns][-1]]):
        observation = rollout.observation.clone()
        observation.flatten(-2)[..., columns] += 1.0
        learner = make_learner(HAPPO, sizes, beside=beside)
        learner.update(rollout._replace(observation=observation))
        thetas.append(torch.stack([network.theta for network in learner.critics.networks]))
    assert torch.equal(thetas[0], thetas[1])
    assert (thetas[0] != thetas[2]).any(1).all()


def violation(learner, rollout) -> float:
    return float(batches_of(learner, rollout)[0].violation[0])


def test_j_c_is_the_mean_over_episodes_finished_in_this_iteration():
    learner = make_learner(MAFOCOPS, SIZES, bound=5.0)
    assert violation(learner, make_rollout(SIZES)._replace(episodes=episodes(1, 9, 11))) == pytest.approx(2)
    assert violation(learner, make_rollout(SIZES)._replace(episodes=episodes(4))) == pytest.approx(-1)


def test_j_c_is_kept_while_no_episode_finishes_and_never_zero():
    learner, rollout = make_learner(MAFOCOPS, SIZES, bound=5.0, rollout_length=20), make_rollout(SIZES)
    unfinished = rollout._replace(episodes=episodes())
    assert violation(learner, unfinished) == pytest.approx(20 * rollout.cost.mean() - 5)
    assert violation(learner, rollout._replace(episodes=episodes(8))) == pytest.approx(3)
    assert violation(learner, unfinished) == pytest.approx(3)


def test_the_stale_quirk_uses_zero_first_and_then_a_value_of_every_fifth_iteration():
    learner = make_learner(MAFOCOPS, SIZES, bound=5.0, legacy_stale_cost=True)
    costs = [10.0 + k for k in range(13)]
    used = [violation(learner, make_rollout(SIZES)._replace(episodes=episodes(cost))) + 5 for cost in costs]
    assert STALE_INTERVAL == 5
    assert used == pytest.approx([0.0] + [costs[0]] * 5 + [costs[5]] * 5 + [costs[10]] * 2)


def test_the_stale_quirk_uses_zero_until_an_episode_has_finished():
    learner = make_learner(MAFOCOPS, SIZES, bound=5.0, legacy_stale_cost=True)
    unfinished = make_rollout(SIZES)._replace(episodes=np.empty((0, 3)))
    assert violation(learner, unfinished) == pytest.approx(-5)


def test_each_cost_has_its_own_bound():
    sizes = SIZES._replace(costs=2)
    learner = make_learner(MAFOCOPS, sizes)
    learner.bound = np.array([3.0, 30.0])
    rollout = make_rollout(sizes)._replace(episodes=np.array([[1.0, 10.0, 4.0, 10.0]]))
    np.testing.assert_allclose(batches_of(learner, rollout)[0].violation, [1.0, -20.0])


@EVERY
def test_a_restored_learner_continues_bit_for_bit(name):
    one, other = (make_learner(ALGORITHMS[name], SIZES, seed=seed, bound=0.1) for seed in (0, 1))
    one.update(make_rollout(SIZES, seed=0))
    other.load_state_dict(one.state_dict())
    for seed in (1, 2):
        assert one.update(make_rollout(SIZES, seed=seed)) == other.update(make_rollout(SIZES, seed=seed))
    for first, second in zip(one.policies(), other.policies(), strict=True):
        assert torch.equal(first.theta, second.theta)


@EVERY
def test_the_seed_decides_everything(name):
    ends = []
    for seed in (0, 0, 1):
        learner = make_learner(ALGORITHMS[name], SIZES, seed=seed)
        for k in range(2):
            learner.update(make_rollout(SIZES, seed=k))
        ends.append(learner.actors[0].theta)
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


@pytest.mark.parametrize("killed", [False, True])
def test_critics_beside_the_actors_learn_the_same_even_if_their_process_is_killed(killed):
    before = set(multiprocessing.active_children())
    one, two = (make_learner(MAFOCOPS, SIZES, beside=beside) for beside in (False, True))
    (process,) = set(multiprocessing.active_children()) - before
    with torch.no_grad():
        for seed in range(4):
            if killed and seed == 2:
                process.kill()
            assert one.update(make_rollout(SIZES, seed=seed)) == two.update(make_rollout(SIZES, seed=seed))
            assert process.is_alive() or (killed and seed >= 2)
    assert two.beside.peak_rss_mib > 50
    for first, second in zip(one.critics.networks, two.critics.networks, strict=True):
        assert torch.equal(first.theta, second.theta)
    del two  # closes the connection, which ends the process
    process.join(10)
    assert not process.is_alive()


def test_a_number_that_is_not_finite_in_the_process_beside_is_reported_by_this_one(capfd):
    learner = make_learner(MAFOCOPS, SIZES, beside=True)
    seen, target = torch.randn(40, 5), np.zeros((40, 2))
    output = learner.critics.normalised(seen)
    target[4, 1] = np.nan
    learner.beside.begin(seen, target, output)
    with pytest.raises(NotFinite, match=r"^critic of cost 0: target is not finite$"):
        learner.beside.finish()
    assert "Traceback" not in capfd.readouterr().err  # that it waits for its kernels it may say


def test_reported_kl_is_that_of_the_new_policy_from_the_old_one():
    learner = make_learner(HAPPO, SIZES, actor_lr=0.01)
    given = batches_of(learner, make_rollout(SIZES))
    assert len(given) == 2
    learner = make_learner(HAPPO, SIZES, actor_lr=0.01)
    shared, own = learner.update(make_rollout(SIZES))
    seen = make_rollout(SIZES).observation[:-1].flatten(0, 1)
    old = [actor.policy(seen[:, i]) for i, actor in enumerate(make_learner(HAPPO, SIZES).actors)]
    new = [actor.policy(seen[:, i]) for i, actor in enumerate(learner.actors)]
    kl = np.mean([float(n.kl(o).mean()) for n, o in zip(new, old, strict=True)])
    entropy = np.mean([float(independent(n).base_dist.entropy().mean()) for n in new])
    assert shared["kl"] == pytest.approx(kl, rel=1e-5) and shared["kl"] > 0
    assert shared["entropy"] == pytest.approx(entropy, rel=1e-5)
    assert own["std"] == pytest.approx(np.mean([float(n.std.mean()) for n in new]))


def test_explained_variance_is_one_for_perfect_and_about_zero_for_constant_predictions():
    rollout = make_rollout(SIZES, steps=300)
    learner = make_learner(HAPPO, SIZES)
    assert learner.update(rollout)[0]["explained_variance"] < 0.1
    learner = make_learner(HAPPO, SIZES, gamma=0.0, gae_lambda=0.0)
    seen = rollout.observation[:-1, :, 0]
    learner.critics.denormalise = lambda output: output
    learner.critics.normalised = lambda rows: rows[:, :2].numpy()
    perfect = rollout._replace(reward=seen[..., 0].double().numpy(), cost=seen[..., 1:2].double().numpy())
    found = learner.update(perfect)[0]
    assert found["explained_variance"] == pytest.approx(1) and found["explained_variance_cost"] == pytest.approx(1)


def test_traced_memory_is_the_peak_of_what_is_alive_at_once():
    held = torch.zeros(2**18)  # 1 MiB
    with update_peak(CPU, True, [held]) as found:
        for _ in range(5):
            torch.ones(2**19)  # 2 MiB, freed at once
        kept = torch.ones(2**18)
        assert (kept + 1).sum() == 2**19
    assert found["mib"] == pytest.approx(3, abs=0.01)
    with update_peak(CPU, False, [held]) as found:
        torch.ones(10)
    assert found == {}


def test_a_state_that_could_not_be_restored_is_refused_when_it_is_saved():
    learner = make_learner(MAFOCOPS, SIZES)
    learner.state_dict()
    learner.algorithm.state["count"] = 3
    with pytest.raises(TypeError, match=r"'count'.*MAFOCOPS is of type int: use an array"):
        learner.state_dict()
