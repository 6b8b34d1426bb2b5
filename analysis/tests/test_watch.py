"""The live table: what it says of a run, how it fits a terminal, and how it ends."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from analysis import watch
from workflow import layout, progress

NOW = 1_000_000.0
STARTED = NOW - 3600
HEADER = "scenario,algorithm,variant,seed,iteration,step,wall_time,fps,episode_return,episode_cost,bound"
HERE = Path(__file__).parents[2]


def row(name="ant_2x4,happo,default,0", step=1000, episode_return=12.5, cost=60.25, bound="50") -> str:
    return f"{name},10,{step},20,50,{episode_return},{cost},{bound}"


@pytest.fixture
def suite(tmp_path):
    """Return a function that adds a run to a suite's plan and writes the given files, `age` seconds old."""
    folder, runs = tmp_path / "results/tiny", []

    def add(place="runs/ant_2x4/happo/default/seed0", lines=(), age=1.0, ahead=True, **files) -> progress.Planned:
        path = folder / place / "metrics.csv"
        path.parent.mkdir(parents=True)
        contents = {"metrics.csv": "".join(f"{line}\n" for line in (HEADER, *lines))} if lines is not None else {}
        for name, content in (contents | {name.replace("_", "."): text for name, text in files.items()}).items():
            path.with_name(name).write_text(content)
            os.utime(path.with_name(name), (NOW - age, NOW - age))
        runs.append(vars(progress.Planned(f"results/tiny/{place}/metrics.csv", 2000, 60.0, ahead)))
        (folder / progress.PLAN).write_text(json.dumps({"started": STARTED, "runs": runs}))
        return progress.read(folder / progress.PLAN)[0][-1]

    return add


def seen(run: progress.Planned) -> progress.Run:
    return progress.look(run, STARTED, NOW)


def text(runs, width=80, height=None) -> list[str]:
    return [line.plain for line in watch.lines(runs, width, height)]


@pytest.mark.parametrize(
    ("state", "files"),
    [
        ("waiting", {"lines": None}),
        ("waiting", {"lines": [row()], "age": 7200}),  # of an earlier call: not yet continued
        ("waiting", {"lines": [row(step=2000)], "age": 7200}),  # stale, to be made again
        ("running", {"lines": [row()]}),
        ("running", {"lines": None, "train_log": "---"}),  # in its first iteration
        ("running", {"lines": [row()], "age": 90}),  # an iteration of this run takes 2 s: 100 steps at 50 FPS
        ("stalled", {"lines": [row()], "age": 600}),
        ("failed", {"failures_txt": "x\n"}),
        ("complete", {"lines": [row(step=2000)]}),
        ("complete", {"lines": [row(step=1900)], "ahead": False, "age": 7200}),  # a foreign one that rounds down
        ("evaluated", {"lines": [row(step=2000)], "evaluation_csv": "mode\n"}),
    ],
)
def test_the_state_of_a_run(suite, monkeypatch, state, files):
    monkeypatch.setattr(progress, "PATIENCE", 120.0)
    assert seen(suite(**files)).state == state


def test_a_run_that_takes_long_for_an_iteration_is_not_stalled(suite):
    slow = "ant_2x4,happo,default,0,1,1000,20,10,1,1,50"  # 100 s an iteration
    assert seen(suite(lines=[slow], age=400)).state == "running"
    assert seen(suite("runs/ant_2x4/happo/default/seed1", lines=[slow], age=600)).state == "stalled"


def test_a_trainer_that_writes_nothing_before_its_end_runs_as_long_as_its_lock_is_held(suite):
    import fcntl

    run = suite(lines=None, age=2000, lock="")
    with Path(run.metrics).with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert seen(run).state == "running"
    assert seen(run).state == "waiting"


