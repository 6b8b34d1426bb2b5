"""Checkpoints: whatever is done to the files, a run goes on from a whole one of its own or says why not."""

import json
import os
import random
import time

import numpy as np
import pytest
import torch

from algorithms.run import checkpoint
from algorithms.run import run as run_module

from .test_run import lasting, quiet

NEWEST, PREVIOUS = checkpoint.NEWEST, checkpoint.PREVIOUS
RNG = random.Random(0)
DAMAGE = {
    "empty": lambda data: b"",
    "header alone": lambda data: data[: data.index(b"\n") + 1],
    "cut in half": lambda data: data[: len(data) // 2],
    "a byte short": lambda data: data[:-1],
    "a byte more": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "garbage": lambda data: RNG.randbytes(len(data)),
    "text": lambda data: b"PK\3\4 is how an archive begins",
    "format flipped": lambda data: data.replace(b"checkpoint 3", b"checkpoint 4", 1),
}


class Killed(Exception):
    """Stands for a process that disappears without a word."""


@pytest.fixture
def cut(make_run, tmp_path, monkeypatch):
    """Return the folder of a run that ended with checkpoints after iterations 3 and 2 of 6."""

    def die(row, seconds_left):
        if row["iteration"] == 4:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "CHECKPOINT_INTERVAL", 0.0)
        patch.setattr(run_module, "CHECKPOINT_SHARE", np.inf)
        with pytest.raises(Killed):
            make_run(tmp_path / "cut", steps=600).train(die)
    return tmp_path / "cut"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a dict for the undisturbed run's outcome, filled by the first test that needs it."""
    return {}


def same_as_whole(folder, whole, make_run, tmp_path):
    """Return whether a run has the rows and the policy of one that nothing happened to."""
    if not whole:
        make_run(tmp_path / "whole", steps=600).train(quiet)
        whole |= {"rows": lasting(tmp_path / "whole"), "policy": (tmp_path / "whole/policy.pt").read_bytes()}
    return {"rows": lasting(folder), "policy": (folder / "policy.pt").read_bytes()} == whole


def spoil(path, change):
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_reported_and_the_one_before_used(damage, cut, whole, make_run, tmp_path, capsys):
    spoil(cut / NEWEST, DAMAGE[damage])
    resumed = make_run(cut, steps=600)
    assert resumed.learner.iteration == 2
    assert f"{cut / NEWEST} is damaged" in (said := capsys.readouterr().err) and said.count("\n") == 1
    assert not (cut / PREVIOUS).exists()  # it is the newest now, out of the way of the next save
    resumed.train(quiet)
    assert same_as_whole(cut, whole, make_run, tmp_path)


def test_with_both_damaged_the_run_begins_anew_and_says_so(cut, whole, make_run, tmp_path, capsys):
    for name in (NEWEST, PREVIOUS):
        spoil(cut / name, DAMAGE["cut in half"])
    resumed = make_run(cut, steps=600)
    assert resumed.learner.iteration == 0
    assert "begins anew" in capsys.readouterr().err.splitlines()[-1]
    resumed.train(quiet)
    assert same_as_whole(cut, whole, make_run, tmp_path)


def test_a_damaged_checkpoint_of_nobody_knows_which_run_is_refused(cut, make_run):
    for name in ("run.json", "metrics.csv", PREVIOUS):
        (cut / name).unlink()
    spoil(cut / NEWEST, DAMAGE["garbage"])
    before = (cut / NEWEST).read_bytes()
    with pytest.raises(ValueError, match=r"damaged and .* holds no run.json"):
        make_run(cut, steps=600)
    assert (cut / NEWEST).read_bytes() == before


def test_a_kill_between_the_two_renames_leaves_the_one_before(cut, make_run, capsys):
    (cut / NEWEST).unlink()
    assert make_run(cut, steps=600).learner.iteration == 2
    assert capsys.readouterr().err == ""


def test_no_changed_byte_is_overlooked(cut):
    data, rng, path = (cut / NEWEST).read_bytes(), random.Random(1), cut / NEWEST
    for place in [*range(0, 100, 3), *(rng.randrange(len(data)) for _ in range(60))]:
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :])
        with pytest.raises(checkpoint.Damaged):
            checkpoint.read(path)


FOREIGN = {
    "another seed": {"seed": 1},
    "another algorithm": {"algorithm": "happo"},
    "another setting": {"more": ("lam=3",)},
    "fewer steps": {"steps": 200},
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_checkpoint_of_another_run_is_refused_untouched(what, cut, make_run):
    for name in ("run.json", "metrics.csv"):
        (cut / name).unlink()  # so that the checkpoint alone tells
    before = {path.name: path.read_bytes() for path in cut.iterdir()}
    with pytest.raises(ValueError, match=r"checkpoint.* choose another --output"):
        make_run(cut, **({"steps": 600} | FOREIGN[what]))
    assert {path.name: path.read_bytes() for path in cut.iterdir()} == before


def test_another_format_is_refused(cut, make_run, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 4)
    with pytest.raises(ValueError, match=f"{NEWEST} has checkpoint format 3, this program reads format 4"):
        make_run(cut, steps=600)


def test_another_version_of_the_tasks_is_refused(cut, make_run):
    record = json.loads((cut / "run.json").read_text())
    (cut / "run.json").write_text(json.dumps(record | {"task_version": 0}))
    with pytest.raises(ValueError, match="its task_version is 0, not "):
        make_run(cut, steps=600)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff"])
def test_a_spoilt_record_is_refused(text, cut, make_run):
    (cut / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"run\.json is not the record of a run"):
        make_run(cut, steps=600)


@pytest.mark.parametrize("text", [b"", b"scenario,algo", b"\0\0"])
def test_whatever_happened_to_metrics_they_are_written_again(text, cut, whole, make_run, tmp_path):
    (cut / "metrics.csv").write_bytes(text)
    make_run(cut, steps=600).train(quiet)
    assert same_as_whole(cut, whole, make_run, tmp_path)


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_bytes(b"a,b\n")])
def test_whatever_happens_to_metrics_meanwhile_they_are_whole_in_the_end(change, whole, make_run, tmp_path):
    def meddle(row, seconds_left):
        if row["iteration"] == 3:
            change(tmp_path / "run/metrics.csv")

    make_run(tmp_path / "run", steps=600).train(meddle)
    assert same_as_whole(tmp_path / "run", whole, make_run, tmp_path)


