"""One attempt at a run: what it keeps, what it clears, and what a failure leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workflow import attempt, progress, sources
from workflow.tests.conftest import wait_for

GOOD = "open('metrics.csv', 'w').write('step\\n5\\n')"


def run(folder: Path, code: str, number: str = "1/3", identity: str = "default", steps: int = 5) -> subprocess.Popen:
    """Start an attempt whose command is a line of Python run in `folder`."""
    script = f"import os; os.chdir({str(folder)!r}); {code}"
    options = ["--attempt", number, "--identity", identity, "--steps", str(steps)]
    command = [sys.executable, "-m", "workflow.attempt", str(folder / "metrics.csv"), *options]
    command += ["--sources", str(folder.parent / "source"), "--", sys.executable, "-c", script]
    return subprocess.Popen(command, cwd=sources.ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def status(process: subprocess.Popen) -> int:
    """Wait for the end of an attempt and return its exit status."""
    process.communicate(timeout=120)
    return process.returncode


@pytest.fixture
def folder(tmp_path) -> Path:
    runs = tmp_path / "tiny/runs"
    runs.mkdir(parents=True)
    (runs / "source").write_text("source")
    return runs / "seed0"


def test_success_leaves_the_metrics_and_the_log(folder):
    assert status(run(folder, f"print('hello'); {GOOD}")) == 0
    assert progress.last_row(folder / "metrics.csv") == {"step": "5"}
    assert "hello" in (folder / "train.log").read_text()


def test_the_log_survives_retries(folder):
    assert status(run(folder, "print('first'); exit(1)")) == 1
    assert status(run(folder, f"print('second'); {GOOD}", "2/3")) == 0
    log = (folder / "train.log").read_text()
    assert log.index("first") < log.index("second")


def test_a_failure_with_attempts_left_fails_and_shows_the_end_of_the_log(folder):
    process = run(folder, "exit('broken pipe of the robot')")
    assert "broken pipe of the robot" in process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert not (folder / "metrics.csv").exists()


@pytest.mark.parametrize(("code", "number"), [("exit(1)", "3/3"), ("pass", "3/3"), ("exit(2)", "1/3")])
def test_giving_up_succeeds_with_a_header_alone(folder, code, number):
    assert status(run(folder, code, number)) == 0
    assert (folder / "metrics.csv").read_text() == attempt.HEADER
    assert progress.failed(folder / "metrics.csv")
    assert attempt.failures(folder.parents[1]) == {str(folder / "metrics.csv"): 1}


def test_every_failure_is_counted_and_a_success_is_no_failure(folder):
    for _ in range(2):
        status(run(folder, "exit(1)", "3/3"))
    assert attempt.failures(folder.parents[1])[str(folder / "metrics.csv")] == 2
    status(run(folder, GOOD))
    assert attempt.failures(folder.parents[1])[str(folder / "metrics.csv")] == 2
    assert not progress.failed(folder / "metrics.csv")


def test_an_interrupted_run_of_the_same_settings_is_continued(folder):
    status(run(folder, "open('checkpoint.pt', 'w').write('half'); exit(1)"))
    status(run(folder, f"assert open('checkpoint.pt').read() == 'half'; {GOOD}", "2/3"))
    assert progress.last_row(folder / "metrics.csv")


@pytest.mark.parametrize("change", [{"identity": "lam=1"}, {"steps": 4}])
def test_another_run_is_cleared(folder, change):
    status(run(folder, "open('checkpoint.pt', 'w'); exit(1)"))
    assert status(run(folder, f"assert not os.path.exists('checkpoint.pt'); {GOOD}", **change)) == 0


def test_a_changed_source_clears_the_run(folder):
    status(run(folder, "open('checkpoint.pt', 'w'); exit(1)"))
    (folder.parent / "source").write_text("another source")
    assert status(run(folder, f"assert not os.path.exists('checkpoint.pt'); {GOOD}")) == 0


@pytest.mark.parametrize("kept", ["metrics.csv", attempt.BEFORE])  # Snakemake deletes the first
def test_a_run_of_another_source_is_set_aside_whole_and_said(folder, kept):
    for number in (1, 2):
        code = f"open('policy.pt', 'w').write('{number}'); open('evaluation.csv', 'w'); print('log {number}'); {GOOD}"
        status(run(folder, code))
        attempt.remember(folder / "metrics.csv")
        if kept != "metrics.csv":
            (folder / "metrics.csv").unlink()
        (folder.parent / "source").write_text(f"another source {number}")
        process = run(folder, "exit(1)")
        said = process.communicate(timeout=120)[0]
        aside = folder.with_name(f"seed0.stale-{number}")
        assert said.count("\n") == 1 and f"{folder} held a run" in said and said.endswith(f"it is now {aside}\n")
        names = {path.name for path in aside.iterdir()}
        assert names == {"metrics.csv", "policy.pt", "evaluation.csv", "attempt.json", "train.log"}
        assert (aside / "policy.pt").read_text() == str(number)
        assert progress.last_row(aside / "metrics.csv") == {"step": "5"}
        assert f"log {number}" in (aside / "train.log").read_text()
        assert {path.name for path in folder.iterdir()} == {"attempt.json", "train.log", "lock"}


def test_a_run_that_is_continued_is_not_set_aside(folder):
    status(run(folder, GOOD))
    attempt.remember(folder / "metrics.csv")
    (folder / "metrics.csv").unlink()
    assert status(run(folder, GOOD, steps=9)) == 0
    assert [path.name for path in folder.parent.glob("seed0*")] == ["seed0"]
    assert not (folder / attempt.BEFORE).exists()


@pytest.mark.parametrize("content", [None, "step\n", "step"])
def test_what_has_no_rows_is_not_remembered(folder, content):
    folder.mkdir()
    if content is not None:
        (folder / "metrics.csv").write_text(content)
    attempt.remember(folder / "metrics.csv")
    assert not (folder / attempt.BEFORE).exists()


def test_more_steps_continue_the_run(folder):
    status(run(folder, "open('checkpoint.pt', 'w'); exit(1)"))
    assert status(run(folder, f"assert os.path.exists('checkpoint.pt'); {GOOD}", steps=9)) == 0


def test_a_request_to_stop_reaches_the_trainer_and_is_no_failure(folder):
    code = "import signal, sys, time; signal.signal(15, lambda *_: (open('saved', 'w'), sys.exit(143))); "
    process = run(folder, code + "open('ready', 'w'); time.sleep(30)", "3/3")
    wait_for((folder / "ready").exists, process)
    os.kill(process.pid, signal.SIGTERM)
    assert status(process) == 143
    assert (folder / "saved").exists()
    assert not (folder / "failures.txt").exists()


def test_a_second_attempt_waits_for_a_trainer_whose_own_attempt_was_killed(folder):
    first = run(folder, "import time; open('ready', 'w'); time.sleep(1.5); open('order', 'a').write('1')")
    wait_for((folder / "ready").exists, first)
    first.kill()
    assert status(run(folder, f"open('order', 'a').write('2'); {GOOD}", "2/3")) == 0
    assert (folder / "order").read_text() == "12"


@pytest.mark.parametrize("plan", ["", "{", "[]", '{"runs": [7], "started": 0}', '{"runs": [], "started": "x"}'])
def test_a_damaged_plan_is_a_sentence_for_people_and_nothing_to_a_run(folder, plan):
    (folder.parents[1] / progress.PLAN).write_text(plan)
    assert status(run(folder, GOOD)) == 0
    with pytest.raises(ValueError, match=r"plan.json is not a plan: start the workflow again"):
        progress.line(folder.parents[1] / progress.PLAN, 0)


def test_a_second_attempt_waits_for_an_orphan_of_the_first(folder):
    first = run(folder, "import time; open('ready', 'w'); time.sleep(1); open('order', 'a').write('1'); exit(1)")
    wait_for((folder / "ready").exists, first)
    second = run(folder, f"open('order', 'a').write('2'); {GOOD}")
    assert (status(second), status(first)) == (0, 1)
    assert (folder / "order").read_text() == "12"
