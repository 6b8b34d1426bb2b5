"""What ends a suite too early never costs more than its time, and what changes makes again just what it touches."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workflow.tests.conftest import TINY, Project, wait_for


def kill(process: subprocess.Popen) -> None:
    """End Snakemake and everything it has started at once, as a power failure would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ahead(project: Project, *targets: str) -> set[str]:
    """Return what a dry run would train, time or draw: "ant_2x4 happo default 0", "... 0 timed", "figure2"."""
    done = project.snakemake("-n", *targets)
    assert done.returncode == 0, done.stdout[-2000:]
    found = re.findall(
        r"^(?:local)?rule (\w+):\n(?:    (?!wildcards).*\n)*(?:    wildcards: (.*)\n)?", done.stdout, re.M
    )
    values = [[pair.partition("=")[2] for pair in wildcards.split(", ")] for _, wildcards in found]
    ends = [["timed"] if rule == "efficiency" else [] for rule, _ in found]
    return {" ".join(value + end) or rule for (rule, _), value, end in zip(found, values, ends, strict=True)}


def append(name: str, text: str) -> Callable[[Project], None]:
    """Return a change that appends to a file."""
    return lambda project: (project.root / name).open("a").write(text)


def swap(name: str, old: str, new: str) -> Callable[[Project], None]:
    """Return a change that replaces a piece of a file."""
    return lambda project: (project.root / name).write_text((project.root / name).read_text().replace(old, new))


def config(**values) -> Callable[[Project], None]:
    """Return a change of keys of the configuration."""
    return lambda project: project.config.update(values)


def grid(name: str, values: list) -> Callable[[Project], None]:
    """Return a change of a grid's values."""
    return lambda project: project.config["grids"][name].update(values=values)


MAFOCOPS = {"ant_2x4 mafocops default 0", "ant_2x4 mafocops lam=1 0", "ant_2x4 mafocops nu_max=inf 0"}
MAFOCOPS |= {"ant_2x4 mafocops safety_bound=25 0"}
OTHERS = {"ant_2x4 happo default 0", "ant_2x4 macpo default 0", "ant_2x4 macpo legacy 0"}
PUBLISHED_MACPO = "fraction_coef=0.3+trust_region=minibatch"
TIMING = {f"ant_2x4 {run} 0 timed" for run in ("mafocops default", "macpo default", f"macpo {PUBLISHED_MACPO}")}
NOTHING: set[str] = set()
FOLDERS = ("algorithms", "analysis", "envs", "workflow")

# A change, and the runs it makes stale; figures and tables aside.
CHANGES = {
    "the file of one algorithm": (
        append("algorithms/mafocops.py", "\n# x\n"),
        MAFOCOPS | {"ant_2x4 mafocops default 0 timed"},
    ),
    "a file of the core": (append("algorithms/core/learner.py", "\n# x\n"), MAFOCOPS | OTHERS | TIMING),
    "a task": (append("envs/ant.py", "\n# x\n"), MAFOCOPS | OTHERS | TIMING),
    "a value of a grid": (grid("lam", [2, 2.2]), {"ant_2x4 mafocops lam=2 0"}),
    "a seed more": (config(seeds=[0, 1]), {f"{name[:-1]}1" for name in MAFOCOPS | OTHERS}),
    "an algorithm more": (config(algorithms=["mafocops", "happo", "mappo"]), {"ant_2x4 mappo default 0"}),
    "a setting": (config(settings={"happo": {"all": {"gamma": 0.9}}}), {"ant_2x4 happo default 0"}),
    "the steps of timing": (lambda project: project.config["efficiency"].update(steps=200), TIMING),
    "a file touched": (lambda project: (project.root / "algorithms/core/learner.py").touch(), NOTHING),
    "all files touched": (lambda project: [path.touch() for path in project.root.rglob("*.py")], NOTHING),
    "the style of figures": (append("analysis/style.py", "\n# x\n"), NOTHING),
    "a published number": (append("analysis/paper/table1_fps.csv", "\n"), NOTHING),
    "the caption's note": (config(note="A note."), NOTHING),
    "a comment in the configuration": (append("workflow/config/paper.yaml", "\n# x\n"), NOTHING),
    "the rules' text": (swap("workflow/rules/train.smk", "device=(cpu cuda);", "device=(cpu  cuda);"), NOTHING),
    "the workflow's code": (append("workflow/attempt.py", "\n# x\n"), NOTHING),
    "the command line": (append("algorithms/train.py", "\n# x\n"), NOTHING),
    "the benchmark": (append("algorithms/benchmark.py", "\n# x\n"), NOTHING),
    "rendering": (append("envs/rendering.py", "\n# x\n"), NOTHING),
    "README": (append("README.md", "\n"), NOTHING),
}


