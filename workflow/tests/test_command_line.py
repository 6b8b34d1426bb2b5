"""Snakemake as people call it: without cores, from another folder, for a picture of the rules."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from algorithms.core.config import Config, parse
from algorithms.run.lock import locked
from algorithms.train import arguments
from workflow import lock
from workflow.numbers import whole
from workflow.suite import load
from workflow.tests.conftest import TINY

CONDA = """#!/bin/sh
case "$*" in
--version) echo conda 25.3.1 ;;
*priority*) echo '{"get": {"channel_priority": "strict"}}' ;;
*) echo '{"conda_prefix": "/opt/conda", "platform": "linux-64", "channels": []}' ;;
esac
"""


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--summary", "results/tiny/figures/figure2.svg\t-\tfigure\t-\tmissing\tupdate pending"),
        ("--detailed-summary", "results/tiny/figures/figure2.svg"),
        ("--rulegraph", '"train"'),
        ("--dag", "scenario: ant_2x4"),
        ("--filegraph", "results/tiny/figures/figure2.svg"),
        ("--d3dag", '"rule": "train"'),
        ("--containerize", "FROM condaforge/miniforge3"),
        ("--list-params-changes", ""),
        ("--list-input-changes", ""),
        ("--list-rules", "efficiency"),
        ("--unlock", ""),
        ("--touch", ""),
    ],
)
def test_what_runs_no_job_needs_no_cores(project, option, words):
    conda = project.root / "bin/conda"  # there need not be one here; --containerize asks it for its version
    conda.parent.mkdir()
    conda.write_text(CONDA)
    conda.chmod(0o755)
    project.environment["PATH"] += f"{os.pathsep}{conda.parent}"
    done = project.snakemake(option)
    assert done.returncode == 0 and words in done.stdout, done.stdout[-2000:]
    assert not project.calls()


def elsewhere(project, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake from another folder than the repository's."""
    configfile = folder / "tiny.yaml"
    configfile.write_text(yaml.safe_dump(project.config))
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", str(configfile)]
    environment = {name: value for name, value in project.environment.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.parametrize("directory", [True, False], ids=["--directory", "--snakefile"])
def test_results_lie_where_one_wants_them_and_the_code_is_found(project, tmp_path, directory):
    scratch, called = tmp_path / "scratch disk", tmp_path / "called from"
    called.mkdir()
    if not directory:
        scratch = called
    place = ["--snakefile", str(project.root / "Snakefile"), *(["--directory", str(scratch)] if directory else [])]
    done = elsewhere(project, called, *place, "--cores", "2", "all")
    assert done.returncode == 0, done.stdout[-3000:]
    results = scratch / "results/tiny"
    for name in ("figures/figure2.svg", "tables/table3.md", "verdict.md", "report.html", "config.yaml"):
        assert (results / name).stat().st_size, name
    assert not (project.root / "results").exists() and "failed" not in done.stdout
    assert "Nothing to be done" in elsewhere(project, called, *place, "-n", "all").stdout

    command = re.search(r"<code>(snakemake [^<]*/figure2.svg [^<]*)</code>", (results / "report.html").read_text())[1]
    pasted = subprocess.run(
        [sys.executable, "-m", *shlex.split(command), "-n"], cwd=scratch, text=True, capture_output=True
    )
    assert "Nothing to be done" in pasted.stdout + pasted.stderr

    with (project.root / "algorithms/happo.py").open("a") as file:
        file.write("\n# edited\n")
    stale = elsewhere(project, called, *place, "-n", "figure2").stdout
    assert set(re.findall(r"^train +(\d+)$", stale, re.MULTILINE)) == {"1"}, stale


def test_a_rule_of_ones_own_is_found_from_any_folder(project, tmp_path):
    (project.root / "other.smk").write_text(
        'use rule train as train_other with:\n    wildcard_constraints:\n        algorithm="other",\n'
    )
    (project.root / "algorithms/other.py").touch()
    project.config |= {"algorithms": ["happo", "other"], "extra_algorithms": {"other": "other.smk"}}
    done = elsewhere(project, tmp_path, "--snakefile", str(project.root / "Snakefile"), "-n", "figure2")
    assert done.returncode == 0 and "train_other" in done.stdout, done.stdout[-2000:]


@pytest.mark.parametrize(
    ("text", "number"), [("1e6", 10**6), ("2.5e6", 2500000), ("1_000", 1000), ("7", 7), ("1E3", 1000), ("30e-1", 3)]
)
def test_a_number_of_steps_is_written_as_people_write_it(text, number):
    assert whole(text) == number
    parsed = arguments().parse_args(["--scenario", "ant_2x4", "--algorithm", "happo", "--steps", text])
    assert parsed.steps == number and isinstance(parsed.steps, int)
    assert parse(Config, {"rollout_length": text}).rollout_length == number
    suite = {"steps": text, "efficiency": TINY["efficiency"] | {"steps": text}}
    made = load(FULL | suite | {"settings": {"happo": {"all": {"rollout_length": text}}}})
    assert made.steps == made.efficiency["steps"] == number
    assert made.settings["happo"]["all"]["rollout_length"] == number


@pytest.mark.parametrize("text", ["1.5", "1e", "", "nan", "inf", "1e400", "1e-3", "ten"])
def test_what_is_no_whole_number_is_named(text):
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is not a whole number")):
        whole(text)


PAPER = yaml.safe_load((Path(__file__).parents[1] / "config/paper.yaml").read_text())
FULL = PAPER | TINY | {"grids": PAPER["grids"]}
LEFT_OUT = ["settings", "grids", "efficiency", "legacy", "evaluation", "videos", "benchmark", "environment"]


@pytest.mark.parametrize("part", [*LEFT_OUT, "extra_algorithms", "note"])
def test_null_leaves_any_part_out(part):
    assert not getattr(load(FULL | {part: None}), part)


@pytest.mark.parametrize(
    ("part", "inside", "left"),
    [
        ("grids", {"lam": None}, {}),
        ("environment", {"walls": None, "costs": "separate"}, {"costs": "separate"}),
        ("settings", {"happo": None}, {"happo": {}}),
        ("settings", {"happo": {"ant": None}}, {"happo": {"ant": {}}}),
        ("settings", {"happo": {"ant": {"gamma": None, "clip": 0.1}}}, {"happo": {"ant": {"clip": 0.1}}}),
        ("extra_algorithms", {"other": None}, {}),
    ],
)
def test_null_leaves_out_what_is_inside_a_part(part, inside, left):
    assert getattr(load(FULL | {part: inside}), part) == left


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"stepz": None}, "unknown key 'stepz'"),
        ({"steps": None}, "the key 'steps' is missing"),
        ({"settings": {"hapo": None}}, "unknown algorithm in settings 'hapo'"),
        ({"settings": {"happo": {"ant": {"gama": None}}}}, "unknown setting settings.happo.ant.gama: 'gama'"),
        (
            {"grids": {"lam": {"algorithm": "mafocops", "values": None, "scenarios": ["ant_2x4"]}}},
            "'values' is missing",
        ),
    ],
)
def test_null_hides_no_mistake(config, sentence):
    with pytest.raises(ValueError, match=sentence):
        load(FULL | config)


