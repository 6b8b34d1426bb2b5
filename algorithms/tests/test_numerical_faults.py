"""Numbers that become infinite or NaN stop a run at once, with their name, and leave parameters and files whole."""

import csv
import subprocess
import sys

import numpy as np
import pytest
import torch

from algorithms import ALGORITHMS
from algorithms.core.critic import Critics
from algorithms.core.learner import Sizes
from algorithms.core.networks import NotFinite
from algorithms.core.rollout import Collector

from .conftest import TINY
from .games import SumGame
from .reference import CPU, make_actor, make_algorithm, make_batch, make_learner, make_rollout

SIZES = Sizes(agents=2, costs=1, observation=5, action=2)
BAD = pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)


@BAD
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_stops_at_a_row_that_is_not_finite_and_keeps_its_parameters(name, bad):
    learner = make_learner(ALGORITHMS[name], SIZES)
    rollout = make_rollout(SIZES)
    rollout.action[3, 1] = bad
    before = [actor.theta.clone() for actor in learner.actors]
    with (
        pytest.raises(NotFinite, match=r"^agent \d: policy: action is not finite$") as caught,
        np.errstate(all="ignore"),
    ):
        learner.update(rollout)
    held = caught.value.arrays
    assert len(held["observation"]) == len(held["action"]) == len(held["d_log_prob"])
    assert not np.isfinite(held["action"]).all() and not np.isfinite(held["d_log_prob"]).all()
    for old, actor in zip(before, learner.actors, strict=True):
        assert torch.isfinite(actor.theta).all() and (actor.theta - old).abs().max() < 0.1


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("cause", ["parameter", "observation", "d_log_prob"])
def test_the_first_number_that_went_wrong_is_named(name, cause):
    actor = make_actor(dtype=torch.float32)
    batch = make_batch(actor)
    if cause == "parameter":
        actor.theta[7] = np.nan
    elif cause == "observation":
        batch.observation[5, 2] = np.nan
    else:
        batch.advantage[5] = np.nan
    with pytest.raises(NotFinite, match=f"policy: {cause} is not finite"), np.errstate(all="ignore"):
        make_algorithm(ALGORITHMS[name], [actor]).update_agent(0, batch)


@BAD
@pytest.mark.parametrize(("signal", "name"), list(enumerate(["the reward", "cost 0", "cost 1"])))
def test_critics_name_the_signal_whose_target_is_not_finite(signal, name, bad):
    critics = Critics(5, 2, make_learner(ALGORITHMS["happo"], SIZES).config, 0, CPU)
    seen, target = torch.randn(40, 5), np.zeros((40, 3))
    old = critics.normalised(seen)
    target[4, signal] = bad
    with pytest.raises(NotFinite, match=f"^critic of {name}: target is not finite$"), np.errstate(all="ignore"):
        critics.regress(seen, target, old)
    assert all(torch.isfinite(network.theta).all() for network in critics.networks)


@BAD
@pytest.mark.parametrize("what", ["observation", "reward", "cost"])
def test_an_environment_that_returns_such_a_number_is_stopped(what, bad):
    game = SumGame(length=5)
    step = game.step

    def broken(actions):
        found = step(actions)
        getattr(found, what).flat[0] = bad
        return found

    game.step = broken
    with pytest.raises(NotFinite, match=f"^environment: {what} is not finite$"), np.errstate(all="ignore"):
        Collector(game, 10, 0).collect([make_actor(4, 1, dtype=torch.float32)] * 2)


def test_a_run_ends_with_one_sentence_status_3_and_the_rows_it_was_computed_from(tmp_path):
    code = (
        "import sys, numpy as np; from algorithms import train; from algorithms.core import rollout\n"
        "collect = rollout.Collector.collect\n"
        "def broken(self, actors):\n"
        "    found = collect(self, actors)\n"
        "    if found.episodes.size or len(self.seen) == 2: found.action[1] = np.nan\n"
        "    self.seen.append(1)\n"
        "    return found\n"
        "rollout.Collector.seen, rollout.Collector.collect = [], broken\n"
        "train.main()"
    )
    command = ["--scenario", "ant_2x4", "--algorithm", "mafocops", "--steps", "400", "--output", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--set", *TINY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: iteration 3: agent ") and "policy: action is not finite" in last
    assert "Traceback" not in done.stderr and last.endswith("fault.pt")
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    dump = torch.load(tmp_path / "run" / "fault.pt", weights_only=True)
    assert len(dump["observation"]) == 25 and not torch.isfinite(dump["action"]).all()


def test_unstable_simulations_are_counted_in_the_metrics(tmp_path, make_run, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # MuJoCo logs the event in the working directory
    run = make_run(tmp_path / "run", scenario="ant_2x4", steps=200)
    step, calls = run.env.step, []

    def disturbed(actions):
        calls.append(1)
        if len(calls) == 70:  # in the second of two iterations of 50 steps
            run.env.batch.qvel[1] = 1e12
        return step(actions)

    run.env.step = disturbed
    run.train(lambda *_: None)
    assert [row["unstable"] for row in run.rows] == [0, 1]
    assert "iteration 2: the simulation of world 1 became unstable 1 time(s)" in capsys.readouterr().err
