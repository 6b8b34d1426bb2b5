"""Event files hold what metrics.csv holds, once, however often and whenever they are brought up to date."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import tensorboard

HERE = Path(__file__).parents[2]
accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def frame(rows: int, seed: int = 0) -> pd.DataFrame:
    """Return metrics with an empty cell in the first row, as before the first episode has ended."""
    rng = np.random.default_rng(seed)
    columns = {"scenario": "ant_2x4", "algorithm": "happo", "variant": "lam=1,2", "seed": 0}
    iteration = np.arange(1, rows + 1)
    columns |= {"iteration": iteration, "step": 16000 * iteration, "wall_time": 2.5 * iteration, "fps": 100.0}
    table = pd.DataFrame(columns | {"episode_return": rng.normal(size=rows), "happo_clipped": rng.random(rows)})
    table.loc[0, "episode_return"] = np.nan
    return table


@pytest.fixture
def suite(tmp_path):
    """A folder with one run of 5 rows: its metrics file and the folder of its event files."""
    name = "ant_2x4/happo/lam=1,2/seed0"
    metrics = tmp_path / "suite/runs" / name / "metrics.csv"
    metrics.parent.mkdir(parents=True)
    frame(5).to_csv(metrics, index=False)
    return tmp_path / "suite", metrics, tmp_path / "suite/tensorboard" / name


def check(events: Path, metrics: Path) -> None:
    """Compare the event files of a folder with a metrics file, every scalar of every row."""
    table = pd.read_csv(metrics)
    found = accumulator.EventAccumulator(str(events), size_guidance={accumulator.TENSORS: 0})
    found.Reload()
    scalars = [name for name in table if name not in tensorboard.NO_SCALARS]
    assert sorted(found.Tags()["tensors"]) == sorted(scalars)
    for name in scalars:
        rows = table[table[name].notna()]
        events = found.Tensors(name)
        assert [event.step for event in events] == rows["step"].tolist()
        values = [event.tensor_proto.float_val[0] for event in events]
        np.testing.assert_array_equal(np.float32(values), np.float32(rows[name]))
        elapsed = np.diff([event.wall_time for event in events])
        np.testing.assert_allclose(elapsed, np.diff(rows["wall_time"]), atol=1e-3)


def copy(suite: Path) -> int:
    """Write the event files as a new call of the command does."""
    adapter = tensorboard.Adapter(suite, suite / "tensorboard")
    rows = adapter.copy()
    adapter.close()
    return rows


def test_every_number_of_every_row_is_there(suite, command, capsys):
    folder, metrics, events = suite
    command(tensorboard, folder)
    assert capsys.readouterr().out.startswith("5 new rows in ")
    check(events, metrics)


def append(metrics: Path, rows: int) -> None:
    """Let a run go on to `rows` rows; its file keeps the bytes it had."""
    done = len(pd.read_csv(metrics))
    with metrics.open("a") as file:
        file.write(frame(rows).iloc[done:].to_csv(index=False, header=False))


def test_rows_are_added_and_none_twice_while_following(suite):
    folder, metrics, events = suite
    adapter = tensorboard.Adapter(folder, folder / "tensorboard")
    counts = [adapter.copy(), adapter.copy()]
    append(metrics, 8)
    counts += [adapter.copy(), adapter.copy()]
    adapter.close()
    assert counts == [5, 0, 3, 0]
    table = pd.read_csv(metrics)
    found = accumulator.EventAccumulator(str(events), size_guidance={accumulator.TENSORS: 0})
    found.Reload()
    assert [event.step for event in found.Tensors("fps")] == table["step"].tolist()


def test_another_call_writes_everything_anew_and_nothing_twice(suite):
    folder, metrics, events = suite
    counts = [copy(folder), copy(folder)]
    append(metrics, 8)
    assert [*counts, copy(folder)] == [5, 5, 8]
    check(events, metrics)
    assert len(list(events.iterdir())) == 1


def test_following_writes_one_file_as_long_as_rows_come_and_keeps_none_open(suite):
    folder, metrics, events = suite
    adapter = tensorboard.Adapter(folder, folder / "tensorboard")
    for rows in (6, 7, 8):
        append(metrics, rows)
        adapter.copy()
    assert len(list(events.glob("events.out.tfevents.*"))) == 1
    adapter.copy()  # nothing new: the file is closed
    append(metrics, 9)
    adapter.copy()
    adapter.close()
    assert len(list(events.glob("events.out.tfevents.*"))) == 2


def test_a_line_that_is_still_being_written_waits(suite):
    folder, metrics, _ = suite
    whole = metrics.read_bytes()
    metrics.write_bytes(whole[:-7])
    adapter = tensorboard.Adapter(folder, folder / "tensorboard")
    assert adapter.copy() == 4
    metrics.write_bytes(whole)
    assert adapter.copy() == 1
    adapter.close()


@pytest.mark.parametrize("again", ["one process", "a process each"])
@pytest.mark.parametrize("rows", [3, 5, 9])
def test_a_run_made_again_is_written_anew(suite, rows, again):
    folder, metrics, events = suite
    adapter = tensorboard.Adapter(folder, folder / "tensorboard")
    step = adapter.copy if again == "one process" else lambda: copy(folder)
    step()
    frame(rows, seed=1).to_csv(metrics, index=False)
    assert step() == rows
    adapter.close()
    check(events, metrics)


def test_a_run_set_aside_is_left_out(suite):
    folder, metrics, events = suite
    aside = metrics.parent.with_name("seed0.stale-1")
    aside.mkdir()
    (aside / "metrics.csv").write_bytes(metrics.read_bytes())
    assert copy(folder) == 5
    assert [path.name for path in events.parent.iterdir()] == ["seed0"]


def test_a_failed_run_has_no_events_and_a_foreign_one_needs_no_time(suite):
    folder, metrics, events = suite
    metrics.write_text("scenario,algorithm,step,episode_return\n")
    assert copy(folder) == 0 and not events.exists()
    metrics.write_text("scenario,algorithm,step,episode_return\nant_2x4,happo,100,3.5\n")
    assert copy(folder) == 1


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=HERE, capture_output=True, text=True)


def test_without_the_package_a_sentence_says_how_to_get_it(suite):
    code = "import sys; sys.modules['tensorboard.summary'] = None; from analysis import files, tensorboard as t; "
    done = run("-c", f"{code} sys.argv = ['t', {str(suite[0])!r}]; files.command(t.main)")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "pip install" in done.stderr


def test_what_is_no_suite_is_refused_in_one_sentence(suite):
    folder, metrics, _ = suite
    assert "is no folder" in run("-m", "analysis.tensorboard", "nowhere").stderr
    metrics.write_text("hello\nworld\n")
    done = run("-m", "analysis.tensorboard", str(folder))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and str(metrics) in done.stderr


def test_neither_torch_nor_tensorflow_is_imported(suite):
    code = "import sys; from analysis import tensorboard as t; sys.argv = ['t', sys.argv[1]]; t.main()"
    done = run("-c", f"{code}; print(sorted({{'torch', 'tensorflow', 'mujoco'}} & set(sys.modules)))", str(suite[0]))
    assert done.stdout.endswith("[]\n"), done.stderr