def test_the_numbers_of_a_run(suite):
    found = seen(suite(lines=[row(step=500), row(step=1500, cost=40)]))
    assert (found.step, found.episode_return, found.costs, found.fps) == (1500, 12.5, (("", 40, 50),), 50)
    assert found.left == pytest.approx(500 / (1500 / 20))  # by the run's own pace
    [_, line] = text([found])
    assert line.split() == [
        "running",
        *["ant_2x4", "happo", "0", "1.5k", "75%", "12.5", "40.0", "<=", "50", "50", "7", "s"],
    ]


@pytest.mark.parametrize(("variant", "bound"), [("default", 50), ("safety_bound=25", 25)])
def test_foreign_metrics_need_neither_bound_nor_time(suite, variant, bound):
    path = f"runs/ant_2x4/other/{variant}/seed0"
    run = suite(path, lines=None)
    columns = "scenario,algorithm,variant,seed,iteration,step,fps,episode_return,episode_cost"
    Path(run.metrics).write_text(f"{columns}\nant_2x4,other,{variant},0,1,1000,100,3,\n")
    os.utime(run.metrics, (NOW, NOW))
    found = seen(run)
    assert (found.state, found.costs, found.left) == ("running", (("", None, bound),), 10)


@pytest.mark.parametrize("last", ["", "ant_2x4,happo", '"', "ant_2x4,happo,default,0,x,y,z,fast,inf,nan,"])
def test_rows_that_say_nothing_are_shown_as_such(suite, last):
    found = seen(suite(lines=[last]))
    assert (found.step, found.episode_return, found.fps) == (None,) * 3
    assert not any(cost.value for cost in found.costs)
    assert len(text([found])) == 2


def test_a_torn_last_line_is_not_read(suite):
    run = suite(lines=[row(step=500)])
    with Path(run.metrics).open("a") as file:
        file.write(row(step=600)[:-9])
    os.utime(run.metrics, (NOW, NOW))
    assert seen(run).step == 500


def test_timing_runs_are_told_from_training_runs(suite):
    assert seen(suite("efficiency/ant_2x4/happo/default/repeat2", lines=None)).name == "ant_2x4 happo timing 2"


ABOVE = (progress.Cost("", 33.0, 25.0),)
TWO = (progress.Cost("wall", 3.0, 25.0), progress.Cost("fall", 7.5, 5.0))


def some(state: str, number: int, scenario="manyagent_ant_2x3", variant="default", costs=ABOVE) -> list[progress.Run]:
    numbers = {} if state == "waiting" else {"step": 1.26e6, "costs": costs, "fps": 1e4, "left": 900.0}
    place = layout.Place(layout.TRAINING, scenario, "mafocops", variant)
    return [
        progress.Run(place._replace(seed=k), state, 10**7, episode_return=float(k), **numbers) for k in range(number)
    ]


def test_a_cost_above_its_bound_is_marked_by_text_and_colour():
    above, within = some("running", 2)
    within = progress.Run(**vars(within) | {"costs": (progress.Cost("", 25.0, 25.0),)})
    lines = watch.lines([above, within], 80)
    assert "33.0 > 25" in lines[1].plain and "25.0 <= 25" in lines[2].plain
    assert any(str(span.style) == "red" for span in lines[1].spans)
    assert not any(str(span.style) == "red" for span in lines[2].spans)


def test_each_of_several_costs_is_beside_its_own_bound(suite):
    folder = suite(lines=None)
    more = ",episode_cost_wall,bound_wall,episode_cost_fall,bound_fall"
    Path(folder.metrics).write_text(f"{HEADER}{more}\n{row(cost=10.5, bound='30')},3,25,7.5,5\n")
    os.utime(folder.metrics, (NOW, NOW))
    assert seen(folder).costs == TWO
    [_, line] = watch.lines([seen(folder)], 100)
    assert "wall 3.0 <= 25, fall 7.5 > 5" in line.plain
    assert any(str(span.style) == "red" for span in line.spans)  # though the sum is below the sum of the bounds
    sums = [tuple(cost._replace(value=cost.value + k) for cost in TWO) for k in (0, 0, 9)]
    runs = [run for k, costs in enumerate(sums) for run in some("complete", k + 1, costs=costs)[-1:]]
    assert "wall 3.0 <= 25, fall 7.5 > 5" in text(runs + some("waiting", 40), 100, height=4)[-1]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    runs = some("running", 2, variant="fraction_coef=0.3+trust_region=minibatch") + some("complete", 3)
    assert max(map(len, text(runs, width))) <= width
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(*watch.lines(runs, width), sep="\n")
    assert len(console.export_text().splitlines()) == len(text(runs, width))  # nothing wraps


