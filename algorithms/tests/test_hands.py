"""The two hands: every algorithm trains on both, critics read their state, evaluations say how an episode ended."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from algorithms import ALGORITHMS, evaluate

from .test_run import lasting, quiet, rows_of

STATE = {"shadowhandover": (211, 398), "shadowhandreorientation": (235, 422)}
SHORT = ["num_envs=2", "rollout_length=75", "hidden=16,16"]


@pytest.mark.parametrize("scenario", STATE)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_trains_on_the_state_and_continues_where_it_was(algorithm, scenario, make_run, tmp_path):
    more = [*SHORT, *(["share_policy=false"] if algorithm == "mappo" else [])]
    whole = make_run(tmp_path / "whole", scenario, algorithm, more=more)
    own, state = STATE[scenario]
    before = [actor.theta.clone() for actor in whole.learner.actors]
    assert [actor.sizes[0] for actor in whole.learner.actors] == [own, own]  # a policy per agent
    assert {network.sizes[0] for network in whole.learner.critics.networks} == {state}
    whole.train(quiet)
    assert not any(map(torch.equal, before, [actor.theta for actor in whole.learner.actors]))
    halves = tmp_path / "halves"
    first = make_run(halves, scenario, algorithm, more=more)
    first.iterations = 1
    first.train(quiet)
    (halves / "policy.pt").unlink()
    make_run(halves, scenario, algorithm, more=more).train(quiet)
    assert lasting(halves) == lasting(tmp_path / "whole") and len(lasting(halves)) == 2


class Still:
    """Policies that always act alike, without noise."""

    def __init__(self, action: float) -> None:
        self.action, self.std = action, np.zeros((2, 20), np.float32)

    def mean(self, observation):
        return np.full((*observation.shape[:2], 20), self.action, np.float32)


@pytest.mark.parametrize("fall", ["end", "continue"])
@pytest.mark.parametrize("scenario", STATE)
def test_an_evaluation_tells_who_drops_the_object(scenario, fall):
    record = {"scenario": scenario, "algorithm": "happo", "variant": "default", "seed": 0}
    record |= {"settings": {"fall": fall, "costs": "shared", "safety_bound": ()}}
    limit = evaluate.make_env(record, 1).episode_limit
    for action, dropped in ((-1.0, 1), (0.0, 0)):
        rows = evaluate.episodes(record, Still(action), 2, "deterministic")
        assert [row["dropped"] for row in rows] == [dropped] * 2
        ends = dropped and fall == "end"
        assert all(row["episode_length"] < 45 if ends else row["episode_length"] == limit for row in rows)
        assert [row["episode_cost"] for row in rows] == [dropped * row["episode_length"] for row in rows]


def test_an_evaluation_counts_a_success_where_every_cube_ends_within_five_centimetres_of_its_goal():
    record = {"scenario": "shadowhandreorientation", "algorithm": "happo", "variant": "default", "seed": 0}
    record |= {"settings": {"fall": "end", "costs": "shared", "safety_bound": ()}}
    rows = evaluate.episodes(record, Still(0.0), 6, "deterministic")
    *_, last = evaluate.play(evaluate.make_env(record, 6), Still(0.0), 0, exploring=False)
    assert [row["success"] for row in rows] == (last.terms["distance"] < 0.05).tolist()
    assert {row["success"] for row in rows} == {0, 1}


def test_what_is_kept_of_an_outcome_is_its_value_in_an_episodes_last_step(monkeypatch):
    """Episodes of 1 and 3 steps; the world that ended first moves on, which does not count."""
    terms = np.array([[1, 0], [0, 1], [0, 1]], bool)  # (T, E)
    ends = np.array([[True, False], [False, False], [True, True]])
    env = SimpleNamespace(num_costs=1, cost_names=("cost",), outcomes=("dropped",), scenario=SimpleNamespace(bound=1.0))
    steps = [
        SimpleNamespace(
            reward=np.ones(2), cost=np.ones((2, 1)), terminated=end, truncated=~end & end, terms={"dropped": t}
        )
        for t, end in zip(terms, ends, strict=True)
    ]
    monkeypatch.setattr(evaluate, "make_env", lambda *_: env)
    monkeypatch.setattr(evaluate, "play", lambda *_: steps)
    record = {"scenario": "x", "algorithm": "y", "variant": "z", "seed": 0, "settings": {"safety_bound": ()}}
    rows = evaluate.episodes(record, None, 2, "deterministic")
    assert [(row["dropped"], row["episode_length"]) for row in rows] == [(1, 1), (1, 3)]


def test_a_folder_of_one_rule_for_a_fall_refuses_the_other(make_run, tmp_path):
    make_run(tmp_path, "shadowhandover", steps=150, more=SHORT).train(quiet)
    with pytest.raises(ValueError, match=r"holds a run with fall=end, not continue"):
        make_run(tmp_path, "shadowhandover", steps=150, more=[*SHORT, "fall=continue"])


@pytest.mark.slow
def test_mafocops_learns_to_still_the_watched_finger(make_run, tmp_path):
    """There is no other way to a lower cost if a fall ends nothing; a larger learning rate saves steps."""
    sizes = ["num_envs=128", "rollout_length=16", "hidden=64,64", "minibatch_size=256", "critic_minibatch_size=512"]
    rates = ["actor_lr=0.003", "critic_lr=0.001", "gamma=0.96", "epochs=3", "critic_epochs=3"]
    own = ["lam=2", "nu_max=1.4", "nu_lr=0.001", "kl_threshold=0.03", "fall=continue"]
    make_run(tmp_path, "shadowhandover", steps=100_000, more=[*sizes, *rates, *own]).train(quiet)
    ended = [row for row in rows_of(tmp_path) if row["episode_cost"]]
    costs = [float(row["episode_cost"]) for row in ended]
    assert np.mean(costs[-2:]) < 0.95 * costs[0]
    assert {float(row["episode_length"]) for row in ended} == {75.0}
