"""The profile for SLURM on a real cluster, be it of one node: `.ci/slurm` sets one up and runs this."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from analysis.manifest import law_hash
from workflow import progress, sources
from workflow.tests.conftest import wait_for

SMOKE = yaml.safe_load((sources.ROOT / "workflow/config/smoke.yaml").read_text())
PROFILE = ("--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "3")


def queued(pattern: str) -> str | None:
    """Return the number of the running job whose comment, Snakemake's name of it, matches."""
    listed = subprocess.run(["squeue", "--noheader", "--states=R", "--format=%i %k"], capture_output=True, text=True)
    found = re.search(rf"^(\d+) .*{pattern}", listed.stdout, re.MULTILINE)
    return found and found.group(1)


@pytest.mark.cluster
def test_the_smoke_suite_on_slurm_with_a_job_cancelled_in_the_middle(real_projects):
    project, other = real_projects
    assert shutil.which("squeue"), "there is no SLURM here: see .ci/slurm"
    # Enough iterations for a job to be cancelled between two of them.
    project.config = SMOKE | {"settings": {"all": {"all": {"num_envs": 2, "rollout_length": 200}}}, "steps": 8000}
    started = time.time()
    # A job that asks for more than a node has would wait for ever: timing runs take all of its cores, and no more.
    cores = subprocess.run(["sinfo", "--noheader", "--format=%c"], capture_output=True, text=True).stdout.strip()
    process = project.start(*PROFILE, "--cores", cores, "all")
    run = project.root / "results/smoke/runs/ant_2x4/happo/default/seed0"
    wait_for(lambda: int((progress.last_row(run / "metrics.csv") or {}).get("iteration", 0)) >= 3, process, 400)
    job = queued("ant_2x4_happo")
    before = progress.last_row(run / "metrics.csv")["iteration"]
    subprocess.run(["scancel", job], check=True)
    assert process.wait(timeout=500) == 0, (project.root / "output").read_text()[-3000:]
    log = (run / "train.log").read_text()
    attempts = [line for line in log.splitlines() if line.startswith("--- ")]
    steps = [int(step) for step in re.findall(r": step (\d+),", log)]
    print(f"\n{time.time() - started:.0f} s; job {job} cancelled after iteration {before}; {len(attempts)} attempts")
    said = rf"SLURM jobid {job} |SLURM-job '{job}'|Trying to restart|steps \("
    print(
        *(line[:100] for line in (project.root / "output").read_text().splitlines() if re.search(said, line)), sep="\n"
    )
    print(log)
    assert len(attempts) == 2
    assert steps == [400 * i for i in range(1, 21)]  # no iteration was made twice, none is missing
    # A run never interrupted, from the command that the log shows.
    command = attempts[0].split(" ", 3)[3].split()
    alone = other.run(sys.executable, *command[1:])
    assert alone.returncode == 0, alone.stdout
    assert law_hash(run / "metrics.csv") == law_hash(other.root / run.relative_to(project.root) / "metrics.csv")
    results = project.root / "results/smoke"
    assert all((results / f"figures/figure{i}.svg").stat().st_size for i in (2, 3, 6))
    assert all("none missing" in path.read_text() for path in Path(results / "figures").glob("*.caption.txt"))
