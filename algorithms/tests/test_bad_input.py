"""Whatever is wrong with a command or a file ends in one sentence, status 2, and nothing written."""

import json
import shutil
import sys

import pytest
import torch

from algorithms import ALGORITHMS, benchmark, evaluate, train
from envs import SCENARIOS

ANT = ["--scenario", "ant_2x4", "--algorithm", "happo"]
TRAIN = {
    "no scenario": (["--algorithm", "happo"], ["--scenario"]),
    "no algorithm": (["--scenario", "ant_2x4"], ["--algorithm"]),
    "unknown scenario": (["--scenario", "ant_9x9", "--algorithm", "happo"], ["ant_9x9", *SCENARIOS]),
    "scenario of the shell": (["--scenario", "$(reboot)", "--algorithm", "happo"], ["$(reboot)", "ant_2x4"]),
    "unknown algorithm": (["--scenario", "ant_2x4", "--algorithm", "ppo"], ["ppo", *ALGORITHMS]),
    "unknown option": ([*ANT, "--epochs", "3"], ["--epochs"]),
    "no steps": ([*ANT, "--steps", "0"], ["--steps 0", "at least 1"]),
    "negative steps": ([*ANT, "--steps", "-5"], ["--steps -5", "at least 1"]),
    "steps in words": ([*ANT, "--steps", "many"], ["--steps", "many"]),
    "steps as a fraction": ([*ANT, "--steps", "1.5e0"], ["--steps", "1.5e0"]),
    "no threads": ([*ANT, "--threads", "0"], ["--threads 0", "at least 1"]),
    "threads in words": ([*ANT, "--threads", "all"], ["--threads", "all"]),
    "negative seed": ([*ANT, "--seed", "-1"], ["--seed -1", "at least 0"]),
    "seed in words": ([*ANT, "--seed", "x"], ["--seed", "x"]),
    "unknown device": ([*ANT, "--device", "tpu"], ["--device", "tpu", "cuda"]),
    "absent device": ([*ANT, "--device", "cuda"], ["--device cuda", "cpu or auto"]),
    "setting in words": ([*ANT, "--set", "clip=x"], ["clip=x", "number"]),
    "setting without value": ([*ANT, "--set", "clip"], ["clip", "name=value"]),
    "empty setting": ([*ANT, "--set", "clip="], ["clip=", "number"]),
    "nameless setting": ([*ANT, "--set", "=3"], ["''", "clip"]),
    "another algorithm's setting": ([*ANT, "--set", "nu_max=3"], ["nu_max", "clip"]),
    "unknown variant": ([*ANT, "--variant", "best"], ["best", "default"]),
    "variant that leaves the folder": ([*ANT, "--set", "clip=0.1", "--variant", "../x"], ["'../x'", "letters"]),
    "variant with a space": ([*ANT, "--set", "clip=0.1", "--variant", "a b"], ["'a b'", "letters"]),
    "variant of the shell": ([*ANT, "--set", "clip=0.1", "--variant", "$(ls)"], ["'$(ls)'", "letters"]),
    "too many bounds": ([*ANT, "--set", "safety_bound=1,2", "num_envs=1"], ["safety_bound=1.0,2.0", "1"]),
    "too few bounds": ([*ANT, "--set", "costs=separate", "safety_bound=1", "num_envs=1"], ["safety_bound=1.0", "2"]),
    "walls around hands": (
        ["--scenario", "shadowhandover", "--algorithm", "happo", "--set", "walls=free"],
        ["walls='free'", "shadowhandover", "choose from costs, fall"],
    ),
    "a fall of an ant": (
        [*ANT, "--set", "fall=end"],
        ["fall='end'", "ant_2x4", "walls, observation, partition, costs"],
    ),
    "an unknown rule for a fall": (
        ["--scenario", "shadowhandover", "--algorithm", "happo", "--set", "fall=bounce"],
        ["fall=bounce", "end, continue"],
    ),
    "solid walls for a cheetah": (
        ["--scenario", "halfcheetah_2x3", "--algorithm", "happo", "--set", "walls=solid"],
        ["solid", "ghost"],
    ),
}


def refused(command, arguments, words, monkeypatch, capsys) -> None:
    """Run `command` and check that it ends with status 2 and one sentence that holds `words`."""
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(SystemExit) as caught:
        command.main()
    printed = capsys.readouterr()
    assert caught.value.code == 2 and printed.out == "", printed
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1, printed.err
    assert all(word in printed.err for word in words), printed.err