def test_a_change_makes_stale_what_it_touches_and_no_more(project):
    (project.root / "README.md").touch()
    project.config = json.loads(json.dumps(TINY))
    original = json.dumps(project.config)
    assert project.snakemake("--cores", "2", "all_figures", "all_tables").returncode == 0
    for name, (change, expected) in CHANGES.items():
        kept = {path: path.read_bytes() for folder in FOLDERS for path in (project.root / folder).rglob("*.*")}
        change(project)
        stale = ahead(project, "all_figures", "all_tables")
        assert {run for run in stale if run.startswith("ant_2x4")} == expected, name
        drawn = {run for run in stale if re.match(r"figure|table|legacy", run)}
        assert bool(drawn) == (
            bool(expected) or name in ("the style of figures", "a published number", "the caption's note")
        )
        project.config = json.loads(original)
        for path, content in kept.items():
            if path.read_bytes() != content:
                path.write_bytes(content)
    assert not ahead(project, "all_figures", "all_tables")


def test_a_killed_snakemake_is_continued_by_the_same_command(project):
    (project.root / "slow").touch()
    first = project.start("--cores", "2", "figure2")
    folder = project.root / "results/tiny/runs/ant_2x4"
    wait_for(lambda: len(list(folder.glob("*/default/seed0/checkpoint.pt"))) == 2, first)
    kill(first)
    (project.root / "slow").unlink()
    done = project.snakemake("--cores", "2", "figure2")
    assert done.returncode == 0, done.stdout[-3000:]
    assert (project.root / "results/tiny/figures/figure2.svg").exists()
    assert len(list(folder.glob("*/default/seed0/checkpoint.pt"))) == 2  # kept for the trainer to continue from


def test_a_second_snakemake_in_the_same_results_is_refused_and_disturbs_nothing(project):
    (project.root / "slow").touch()
    first = project.start("--cores", "2", "figure2")
    wait_for(lambda: list(project.root.glob("results/tiny/runs/*/*/*/*/checkpoint.pt")), first)
    (project.root / "slow").unlink()
    second = project.snakemake("--cores", "2", "figure2")
    assert second.returncode == 1 and "Traceback (most recent" not in second.stdout
    assert f"results/tiny is being made by process {first.pid} on " in second.stdout
    assert ahead(project, "figure2") and first.poll() is None  # a dry run may always look


def test_what_cannot_be_drawn_keeps_nothing_else_from_being_drawn(project):
    targets = ("all_figures", "all_tables")
    assert project.snakemake("--cores", "2", *targets).returncode == 0
    results = project.root / "results/tiny"
    for algorithm, version in (("happo", 1), ("mafocops", 2)):
        record = results / f"runs/ant_2x4/{algorithm}/default/seed0/run.json"
        record.write_text(json.dumps({"task_version": version}))
    for path in [*(results / "figures").iterdir(), *(results / "tables").iterdir()]:
        path.unlink()
    done = project.snakemake("--cores", "2", *targets)
    assert done.returncode == 1
    made = {path.stem for path in results.glob("*/*.csv")}
    assert made == {"figure6", "iteration_time", "legacy", "table1", "table2"}  # the others set mafocops beside happo
    assert "these runs are of different task versions and cannot be compared: version 1 in results" in done.stdout
    assert "Traceback (most recent" not in done.stdout


# Real training from here on: two scenarios, two algorithms, six iterations each.
REAL = TINY | {
    "steps": 6000,
    "scenarios": ["ant_2x4", "halfcheetah_2x3"],
    "settings": {"all": {"all": {"num_envs": 2, "rollout_length": 500}}},
    "efficiency": {"scenarios": ["ant_2x4"], "algorithms": ["mafocops"], "repeats": 1, "steps": 1000},
    "legacy": None,
    "benchmark": None,
}
TARGETS = ("all_figures", "all_tables", "comparison", "verdict", "manifest")
TIMED = ("iteration_time", "table1", "table2")  # of seconds and bytes


