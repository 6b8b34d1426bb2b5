"""Snakemake as people call it: without cores, from another folder, for a picture of the rules."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
    project.config |= {"algorithms": ["happo", "other"], "extra_algorithms": {"other": "other.smk"}}
    done = elsewhere(project, tmp_path, "--snakefile", str(project.root / "Snakefile"), "-n", "figure2")
    assert done.returncode == 0 and "train_other" in done.stdout, done.stdout[-2000:]