def test_everything_is_shown_where_it_fits_and_in_the_order_of_urgency():
    runs = [run for state in ("waiting", "complete", "stalled", "failed", "running") for run in some(state, 2)]
    states = [line.split()[0] for line in text(runs)]
    assert states == ["State", *["running"] * 2, *["failed"] * 2, *["stalled"] * 2, *["complete"] * 2, *["waiting"] * 2]


@pytest.mark.parametrize("height", [6, 10, 22, 40])
def test_many_runs_fit_the_height_with_those_under_way_first(height):
    runs = some("waiting", 300, "ant_2x4") + some("complete", 30) + some("running", 4) + some("failed", 3)
    shown = text(runs, height=height)
    assert len(shown) <= height
    assert shown[1].startswith("running")
    sums = [line for line in shown if "complete" in line]
    assert any("0 of 300 complete" in line for line in sums) and any("30 of 30 complete" in line for line in sums)


def test_what_does_not_fit_is_counted():
    runs = some("running", 50, "ant_2x4")
    shown = text(runs, height=12)
    assert len(shown) == 12 and shown[-1] == "... 40 more lines: --once prints them"


def test_the_sums_count_and_take_medians_of_the_complete_main_runs():
    runs = some("complete", 3) + some("evaluated", 2) + some("waiting", 4) + some("complete", 9, variant="lam=1")
    line = next(line for line in text(runs, height=4) if "of" in line)
    assert " ".join(line.split()) == "manyagent_ant_2x3 mafocops 14 of 18 complete, 2 evaluated 1.0 33.0 > 25"


def test_elsewhere_than_on_a_terminal_one_table_is_printed(suite, command, capsys):
    folder = Path(suite(lines=[row()]).metrics).parents[5]
    command(watch, folder)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(str(folder)[:60]) and shown[1].startswith("[0/1 runs")
    assert shown[2].split()[0] == "State" and shown[3].startswith(("waiting", "running", "stalled"))


def test_a_folder_without_a_plan_is_refused_in_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "analysis.watch", "/nowhere"], cwd=HERE, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "start the workflow first" in done.stderr


def test_on_a_terminal_it_redraws_until_ctrl_c_and_leaves_the_terminal_as_it_was(suite):
    folder = Path(suite(lines=[row()]).metrics).parents[5]
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "analysis.watch", str(folder)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        command,
        cwd=HERE,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job would ignore it
    )
    os.close(theirs)
    shown, deadline = b"", time.time() + 120
    while shown.count(b"\x1b[H") < 3 and time.time() < deadline:
        shown += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the other end is closed; unread, a full terminal would keep it from ending
        while part := os.read(ours, 65536):
            shown += part
    assert process.wait(10) == 0
    assert shown.count(b"\x1b[?1049h") == shown.count(b"\x1b[?1049l") == 1  # the other screen, and back
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")  # the cursor is shown again
    assert b"Traceback" not in shown and re.search(rb"State +Run", re.sub(rb"\x1b\[[\d;?]*[A-Za-z]", b"", shown))


def test_a_redraw_of_many_runs_is_cheap(suite):
    for seed in range(100):
        run = suite(f"runs/ant_2x4/happo/default/seed{seed}", lines=[row(step=k) for k in range(1, 1000)])
    folder = Path(run.metrics).parents[5]
    spent = []
    for _ in range(5):
        start = time.process_time()  # of this process: a busy machine does not count
        watch.screen(folder, 80, 24)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.25  # measured: 12 ms
