"""Fault trials: whatever happens to a run, the same command ends with the bytes of a run that nothing happened to.

A handful runs with the other tests; `python -m pytest -m slow algorithms/tests/test_faults.py` makes the many.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from algorithms import ALGORITHMS, train
from algorithms.run import checkpoint, provenance
from algorithms.run import signals as signals_module

from .faults import (
    Trials,
    at_call,
    at_iteration,
    command,
    identity,
    kept,
    kill_somewhere,
    limit_file_size,
    send,
    start,
    train_forked,
    wait,
)
from .test_run import rows_of

ASKED = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
ROOT = Path(train.__file__).parents[1]


@pytest.fixture(scope="module")
def trials(request, tmp_path_factory):
    """Count trials, and print the report at the end of this file."""
    made = Trials(tmp_path_factory.mktemp("whole"))
    yield made
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("", *made.report(), sep="\n")


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def cut(tmp_path, log):
    """Return the folder of a run killed in its fourth iteration: checkpoints after the third and the second."""
    folder = tmp_path / "run"

    killed = train_forked(command(folder), log, at_iteration(4, lambda: send(signal.SIGKILL)))
    assert killed[0] == -signal.SIGKILL
    return folder


def kill_trials(trials, rng, count, tmp_path, log) -> None:
    """Kill `count` runs twice in a row each and continue them."""
    for k in range(count):
        key = (("halfcheetah_2x3", "ant_2x4")[k % 2], list(ALGORITHMS)[k % len(ALGORITHMS)])
        folder, duration = tmp_path / f"killed{k}", trials.whole(*key)[1]
        size = (trials.place / "-".join(key) / "checkpoint.pt").stat().st_size
        kinds = []
        for _ in range(2):
            kinds.append(kill_somewhere(rng, command(folder, *key), log, duration, size))
            assert kept(folder)
        trials.kills.update(filter(None, kinds))
        trials.finish("kill -9, twice in a row", folder, *key, faults=2 - kinds.count(None))
        shutil.rmtree(folder)


def test_killed_at_random_moments_no_run_is_lost(trials, tmp_path, log):
    kill_trials(trials, random.Random(0), 4, tmp_path, log)
    assert trials.kills.total() >= 4 and trials.lost.total() == 0


@pytest.mark.slow
def test_killed_at_many_random_moments_no_run_is_lost(trials, tmp_path, log):
    kill_trials(trials, random.Random(1), 60, tmp_path, log)
    assert trials.kills.total() >= 60 and min(trials.kills.values()) >= 10 and trials.lost.total() == 0


@pytest.mark.slow
def test_processes_killed_while_they_start_and_train_are_not_lost(trials, tmp_path):
    rng, folder = random.Random(2), tmp_path / "run"
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-m", "algorithms.train", *command(folder)], cwd=ROOT)
        time.sleep(rng.uniform(0.5, 3))
        process.kill()
        process.wait()
    assert trials.finish("kill -9 of new interpreters", folder, faults=4)


@ASKED
def test_a_run_asked_to_end_finishes_its_iteration_and_exits_with_128_and_the_signal(number, trials, tmp_path, log):
    folder = tmp_path / "run"
    assert train_forked(command(folder), log, at_iteration(3, lambda: send(number)))[0] == 128 + number
    assert checkpoint.load(folder, identity(command(folder)))["learner"]["iteration"] == 3 == len(rows_of(folder))
    assert "saving" in log.read_text()
    assert trials.finish(signal.Signals(number).name, folder)


@pytest.mark.slow
@ASKED
def test_asked_to_end_at_any_moment_no_run_is_lost(number, trials, tmp_path, log):
    rng = random.Random(int(number))
    for k in range(10):
        folder = tmp_path / str(k)
        pid = start(command(folder), log)
        time.sleep(rng.uniform(0.02, trials.whole()[1]))  # the fork needs some milliseconds to take signals over
        os.kill(pid, number)
        assert wait(pid) in (0, 128 + number)
        assert trials.finish(signal.Signals(number).name, folder)


@ASKED
def test_asked_to_end_while_it_starts_a_run_ends_at_once(number, trials, tmp_path, log):
    def ask_while_making():
        train.env_maker = lambda *_: lambda: send(number)

    assert train_forked(command(tmp_path / "run"), log, ask_while_making)[0] == 128 + number
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.lock"]
    assert trials.finish(f"{signal.Signals(number).name} at the start", tmp_path / "run")


def test_asked_to_end_while_it_saves_a_run_finishes_saving(trials, tmp_path, log):
    folder = tmp_path / "run"
    renames = at_call(3, lambda: send(signal.SIGTERM), names=("replace",))  # run.json, metrics.csv, checkpoint.pt
    assert train_forked(command(folder), log, renames)[0] == 128 + signal.SIGTERM
    assert checkpoint.load(folder, identity(command(folder)))["learner"]["iteration"] == 1 == len(rows_of(folder))
    assert trials.finish("SIGTERM while saving", folder)


@pytest.mark.parametrize("grace, saved", [(0.1, False), (60, True)])
def test_asked_twice_a_run_ends_at_once_unless_it_was_one_request(grace, saved, trials, cut, log):
    def ask_twice():
        signals_module.GRACE = grace
        for _ in range(2):
            send(signal.SIGTERM)
            time.sleep(0.3)

    assert train_forked(command(cut), log, at_iteration(1, ask_twice))[0] == 128 + signal.SIGTERM
    assert checkpoint.load(cut, identity(command(cut)))["learner"]["iteration"] == (4 if saved else 3)
    assert trials.finish("SIGTERM twice", cut)


def test_the_second_process_in_a_folder_is_refused(trials, tmp_path, log):
    folder = tmp_path / "run"

    first = start(command(folder), tmp_path / "first", at_iteration(2, lambda: time.sleep(60)))
    while not (folder / "checkpoint.pt").exists():
        time.sleep(0.01)
    before = files_of(folder)
    status, text = train_forked(command(folder), log)
    assert status == 2 and text.count("\n") == 1
    assert str(folder) in text and f"process {first} on " in text
    assert files_of(folder) == before
    os.kill(first, signal.SIGKILL)
    wait(first)
    assert trials.finish("two processes", folder)  # the lock has vanished with its holder


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_checkpoint_without_room_leaves_those_before(trials, cut, log):
    before = files_of(cut)
    status, text = train_forked(command(cut), log, lambda: limit_file_size(100_000))
    assert status == 1 and "Traceback" not in text
    assert text.splitlines()[-1].startswith(f"error: {cut / 'checkpoint.pt'}: File too large; ")
    after = files_of(cut)
    assert after.keys() == before.keys() - {"run.lock"}
    assert all(after[name] == before[name] for name in ("checkpoint.pt", "checkpoint.previous.pt"))
    assert trials.finish("file size limit", cut)


def test_a_row_without_room_leaves_those_before(trials, cut, log):
    size = (cut / "metrics.csv").stat().st_size
    status, text = train_forked(command(cut), log, at_iteration(1, lambda: limit_file_size(size + 10)))
    assert status == 1 and text.splitlines()[-1].startswith(f"error: {cut / 'metrics.csv'}: File too large; ")
    assert len(rows_of(cut)) == 3 and (cut / "metrics.csv").stat().st_size == size
    assert trials.finish("file size limit", cut)


@pytest.fixture
def small_disk(tmp_path):
    """Mount 2 MiB of memory as a disk."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_on_a_full_disk_no_run_is_lost(trials, small_disk, log):
    rng, failed = random.Random(3), 0
    for k in range(8):
        folder, ballast = small_disk / str(k), small_disk / "ballast"
        ballast.write_bytes(bytes(2**21 - 4096 * rng.choice((0, 1, rng.randint(2, 250)))))
        status, text = train_forked(command(folder), log)
        ballast.unlink()
        if status:
            failed += 1
            assert status == 1 and "Traceback" not in text
            assert re.fullmatch(
                f"error: {re.escape(str(folder))}.*: No space left on device; .*", text.splitlines()[-1]
            )
        assert trials.finish("full disk", folder, faults=status)
        shutil.rmtree(folder)
    assert failed >= 5