def test_a_suite_of_main_runs_alone_makes_its_figures_and_a_later_file_brings_a_part_back(project):
    project.config |= dict.fromkeys(("grids", "efficiency", "legacy", "evaluation", "videos", "benchmark"))
    done = project.snakemake("--cores", "2", "all")
    assert done.returncode == 0, done.stdout[-3000:]
    assert len(project.calls()) == 2 and not project.calls("evaluations")
    for name in ("figures/figure2.svg", "tables/comparison.md", "report.html", "verdict.md"):
        assert (project.root / "results/tiny" / name).stat().st_size, name
    refused = project.snakemake("-n", "evaluations")
    assert "the suite tiny has no runs for evaluations" in refused.stdout and refused.returncode == 1
    (project.root / "more.yaml").write_text(yaml.safe_dump({"grids": {"lam": TINY["grids"]["lam"]}}))
    back = project.run("snakemake", "-n", "all", "--configfile", "tiny.yaml", "more.yaml")
    assert "tables/table3.md" in back.stdout


def test_a_run_continued_on_other_instructions_says_so(tmp_path):
    def train(steps):
        command = [sys.executable, "-m", "algorithms.train", "--scenario", "ant_2x4", "--algorithm", "happo"]
        command += ["--steps", steps, "--output", str(tmp_path), "--set", "num_envs=2", "rollout_length=50"]
        done = subprocess.run(command, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "instructions" not in train("1e2")
    path = tmp_path / "run.json"
    record = json.loads(path.read_text())
    assert record["hardware"]["capability"]
    assert "instructions" not in train("2e2")
    record["hardware"]["capability"] = "Z80"
    path.write_text(json.dumps(record))
    assert "was begun with Z80 instructions" in train("3e2")


def test_a_system_without_file_locks_refuses_the_workflow_and_not_a_single_run(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    with pytest.raises(ValueError, match=r"the workflow needs bash and file locks, which .* lacks: use WSL or Linux"):
        lock.hold(tmp_path / "suite")
    assert not (tmp_path / "suite").exists() and not lock.held(tmp_path)
    with locked(tmp_path / "run"):
        assert not (tmp_path / "run").exists()