@pytest.mark.parametrize("name", ["metrics.csv", "policy.pt"])
def test_a_complete_run_writes_a_lost_file_again(name, cut, whole, make_run, tmp_path):
    make_run(cut, steps=600).train(quiet)
    (cut / name).unlink()
    make_run(cut, steps=600).train(quiet)
    assert same_as_whole(cut, whole, make_run, tmp_path) and make_run(cut, steps=600).complete


def test_what_an_external_environment_may_keep_survives(tmp_path):
    streams = [np.random.Generator(kind(2**100)) for kind in (np.random.PCG64, np.random.MT19937, np.random.Philox)]
    tree = {
        "generators": [stream.bit_generator.state for stream in streams],
        "large": (2**127 - 1, -(2**127)),
        "arrays": [np.arange(6.0).reshape(2, 3)[:, ::-1], np.zeros((0, 3), np.uint8), np.array(1.5), np.array([True])],
        "scalars": [np.float32(0.1), np.int64(3), np.bool_(True)],
        "plain": (None, True, 1, 0.1, float("inf"), "text", b"\xff"),
        3: "a key that is no text",
    }
    checkpoint.save(tmp_path, {"identity": {}, "env": tree, "tensor": torch.arange(3)})
    loaded = checkpoint.load(tmp_path, {})
    found = loaded["env"]
    assert torch.equal(loaded["tensor"], torch.arange(3))
    np.testing.assert_equal(found, tree)
    for ours, theirs in zip(found["arrays"] + found["scalars"], tree["arrays"] + tree["scalars"], strict=True):
        assert type(ours) is type(theirs) and ours.dtype == theirs.dtype
    for stream, state in zip(streams, found["generators"], strict=True):
        expected = stream.standard_normal(5)
        stream.bit_generator.state = state
        assert np.array_equal(stream.standard_normal(5), expected)


@pytest.mark.parametrize("thing", [{1, 2}, np.random.default_rng(0), 1j])
def test_what_could_not_be_loaded_again_is_not_saved(thing, tmp_path):
    with pytest.raises(TypeError, match="a checkpoint cannot hold"):
        checkpoint.save(tmp_path, {"identity": {}, "env": [thing]})
    assert list(tmp_path.iterdir()) == []


def test_data_reach_the_disk_before_their_name_and_the_name_before_the_save_ends(tmp_path, monkeypatch):
    calls = []
    sync, move = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: calls.append(os.path.realpath(f"/proc/self/fd/{file}")) or sync(file))
    monkeypatch.setattr(os, "replace", lambda old, new: calls.append((old.name, new.name)) or move(old, new))
    for _ in range(2):
        checkpoint.save(tmp_path, {"identity": {}})
    part = f"{NEWEST}.part"
    first = [str(tmp_path / part), (part, NEWEST), str(tmp_path)]
    assert calls == [*first, first[0], (NEWEST, PREVIOUS), *first[1:]]


@pytest.mark.parametrize("scenario", ["ant_2x4", "ant_8x1"])
def test_saving_takes_a_small_part_of_the_time(scenario, make_run, tmp_path, capsys):
    made = make_run(tmp_path, scenario, more=("num_envs=16",))
    row = made.iterate()
    made.rows = [row | {"iteration": k, "wall_time": k * 1.1, "kl": k / 3} for k in range(625)]  # of 10 million steps
    spent = []
    for _ in range(5):
        begun = time.process_time()  # a slow disk is the next test's
        made._save_checkpoint()
        spent.append(time.process_time() - begun)
    share, size = np.median(spent) / run_module.CHECKPOINT_INTERVAL, (tmp_path / NEWEST).stat().st_size
    with capsys.disabled():
        print(
            f"\n{scenario}: a checkpoint of {size / 1e6:.1f} MB takes {np.median(spent):.3f} s, {share:.2%} of the time"
        )
    assert share < run_module.CHECKPOINT_SHARE


def test_where_the_disk_is_slow_checkpoints_are_further_apart(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "CHECKPOINT_INTERVAL", 0.0)
    saves = []
    monkeypatch.setattr(checkpoint, "save", lambda *_: saves.append(time.sleep(0.05)))
    begun = time.perf_counter()
    make_run(tmp_path, steps=600).train(quiet)
    spent = time.perf_counter() - begun
    assert (
        2 <= len(saves) <= 2 + 2 * run_module.CHECKPOINT_SHARE * spent / 0.05
    )  # the first and the last are due anyway