def test_a_folder_that_cannot_be_written_is_named_in_one_sentence(trials, small_disk, cut, log):
    half = shutil.copytree(cut, small_disk / "run")
    before = files_of(half)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for folder in (half, small_disk / "new"):
        status, text = train_forked(command(folder), log)
        assert status == 1 and text.count("\n") == 1
        assert re.match(f"error: {re.escape(str(folder))}.*: Read-only file system; ", text)
    assert files_of(half) == before
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert trials.finish("read-only folder", half)


def test_an_output_below_a_file_is_named_in_one_sentence(tmp_path, log):
    (tmp_path / "file").touch()
    status, text = train_forked(command(tmp_path / "file" / "run"), log)
    assert status == 1 and text.count("\n") == 1
    assert str(tmp_path / "file" / "run") in text and "Not a directory" in text


def test_a_clock_that_jumps_changes_the_stamps_alone(trials, tmp_path, log):
    def jump():
        years = iter(range(2100, 1970, -1))

        class Backwards(datetime):
            @classmethod
            def now(cls, zone):
                return datetime(next(years), 1, 1, tzinfo=zone)

        provenance.datetime = Backwards
        time.time = lambda: Backwards.now(None).timestamp()

    folder = tmp_path / "run"
    assert train_forked(command(folder), log, jump)[0] == 0
    record = json.loads((folder / "run.json").read_text())
    assert datetime.fromisoformat(record["started"]) > datetime.fromisoformat(record["ended"])
    assert 0 < record["wall_time"] < 60
    assert all(float(row["fps"]) > 0 for row in rows_of(folder))
    assert trials.finish("clock that jumps", folder)