@pytest.mark.parametrize("what", TRAIN)
@pytest.mark.parametrize("command", [train, benchmark], ids=["train", "benchmark"])
def test_a_wrong_command_is_refused_and_nothing_written(command, what, tmp_path, monkeypatch, capsys):
    if what == "absent device" and torch.cuda.is_available():
        pytest.skip("this machine has one")
    arguments, words = TRAIN[what]
    refused(command, [*arguments, "--output", str(tmp_path / "run")], words, monkeypatch, capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rounds", "word"), [("0", "--rounds 0"), ("-1", "--rounds -1"), ("few", "few")])
def test_a_benchmark_without_rounds_is_refused(rounds, word, monkeypatch, capsys):
    refused(benchmark, [*ANT, "--rounds", rounds], [word], monkeypatch, capsys)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """Return the folder of a complete run."""
    folder = tmp_path_factory.mktemp("complete") / "run"
    small = ["--steps", "50", "--output", str(folder), "--set", "num_envs=1", "rollout_length=50"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train", *ANT, *small])
        train.main()
    return folder


def record(**changes):
    """Return a function that changes run.json; a value of None deletes the key."""

    def change(folder):
        path = folder / "run.json"
        found = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({name: value for name, value in found.items() if value is not None}))

    return change


def policy(data):
    """Return a function that replaces policy.pt by bytes, or by what torch.save writes."""

    def change(folder):
        path = folder / "policy.pt"
        path.write_bytes(data) if isinstance(data, bytes) else torch.save(data, path)

    return change


SHAPE = {"observation_size": 4, "action_size": 4, "settings": {"hidden": [8]}}
DAMAGED = {
    "no folder": (shutil.rmtree, ["policy.pt", "complete run"]),
    "no policy": (lambda folder: (folder / "policy.pt").unlink(), ["policy.pt", "complete run"]),
    "no record": (lambda folder: (folder / "run.json").unlink(), ["run.json", "scenario"]),
    "empty record": (lambda folder: (folder / "run.json").write_text(""), ["run.json", "record"]),
    "torn record": (lambda folder: (folder / "run.json").write_text('{"scenario": "ant'), ["run.json", "record"]),
    "record that is a list": (lambda folder: (folder / "run.json").write_text("[]"), ["run.json", "record"]),
    "record without a seed": (record(seed=None), ["run.json", "seed"]),
    "record of an unknown scenario": (record(scenario="ant_9x9"), ["ant_9x9", "ant_2x4"]),
    "record of another scenario": (record(scenario="ant_8x1"), ["policy.pt", "ant_8x1"]),
    "empty policy": (policy(b""), ["policy.pt"]),
    "policy in words": (policy(b"a policy"), ["policy.pt"]),
    "foreign policy": (policy({"weights": torch.zeros(3)}), ["policy.pt", "settings"]),
    "policy of another size": (
        policy({"actors": [{"0.weight": torch.zeros(9), "std": torch.zeros(4)}] * 2} | SHAPE),
        ["policy.pt", "Missing key"],
    ),
    "policy of an earlier layout": (policy({"actors": [torch.zeros(9)] * 2} | SHAPE), ["policy.pt", "no names"]),
    "policy with code": (policy({"actors": [print], "settings": {"hidden": [8]}}), ["policy.pt"]),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_evaluating_a_damaged_or_foreign_folder_is_refused_and_leaves_it_alone(
    what, complete, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "run"
    shutil.copytree(complete, folder)
    DAMAGED[what][0](folder)
    before = {path.name: path.read_bytes() for path in folder.glob("*")}
    refused(evaluate, [str(folder), "--episodes", "1"], DAMAGED[what][1], monkeypatch, capsys)
    assert before == {path.name: path.read_bytes() for path in folder.glob("*")}


EVALUATE = {
    "no episodes": (["--episodes", "0"], ["--episodes 0", "at least 1"]),
    "episodes in words": (["--episodes", "all"], ["--episodes", "all"]),
    "no threads": (["--threads", "0"], ["--threads 0", "at least 1"]),
}


@pytest.mark.parametrize("what", EVALUATE)
def test_a_wrong_evaluation_is_refused(what, complete, monkeypatch, capsys):
    arguments, words = EVALUATE[what]
    refused(evaluate, [str(complete), *arguments], words, monkeypatch, capsys)


def test_an_output_that_is_a_file_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "run").write_text("mine")
    monkeypatch.setattr(sys, "argv", ["train", *ANT, "--output", str(tmp_path / "run")])
    with pytest.raises(SystemExit, match=r"error: .*run.*") as caught:
        train.main()
    assert caught.value.code != 0 and "\n" not in str(caught.value)
    assert (tmp_path / "run").read_text() == "mine"