def drawn(project: Project) -> dict[str, bytes]:
    """Return the data and captions behind all figures and tables that do not show time."""
    root = project.root / "results/tiny"
    paths = [path for folder in ("figures", "tables", ".") for path in (root / folder).glob("*.*")]
    kept = [
        path
        for path in paths
        if path.suffix in (".csv", ".txt", ".md") and not path.name.startswith((*TIMED, "verdict"))
    ]
    return {str(path.relative_to(root)): path.read_bytes() for path in kept}


def laws(project: Project) -> dict[str, str]:
    """Return the hash of every training run, time aside, from the manifest."""
    listed = json.loads((project.root / "results/tiny/manifest.json").read_text())["runs"]
    assert all(run["status"] == "complete" for run in listed)
    return {run["path"]: run["law_hash"] for run in listed if "/runs/" in run["path"]}


def half_trained(project: Project) -> list[Path]:
    """Return the runs that have a checkpoint and are not complete."""
    records = (project.root / "results/tiny/runs").glob("*/*/*/*/run.json")
    running = [path.parent for path in records if '"running"' in path.read_text()]
    return [path for path in running if (path / "checkpoint.pt").exists()]


@pytest.mark.slow
def test_a_suite_killed_three_times_draws_the_same_as_one_never_killed(real_projects):
    once, often = real_projects
    once.config = often.config = REAL
    assert once.snakemake("--cores", "2", *TARGETS).returncode == 0
    moments, resumed = random.Random(0), set()
    for _ in range(3):
        process = often.start("--cores", "2", *TARGETS)
        known = set(half_trained(often))
        wait_for(lambda known=known: set(half_trained(often)) - known, process)
        time.sleep(moments.uniform(0, 1))
        kill(process)
        resumed |= set(half_trained(often))
    done = often.snakemake("--cores", "2", *TARGETS)
    assert done.returncode == 0, done.stdout[-3000:]
    assert len(resumed) >= 3
    assert laws(once) == laws(often)
    assert drawn(once) == drawn(often) and len(drawn(once)) > 15


BREAK = """
def broken(self, i, batch, improve={name}.update_agent):
    self.updates = getattr(self, "updates", 0) + 1
    if self.updates > 2:  # there are two agents: in the second iteration
        raise RuntimeError("broken on purpose")
    return improve(self, i, batch)


{name}.update_agent = broken
"""


@pytest.mark.slow
def test_with_one_algorithm_broken_everything_else_is_drawn_and_every_caption_names_what_is_missing(real_projects):
    project = real_projects[0]
    project.config = REAL
    append("algorithms/happo.py", BREAK.format(name="HAPPO"))(project)
    done = project.snakemake("--cores", "2", *TARGETS)
    assert done.returncode == 0, done.stdout[-3000:]
    results = project.root / "results/tiny"
    assert "broken on purpose" in (results / "runs/ant_2x4/happo/default/seed0/train.log").read_text()
    assert "failed and missing from its figures: results/tiny/runs/halfcheetah_2x3/happo/default/seed0" in done.stdout
    missing = {"figure2": ["ant_2x4"], "figure3": ["halfcheetah_2x3"], "table3": ["ant_2x4"], "table4": ["ant_2x4"]}
    parts = {f"comparison_{part}" for part in ("pairs", "profile", "seeds")}
    missing |= {key: ["ant_2x4", "halfcheetah_2x3"] for key in ("comparison", "pareto", "evaluation", *parts)}
    captions = {path.name.partition(".")[0]: path.read_text() for path in results.rglob("*.caption.txt")}
    for name, scenarios in missing.items():
        named = ", ".join(f"{scenario}/happo/default (seed0)" for scenario in scenarios)
        assert f" missing (failed or not run): {named}." in captions.pop(name)
    assert "none missing" not in captions.pop("verdict")
    assert set(captions) == {"figure6", *TIMED}
    assert all("none missing" in captions[name] for name in ("figure6", *TIMED))
    with (results / "figures/figure2.csv").open() as file:
        assert {row["line"] for row in csv.DictReader(file)} == {"mafocops"}
    listed = json.loads((results / "manifest.json").read_text())["runs"]
    assert [run["path"].split("/")[4] for run in listed if run["status"] == "failed"] == ["happo", "happo"]
