"""Run folders: the same command gives the same bytes, interrupted or not, and no folder is ever mixed with another."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from algorithms import ALGORITHMS, benchmark, evaluate, train
from algorithms.run import run as run_module
from algorithms.run.provenance import PACKAGES
from envs.scenarios import SCENARIOS
from envs.vector import Step

EVERY = pytest.mark.parametrize("algorithm", ALGORITHMS)
IDENTITY = ["scenario", "algorithm", "variant", "seed", "iteration", "step"]
MEASURED = [
    *("wall_time", "fps_collect", "fps_update", "fps"),
    *("episodes", "episode_return", "episode_cost", "episode_length", "bound", "violation"),
    *("kl", "entropy", "explained_variance", "explained_variance_cost"),
    *("memory_update_mib", "memory_rss_mib", "memory_gpu_mib", "unstable"),
]
EPHEMERAL = re.compile("wall_time|fps.*|memory_.*")


def quiet(row, seconds_left):
    """Report nothing."""


def rows_of(folder: Path) -> list[dict]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def lasting(folder: Path) -> list[dict]:
    """Return the rows of metrics.csv as text, without the columns of time and memory."""
    return [{k: v for k, v in row.items() if not EPHEMERAL.fullmatch(k)} for row in rows_of(folder)]


@EVERY
def test_the_same_command_gives_the_same_bytes_at_any_number_of_threads(algorithm, make_run, tmp_path):
    for threads in (1, 2):
        make_run(tmp_path / str(threads), algorithm=algorithm, threads=threads).train(quiet)
    one, two = (tmp_path / str(threads) for threads in (1, 2))
    assert lasting(one) == lasting(two) and len(lasting(one)) == 3
    policies = [torch.load(folder / "policy.pt")["actors"] for folder in (one, two)]
    for first, second in zip(*policies, strict=True):
        assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_another_run(make_run, tmp_path):
    for seed in range(2):
        make_run(tmp_path / str(seed), seed=seed).train(quiet)
    assert rows_of(tmp_path / "0")[0]["kl"] != rows_of(tmp_path / "1")[0]["kl"]


@EVERY
def test_columns_come_in_the_agreed_order(algorithm, make_run, tmp_path):
    make_run(tmp_path, algorithm=algorithm, steps=100, more=("costs=separate",), scenario="ant_2x4").train(quiet)
    columns = list(rows_of(tmp_path)[0])
    shared = len(IDENTITY) + len(MEASURED)
    assert columns[:shared] == IDENTITY + MEASURED
    costs = [name for name in columns[shared:] if name.startswith(("episode_cost_", "bound_"))]
    assert len(costs) == 4 and columns[shared : shared + 4] == costs
    assert all(name.startswith(f"{algorithm}_") for name in columns[shared + 4 :])


def test_metrics_are_consistent_within_a_row(make_run, tmp_path):
    more = ("rollout_length=1000", "num_envs=1", "minibatch_size=500", "critic_minibatch_size=500")
    make_run(tmp_path, steps=2000, more=more).train(quiet)
    for k, row in enumerate(rows_of(tmp_path), 1):
        assert (int(row["iteration"]), int(row["step"])) == (k, 1000 * k)
        assert (int(row["episodes"]), float(row["episode_length"])) == (1, 1000)
        assert float(row["violation"]) == pytest.approx(float(row["episode_cost"]) - float(row["bound"]))
        assert float(row["bound"]) == SCENARIOS["halfcheetah_2x3"].bound
        assert min(float(row["fps_collect"]), float(row["fps_update"])) > float(row["fps"]) > 0


@pytest.mark.parametrize("fall", [2.0, 7.0])  # within its bound; above it, as the wall is above its own
def test_of_several_costs_a_row_has_the_sum_and_the_violation_of_the_worst(fall, make_run, tmp_path):
    run = make_run(tmp_path, "ant_2x4", more=("costs=separate", "safety_bound=50,3"))
    episodes = np.array([[10.0, 100.0, 20.0, fall - 1], [40.0, 40.0, 90.0, fall], [1.0, 1.0, 46.0, fall + 1]])
    row = run._row(run.collector.collect(run.learner.policies())._replace(episodes=episodes), {}, {})
    assert (row["episode_return"], row["episode_length"], row["episodes"]) == (17, 47, 3)
    assert (row["episode_cost"], row["bound"]) == (52 + fall, 53)
    assert row["violation"] == max(2, fall - 3)  # neither their sum nor that of the sums
    assert [row[f"{name}_{cost}"] for cost in ("wall", "fall") for name in ("episode_cost", "bound")] == [
        52,
        50,
        fall,
        3,
    ]


def test_cells_without_a_value_are_empty(make_run, tmp_path):
    make_run(tmp_path, steps=100).train(quiet)  # no episode of HalfCheetah ends within 50 steps
    row = rows_of(tmp_path)[0]
    assert row["episodes"] == "0"
    empty = ("episode_return", "episode_cost", "episode_length", "violation", "memory_update_mib", "memory_gpu_mib")
    assert {row[name] for name in empty} == {""}


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda record: record["hardware"].update(capability="Z80"), "begun with Z80 instructions and goes on with"),
        (lambda record: record["hardware"].update(device="H100"), "begun with H100 device and goes on with cpu device"),
        (
            lambda record: [record["hardware"].update(device="H100"), record.update(networks="torch")],
            "begun with H100 device, torch networks and goes on with cpu device, compiled networks: ",
        ),
        (lambda record: record.update(networks="abacus"), "begun with abacus networks and goes on with"),
        (lambda record: [record.pop("networks"), record.pop("hardware")], ""),  # a record of long ago
        (lambda record: None, ""),
    ],
)
def test_what_rounds_otherwise_than_at_the_beginning_is_told(edit, told, make_run, tmp_path, capsys):
    make_run(tmp_path, steps=100).train(quiet)
    record = json.loads((tmp_path / "run.json").read_text())
    edit(record)
    (tmp_path / "run.json").write_text(json.dumps(record))
    make_run(tmp_path, steps=200).train(quiet)
    warned = capsys.readouterr().err
    assert told in warned and warned.count("warning") == bool(told)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), False),
        (("costs=separate",), True),
        (("costs=separate", "safety_bound=50,7"), False),
    ],
)
def test_a_run_begins_by_saying_that_each_of_several_costs_has_the_whole_bound(more, told, make_run, tmp_path, capsys):
    make_run(tmp_path, "ant_2x4", steps=100, more=more).train(lambda *_: print("an iteration", file=sys.stderr))
    note = "note: each cost (wall, fall) has the published bound of 50, 100 in all; --set safety_bound=50,50"
    said = capsys.readouterr().err
    assert said.startswith(note if told else "an iteration") and said.count("note") == told
    row = rows_of(tmp_path)[0]
    assert float(row["bound"]) == (50 if not more else 57 if len(more) > 1 else 100)
    if len(more) > 1:
        assert (float(row["bound_wall"]), float(row["bound_fall"])) == (50, 7)


class Killed(Exception):
    """Stands for a process that disappears without a word."""


@EVERY
def test_a_killed_run_resumes_to_the_same_rows(algorithm, make_run, tmp_path, monkeypatch):
    make_run(tmp_path / "whole", algorithm=algorithm, steps=400).train(quiet)

    def die(row, seconds_left):
        if row["iteration"] == 3:
            raise Killed

    monkeypatch.setattr(run_module, "CHECKPOINT_INTERVAL", 0.0)
    monkeypatch.setattr(run_module, "CHECKPOINT_SHARE", np.inf)
    with pytest.raises(Killed):
        make_run(tmp_path / "cut", algorithm=algorithm, steps=400).train(die)
    assert len(rows_of(tmp_path / "cut")) == 3  # the third row is not covered by a checkpoint
    resumed = make_run(tmp_path / "cut", algorithm=algorithm, steps=400)
    assert resumed.learner.iteration == 2
    resumed.train(quiet)
    assert lasting(tmp_path / "cut") == lasting(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_asked_to_stop_saves_first_and_resumes(number, make_run, tmp_path):
    make_run(tmp_path / "whole").train(quiet)

    def interrupt(row, seconds_left):
        if row["iteration"] == 2:
            os.kill(os.getpid(), number)

    with pytest.raises(SystemExit) as caught:
        make_run(tmp_path / "cut").train(interrupt)
    assert caught.value.code == 128 + number
    assert json.loads((tmp_path / "cut/run.json").read_text())["status"] == "running"
    resumed = make_run(tmp_path / "cut")
    assert resumed.learner.iteration == 2
    resumed.train(quiet)
    assert lasting(tmp_path / "cut") == lasting(tmp_path / "whole")


def test_a_run_cut_before_its_first_checkpoint_starts_again(make_run, tmp_path):
    make_run(tmp_path / "whole").train(quiet)

    def die(row, seconds_left):
        raise Killed

    with pytest.raises(Killed):
        make_run(tmp_path / "cut").train(die)
    make_run(tmp_path / "cut").train(quiet)
    assert lasting(tmp_path / "cut") == lasting(tmp_path / "whole")


def test_a_complete_run_can_be_prolonged(make_run, tmp_path):
    make_run(tmp_path / "long", steps=400).train(quiet)
    make_run(tmp_path / "short", steps=200).train(quiet)
    make_run(tmp_path / "short", steps=400).train(quiet)
    assert lasting(tmp_path / "short") == lasting(tmp_path / "long")


def test_a_complete_run_whose_metrics_snakemake_deleted_writes_them_again_from_its_checkpoint(make_run, tmp_path):
    make_run(tmp_path).train(quiet)
    before = (tmp_path / "metrics.csv").read_bytes()
    (tmp_path / "metrics.csv").unlink()
    run = make_run(tmp_path)
    assert not run.complete and run.learner.iteration == run.iterations
    run.train(quiet)
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_a_complete_run_is_left_alone(make_run, tmp_path):
    make_run(tmp_path, steps=100).train(quiet)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == {"metrics.csv", "run.json", "policy.pt", "checkpoint.pt"}
    assert make_run(tmp_path, steps=100).complete
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_old_name_of_the_time_limit_in_a_record_keeps_its_meaning(make_run, tmp_path):
    make_run(tmp_path, steps=100).train(quiet)
    path = tmp_path / "run.json"
    record = json.loads(path.read_text())
    assert record["settings"].pop("time_limit") == "bootstrap"
    path.write_text(json.dumps(record | {"settings": record["settings"] | {"legacy_time_limit": False}}))
    assert make_run(tmp_path, steps=100).complete
    path.write_text(json.dumps(record | {"settings": record["settings"] | {"legacy_time_limit": True}}))
    with pytest.raises(ValueError, match="time_limit=failure, not bootstrap"):
        make_run(tmp_path, steps=100)


DIFFERENT = {
    "scenario": ({"scenario": "ant_2x4"}, ("scenario", "halfcheetah_2x3", "ant_2x4")),
    "algorithm": ({"algorithm": "happo"}, ("algorithm", "mafocops", "happo")),
    "seed": ({"seed": 1}, ("seed", "0", "1")),
    "setting": ({"more": ("lam=3",)}, ("lam=2.2", "3.0")),
    "fewer steps": ({"steps": 100}, ("200", "100")),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_the_folder_of_another_run_is_refused_untouched(what, make_run, tmp_path):
    changes, words = DIFFERENT[what]
    make_run(tmp_path, steps=200).train(quiet)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError) as caught:
        make_run(tmp_path, **({"steps": 200} | changes))
    assert all(word in str(caught.value) for word in (str(tmp_path), *words))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_foreign_metrics_file_is_refused_untouched(make_run, tmp_path):
    (tmp_path / "metrics.csv").write_text("iteration,loss\n1,2\n")
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        make_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
    assert (tmp_path / "metrics.csv").read_text() == "iteration,loss\n1,2\n"


def test_the_record_names_settings_versions_and_hardware(make_run, tmp_path):
    make_run(tmp_path, steps=100, more=("nu_max=inf",)).train(quiet)
    record = json.loads((tmp_path / "run.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    wanted = {"scenario": "halfcheetah_2x3", "algorithm": "mafocops", "variant": "tiny", "seed": 0, "steps": 100}
    assert record.items() >= (wanted | {"status": "complete"}).items()
    assert record["settings"]["nu_max"] == "inf" and record["settings"]["num_envs"] == 2
    assert record.keys() >= {"wall_time", "commit", "dirty", "started", "ended", "resumes", "task_version"}
    assert record["versions"].keys() == {"python", *PACKAGES}
    assert record["hardware"].keys() >= {"cpu", "cores", "gpu"} and record["threads"]["torch"] == 1


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("algorithm", ["mafocops", "macpo"])
def test_every_scenario_can_be_learned_on(scenario, algorithm, make_run, tmp_path):
    made = make_run(tmp_path, scenario, algorithm, steps=20, more=("rollout_length=10", "num_envs=2", "epochs=1"))
    row = made.iterate()
    assert np.isfinite([value for value in row.values() if isinstance(value, float)]).all()
    assert all(torch.isfinite(actor.theta).all() for actor in made.learner.actors)
    assert len(made.learner.policies()) == SCENARIOS[scenario].agents
    assert list(tmp_path.iterdir()) == []  # nothing is written before training starts


@pytest.mark.parametrize("scenario", ["ant_2x4", "halfcheetah_2x3"])
@EVERY
def test_every_algorithm_learns_under_several_costs(algorithm, scenario, make_run, tmp_path):
    made = make_run(tmp_path, scenario, algorithm, steps=100, more=("costs=separate",))
    made.iterate()
    assert all(torch.isfinite(actor.theta).all() for actor in made.learner.actors)
    assert len(made.learner.bound) == made.env.num_costs


def test_memory_is_traced_in_the_last_iteration_only(make_run, tmp_path):
    made = make_run(tmp_path, steps=200)
    made.trace_memory = True
    made.train(quiet)
    first, last = (row["memory_update_mib"] for row in rows_of(tmp_path))
    assert first == "" and float(last) > 0


def test_traced_memory_counts_what_earlier_updates_have_left_and_knows_the_size_of_a_step(make_run, tmp_path):
    found = {}
    for region in ("iteration", "minibatch"):
        for steps in (100, 300):
            folder = tmp_path / f"{region}{steps}"
            more = (f"trust_region={region}", "minibatch_size=10", "hidden=256")
            made = make_run(folder, algorithm="macpo", steps=steps, more=more)
            made.trace_memory = True
            made.train(quiet)
            found[region, steps] = float(rows_of(folder)[-1]["memory_update_mib"])
    for region in ("iteration", "minibatch"):
        assert found[region, 300] == pytest.approx(found[region, 100], rel=0.2)
    assert found["iteration", 300] > 1.2 * found["minibatch", 300]


def test_the_command_line_trains_and_then_has_nothing_to_do(tmp_path):
    command = [sys.executable, "-m", "algorithms.train", "--scenario", "halfcheetah_2x3", "--algorithm", "happo"]
    command += ["--steps", "40", "--set", "num_envs=2", "rollout_length=20", "--variant", "tiny"]
    command += ["--output", str(tmp_path)]
    root = Path(train.__file__).parents[1]
    first, second = (subprocess.run(command, capture_output=True, text=True, cwd=root, check=True) for _ in range(2))
    assert "step 40" in first.stdout and first.stderr == ""
    assert "nothing to do" in second.stdout
    assert len(rows_of(tmp_path)) == 1


def test_evaluation_writes_seeded_episodes_of_both_modes(make_run, tmp_path, monkeypatch, capsys):
    make_run(tmp_path, scenario="ant_2x4", algorithm="mappo", steps=100).train(quiet)
    found = []
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["evaluate", str(tmp_path), "--episodes", "2"])
        evaluate.main()
        found.append((tmp_path / "evaluation.csv").read_bytes())
    assert found[0] == found[1]
    with (tmp_path / "evaluation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["mode"] for row in rows] == ["stochastic"] * 2 + ["deterministic"] * 2
    assert all(0 < int(row["episode_length"]) <= 1000 and row["algorithm"] == "mappo" for row in rows)
    assert "deterministic: return" in capsys.readouterr().out


def test_an_evaluation_is_the_same_at_any_number_of_threads_and_of_episodes(make_run, tmp_path, monkeypatch):
    make_run(tmp_path, steps=100).train(quiet)
    name = json.loads((tmp_path / "run.json").read_text())["scenario"]
    monkeypatch.setitem(SCENARIOS, name, replace(SCENARIOS[name], limit=400))  # time enough for a last bit to grow
    found = {}
    for arguments in (("40", "1"), ("40", "2"), ("1", "2")):
        command = ["evaluate", str(tmp_path), "--episodes", arguments[0], "--threads", arguments[1]]
        monkeypatch.setattr(sys, "argv", command)
        evaluate.main()
        found[arguments] = (tmp_path / "evaluation.csv").read_text().splitlines()
    assert found["40", "1"] == found["40", "2"]
    assert found["1", "2"] == [row for row in found["40", "1"] if row.split(",")[5] in ("episode", "0")]


def test_an_evaluation_counts_each_cost_against_its_bound(make_run, tmp_path, monkeypatch):
    more = ("costs=separate", "safety_bound=40,0.5")
    make_run(tmp_path, scenario="ant_2x4", algorithm="happo", steps=100, more=more).train(quiet)
    record, ensemble = evaluate.load(tmp_path)
    env, scripted = evaluate.make_env(record, 2), []
    cost = np.array([[[1, 0], [0, 1]], [[1, 1], [0, 0]], [[0, 0], [0, 1]], [[1, 0], [1, 1]], [[1, 0], [1, 1]]], float)
    ended = np.array([[0, 0], [0, 0], [0, 0], [0, 1], [1, 0]], bool)  # of the second world, the last row counts no more
    zeros = np.zeros(2)
    for step_cost, end in zip(cost, ended, strict=True):
        scripted.append(Step(env.reset(), zeros + 2.0, step_cost, end, end & False, env.observation, {}))
    monkeypatch.setattr(evaluate, "play", lambda *_: iter(scripted))
    first, second = evaluate.episodes(record, ensemble, 2, "deterministic")
    names = ("bound", "episode_return", "episode_cost", "episode_cost_wall", "bound_wall", "episode_cost_fall")
    names += ("bound_fall", "episode_length", "violation", "longest_unsafe")
    assert [first[name] for name in names] == [40.5, 10, 5, 4, 40, 1, 0.5, 5, 0.5, 2]
    assert [second[name] for name in names] == [40.5, 8, 4, 1, 40, 3, 0.5, 4, 2.5, 2]


def test_a_failed_run_has_an_evaluation_without_rows(make_run, tmp_path, monkeypatch):
    make_run(tmp_path, steps=100).train(quiet)
    monkeypatch.setattr(sys, "argv", ["evaluate", str(tmp_path), "--episodes", "1"])
    evaluate.main()
    header = (tmp_path / "evaluation.csv").read_text().splitlines()[0]
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    (tmp_path / "metrics.csv").write_text(rows[0] + "\n")  # as workflow.attempt leaves it
    evaluate.main()
    assert (tmp_path / "evaluation.csv").read_text() == header + "\n"


def test_an_evaluation_that_cannot_be_written_is_one_sentence(make_run, tmp_path, monkeypatch):
    make_run(tmp_path, steps=100).train(quiet)
    (tmp_path / "evaluation.csv.part").mkdir()
    monkeypatch.setattr(sys, "argv", ["evaluate", str(tmp_path), "--episodes", "1"])
    with pytest.raises(SystemExit, match=r"error: .*evaluation\.csv: Is a directory"):
        evaluate.main()


TIMED = [
    "benchmark",
    "--scenario",
    "halfcheetah_2x3",
    "--algorithm",
    "happo",
    "--set",
    "num_envs=2",
    "rollout_length=20",
]


def test_the_benchmark_ends_with_the_ratio_and_writes_one_row(tmp_path, monkeypatch, capsys):
    path = tmp_path / "fps.csv"
    monkeypatch.setattr(sys, "argv", [*TIMED, "--rounds", "1", "--output", str(path)])
    benchmark.main()
    last = capsys.readouterr().out.splitlines()[-1]
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert re.fullmatch(r"ratio \d+\.\d\d", last)
    assert float(last.split()[1]) == pytest.approx(float(row["ratio"]), abs=0.006)
    assert float(row["ratio"]) == pytest.approx(float(row["end_to_end"]) / float(row["physics"]), rel=1e-3)


def test_timing_the_physics_alone_does_not_disturb_the_run(make_run, tmp_path):
    env = benchmark.Recorder(make_run(tmp_path).env)
    env.reset()
    for _ in range(3):
        env.step(np.zeros((2, 2, 3)))
    before = env.batch.state.copy()
    assert env.replay() > 0
    np.testing.assert_array_equal(env.batch.state, before)


def test_a_checkpoint_of_another_run_is_refused(make_run, tmp_path):
    make_run(tmp_path, steps=100).train(quiet)
    (tmp_path / "run.json").unlink()
    (tmp_path / "metrics.csv").unlink()
    with pytest.raises(ValueError, match=r"checkpoint\.pt belongs to another run"):
        make_run(tmp_path, steps=100, seed=1)
    assert make_run(tmp_path, steps=100).learner.iteration == 1
