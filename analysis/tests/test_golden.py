"""Every CSV in results/reference that has its runs beside it is redrawn from them, and comes out byte for byte.

Whoever changes a number on purpose writes what `redraw` makes over the committed files, and says why in the commit.
"""

import csv
import re
from pathlib import Path

import pandas as pd
import pytest

from analysis import __main__ as driver
from analysis import curves, results, verdict
from envs.scenarios import SCENARIOS
from workflow.layout import DEFAULT

REFERENCE = Path(__file__).parents[2] / "results/reference"
NOTES = {
    "two_million": "Two million steps, a fifth of the paper's.",
    "ten_million": "Two seeds.",
    "paper": "HalfCheetah 2x3: default runs have three of the paper's five seeds, all others one; "
    "of all runs those done so far.",
    "foreign_1m": "Gymnasium-Robotics' tasks with Safety-Gymnasium's velocity cost.",
    "hands_10m": "Settings of workflow/config/hands_cpu.yaml. Environment options: fall=continue.",
    "hands_5m": "Settings of workflow/config/hands_cpu.yaml. Environment options: fall=continue.",
}
SCENARIO = "halfcheetah_2x3"
# What has no runs beside it: the quick suite, and the benchmark of which only the summary is kept.
WITHOUT_RUNS = {"quick", "benchmark"}
RUNS = {"runs", "efficiency", "1m", "2m", "4m", "5m", "10m"}  # folders of runs
TIMED = ("table1", "table2", "iteration_time")
CALLED = {
    "ant_2x4_2m": "figure2",
    "legacy_2m": "legacy",
    "hands_10m": "figure_hands",
    "hands_5m": "figure_hands",
    "foreign_1m": "foreign",
}  # artefacts whose file has another name
PANELS, GRIDS = ("figure2", "figure3"), ("table3", "table4")
ONLY = {"figure6": {"mafocops"}, "table3": {"happo", "mafocops"}, "table4": {"happo", "mafocops"}}


def committed():
    """Return the CSVs of results/reference that can be redrawn, relative to it."""
    found = (path.relative_to(REFERENCE) for path in sorted(REFERENCE.rglob("*.csv")))
    return [path for path in found if path.parts[0] not in WITHOUT_RUNS and not RUNS & set(path.parts)]


def inputs(path):
    """Return the metrics files that an artefact was made from, in the order of its suite."""
    name = path.stem
    if path.parts[0] == "learning":
        folder = {
            "ant_2x4_2m": "2m/ant_2x4",
            "legacy_2m": f"2m/{SCENARIO}",
            "hands_10m": "10m/shadowhandover",
            "hands_5m": "5m/shadowhandreorientation",
            "foreign_1m": "1m/mamujoco_ant_2x4",
        }[name]
        variants = ("default", "legacy") if name == "legacy_2m" else ("default",)
        return [p for v in variants for p in in_order(REFERENCE.glob(f"learning/{folder}/*/{v}/*/metrics.csv"))]
    if name in TIMED:  # ten million steps were not timed again
        return in_order(REFERENCE.glob("two_million/efficiency/*/*/*/*/metrics.csv"))
    found = in_order(REFERENCE.glob(f"{path.parts[0]}/runs/*/*/*/*/metrics.csv"))
    if name in PANELS:
        found = [p for p in found if SCENARIOS[p.parts[-5]].figure == name]
    if name in GRIDS:
        found = [p for p in found if {"ant_2x4", SCENARIO} & set(p.parts)]
    if name in curves.BESIDE:  # where both settings were run
        other = [p for p in found if re.fullmatch(curves.BESIDE[name], p.parts[-3])]
        found = in_order({*other, *(p.parents[2] / DEFAULT / p.parent.name / p.name for p in other)})
    return [p for p in found if ONLY.get(name, set(results.LABELS)) & set(p.parts)]


def in_order(paths):
    """Return metrics files in the order of a suite: algorithm by algorithm as in the legends, then seeds."""
    ranks = {name: rank for rank, name in enumerate(results.LABELS)}
    return sorted(paths, key=lambda path: ([ranks[part] for part in path.parts if part in ranks], path))


def redraw(path, base, command):
    """Make the artefact of a committed CSV anew as `base` and what belongs beside it."""
    name, metrics = CALLED.get(path.stem, path.stem), inputs(path)
    evaluations = [file.with_name("evaluation.csv") for file in metrics]
    end = ["--note", NOTES.get(path.stem, NOTES.get(path.parts[0], "")), "--output", base]
    if name == "verdict":
        suite = REFERENCE / path.parts[0]
        tables = sorted(suite.glob("tables/table?.csv"))
        command(driver, name, *tables, *metrics, suite / "manifest.json", *end[2:])
    else:
        files = {"evaluation": evaluations, "comparison": [*metrics, *evaluations]}.get(name, metrics)
        command(driver, name, *files, *end)


def test_there_is_something_to_redraw():
    names = {path.stem for path in committed()}
    assert len(committed()) >= 30
    assert names >= {"figure3", "figure6", "legacy_2m", "pareto", "comparison", "evaluation", "table1", "verdict"}


@pytest.fixture
def forgetful():
    """Let the process forget tasks of other projects, which a run's record has told of."""
    known = set(SCENARIOS)
    yield
    for name in set(SCENARIOS) - known:
        del SCENARIOS[name]


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("path", committed(), ids=str)
def test_redrawn_artefact_is_the_committed_one(path, tmp_path, command):
    """Numbers, Markdown and caption alike; drawings hold the same numbers and depend on fonts, so they are left out."""
    redraw(path, tmp_path / path.stem, command)
    for suffix in (".csv", ".md", ".caption.txt"):
        old, new = (folder / f"{path.stem}{suffix}" for folder in ((REFERENCE / path).parent, tmp_path))
        assert old.exists() == new.exists()
        assert not old.exists() or new.read_bytes() == old.read_bytes(), old


def test_redrawn_benchmark_is_the_committed_one(tmp_path, command):
    """Its measurements are kept to six digits, so the times that are differences of them agree to fewer."""
    path = REFERENCE / "benchmark/benchmark.csv"
    with path.open() as file:
        header, *rows = csv.reader(file)
    given = len(results.MEASURED)
    for i, row in enumerate(rows):
        lines = [",".join(cells[:given]) + "\n" for cells in (header, row)]
        (tmp_path / f"{i}.csv").write_text("".join(lines))
    files = [tmp_path / f"{i}.csv" for i in range(len(rows))]
    command(driver, "benchmark", *files, "--output", tmp_path / "benchmark")
    old, new = pd.read_csv(path, dtype=str), pd.read_csv(tmp_path / "benchmark.csv", dtype=str)
    pd.testing.assert_frame_equal(new[header[:given]], old[header[:given]])
    pd.testing.assert_frame_equal(new[header[given:]].astype(float), old[header[given:]].astype(float), rtol=1e-4)


def test_what_the_verdict_says_of_the_tables_of_the_quick_suite_is_what_is_committed():
    """Its runs are not committed, so what it says of the figures cannot be made again."""
    files = sorted(str(path) for path in REFERENCE.glob("quick/tables/table?.csv"))
    committed, again = (
        {part.partition("\n")[0]: part.strip() for part in text.split("\n## ")}
        for text in ((REFERENCE / "quick/verdict.md").read_text(), verdict.make("verdict", files).more)
    )
    heads = [f"Table {i}" for i in range(1, 5)]
    assert [again[head] for head in heads] == [committed[head] for head in heads]
