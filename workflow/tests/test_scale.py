"""Suites of made-up runs: Snakemake takes them for finished, and its dry run grows as they do."""

import csv
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from workflow import layout, sources
from workflow.tests.fabricate import LEVELS

REFERENCE = sources.ROOT / "results/reference/two_million"


def fabricate(root: Path, *options: str) -> Path:
    """Make a suite up and return its folder."""
    command = [sys.executable, "-m", "workflow.tests.fabricate", "--root", str(root), *options]
    subprocess.run(command, cwd=sources.ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return root / "results/fabricated"


def dry_run(root: Path) -> str:
    """Return what a dry run of all artefacts says."""
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "2", "--configfile", "fabricated.yaml"]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def cpu_time() -> float:
    """Return the seconds of processor time that ended child processes have taken: a busy machine does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("records", [[], ["--records"]])
def test_a_made_up_suite_is_finished_but_for_its_artefacts(tmp_path, records):
    smoke = str(sources.ROOT / "workflow/config/smoke.yaml")
    folder = fabricate(tmp_path, "--seeds", "2", "--rows", "1", "--configfile", smoke, *records)
    said = dry_run(tmp_path)
    assert "No run is ahead" in said and "comparison" in said
    assert ("missing provenance" in said) == (not records)
    runs = list(layout.found(folder))
    assert {place.seed for place, _ in runs} == {0, 1}
    for _, path in runs:
        assert len(rows(path)) == 1 and path.with_name("run.json").exists()
        assert rows(path.with_name(layout.EVALUATION))


def test_made_up_numbers_are_skewed_and_in_the_columns_of_real_ones(tmp_path):
    folder = fabricate(tmp_path, "--seeds", "9", "--rows", "40")
    for algorithm in LEVELS:
        real = next(path for place, path in layout.found(REFERENCE) if place.algorithm == algorithm)
        made = [path for place, path in layout.found(folder) if place.algorithm == algorithm]
        names = [list(rows(path)[0]) for path in (real, made[0])]
        assert len(names[0]) == len(names[1])
        assert [n for n in names[0] if not n.startswith(algorithm)] == names[1][:24]
        returns = [float(rows(path)[-1]["episode_return"]) for path in made]
        assert statistics.mean(returns) > 1.05 * statistics.median(returns)


@pytest.mark.slow
def test_a_dry_run_of_5550_runs_takes_less_than_half_a_minute_of_processor_time(tmp_path):
    fabricate(tmp_path, "--seeds", "50", "--rows", "1", "--records")
    before = cpu_time()
    assert "No run is ahead" in dry_run(tmp_path)
    assert cpu_time() - before < 30  # measured: 14 s
