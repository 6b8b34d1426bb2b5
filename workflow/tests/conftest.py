"""A small copy of the repository in which training costs nothing, and a way to run Snakemake there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from workflow import sources

FAKE_TRAINER = '''
"""Writes made-up metrics; fails for the runs named in the file `broken`, and notes every call in `calls`."""
import argparse, pathlib, sys, time
parser = argparse.ArgumentParser()
for name in ("scenario", "algorithm", "variant", "seed", "steps", "threads", "device", "output"):
    parser.add_argument("--" + name)
parser.add_argument("--set", nargs="+", default=[])
parser.add_argument("--memory", action="store_true")
o = parser.parse_args()
with open("calls", "a") as file:
    print(o.scenario, o.algorithm, o.variant, o.seed, *o.set, file=file)
broken = pathlib.Path("broken")
if broken.exists() and f"{o.algorithm}/{o.variant}" in broken.read_text().split():
    sys.exit("the trainer broke")
if pathlib.Path("slow").exists():
    pathlib.Path(o.output, "checkpoint.pt").touch()
    time.sleep(60)
rows = ["scenario,algorithm,variant,seed,iteration,step,fps,episode_return,episode_cost,wall_time,memory_update_mib"]
for i in range(1, 11):
    step = int(o.steps) * i // 10
    rows.append(f"{o.scenario},{o.algorithm},\\"{o.variant}\\",{o.seed},{i},{step},500,{100 * i},{30 + i},{i},20")
pathlib.Path(o.output, "metrics.csv").write_text("\\n".join(rows) + "\\n")
'''

FAKE_BENCHMARK = '''
"""Writes a made-up measurement, and notes every call in `calls`."""
import argparse, pathlib
parser = argparse.ArgumentParser()
for name in ("scenario", "algorithm", "threads", "rounds", "device", "output"):
    parser.add_argument("--" + name)
parser.add_argument("--set", nargs="+", default=[])
o = parser.parse_args()
with open("calls", "a") as file:
    print("measure", o.scenario, o.algorithm, o.threads, o.rounds, o.device, *o.set, file=file)
header = "scenario,algorithm,threads,physics,collect,update,end_to_end,ratio,peak_rss_mib"
pathlib.Path(o.output).write_text(f"{header}\\n{o.scenario},{o.algorithm},{o.threads},4000,2000,2000,1000,0.25,300\\n")
'''

FAKE_EVALUATION = '''
"""Writes a made-up evaluation, only the header for a run that failed, and notes every call in `evaluations`."""
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("folder", type=pathlib.Path)
for name in ("episodes", "threads"):
    parser.add_argument("--" + name, type=int)
o = parser.parse_args()
with open("evaluations", "a") as file:
    print(*o.folder.parts[-4:], o.episodes, file=file)
rows = (o.folder / "metrics.csv").read_text().splitlines()
columns = "mode,episode,bound,episode_return,episode_cost,episode_length,violation,longest_unsafe"
lines = ["scenario,algorithm,variant,seed," + columns]
if len(rows) > 1:
    identity = ",".join(rows[1].split(",")[:4])
    for mode in ("stochastic", "deterministic"):
        lines += [f"{identity},{mode},{k},50,{1000 + k},{45 + k},1000,{k - 5},{10 + k}" for k in range(o.episodes)]
(o.folder / "evaluation.csv").write_text("\\n".join(lines) + "\\n")
'''

FAKE_FILM = '''
"""Writes an empty video, and notes every call in `films`."""
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("folders", type=pathlib.Path, nargs="+")
parser.add_argument("--output", type=pathlib.Path)
o = parser.parse_args()
with open("films", "a") as file:
    print(o.output.name, *("/".join(folder.parts[-4:]) for folder in o.folders), file=file)
o.output.write_bytes(b"")
'''

TINY = {
    "name": "tiny",
    "steps": 1000,
    "seeds": [0],
    "scenarios": ["ant_2x4"],
    "algorithms": ["mafocops", "happo"],
    "grids": {
        "lam": {"values": [1, 2.2], "scenarios": ["ant_2x4"]},
        "nu_max": {"values": [1.3, float("inf")], "scenarios": ["ant_2x4"]},
        "safety_bound": {"values": [25, 50], "scenarios": ["ant_2x4"]},
    },
    "efficiency": {"scenarios": ["ant_2x4"], "algorithms": ["mafocops", "macpo"], "repeats": 1, "steps": 100},
    "legacy": {"scenarios": ["ant_2x4"], "algorithms": ["macpo"]},
    "time_limit": None,
    "nu_reading": None,
    "kl_reading": None,
    "benchmark": {"scenarios": ["ant_2x4", "ant_8x1"], "algorithms": ["mafocops"], "threads": 1, "rounds": 1},
}


PUBLISHED = re.compile(" (time_limit=failure|kl_reduction=mean)(?= |$)", re.MULTILINE)  # what paper.yaml sets
WHENEVER = {"CHECKPOINT_INTERVAL": "1e-9", "CHECKPOINT_SHARE": "1e9"}  # seconds; share of the time


def wait_for(what: Callable[[], object], process: subprocess.Popen, seconds: float = 120) -> None:
    """Return once `what` is true; fail if the process ends before, or after some seconds."""
    deadline = time.time() + seconds
    while not what():
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.02)


class Project:
    """The copy: change its files, then run it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = TINY | {}
        self.started: list[subprocess.Popen] = []
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run Snakemake with `self.config`; stdout and stderr together in `stdout`."""
        (self.root / "tiny.yaml").write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "tiny.yaml"]
        return self.run(*command)

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake with `self.config` in a process group of its own, its output in the file `output`."""
        (self.root / "tiny.yaml").write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "tiny.yaml"]
        with (self.root / "output").open("a") as output:
            process = subprocess.Popen(
                command, cwd=self.root, env=self.environment, stdout=output, stderr=output, start_new_session=True
            )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Kill what was started and is still there."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def run(self, *command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, cwd=self.root, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def calls(self, kind: str = "calls") -> list[str]:
        """Return the trainings, or else the `evaluations` or `films`, since the last call of this method.

        What paper.yaml sets for all runs, or all of an algorithm, is left out.
        """
        path = self.root / kind
        lines = PUBLISHED.sub("", path.read_text()).splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(lines)


@pytest.fixture
def project(tmp_path) -> Iterator[Project]:
    """A copy with a trainer that needs no torch."""
    root = _copy(tmp_path / "project")
    (root / "algorithms/__init__.py").write_text(f"ALGORITHMS = {dict.fromkeys(sources.algorithms())}\n")
    (root / "algorithms/train.py").write_text(FAKE_TRAINER)
    (root / "algorithms/benchmark.py").write_text(FAKE_BENCHMARK)
    (root / "algorithms/evaluate.py").write_text(FAKE_EVALUATION)
    (root / "algorithms/film.py").write_text(FAKE_FILM)
    found = Project(root)
    yield found
    found.end()


@pytest.fixture
def real_project(tmp_path) -> Iterator[Project]:
    """A copy with the trainer as it is."""
    found = Project(_copy(tmp_path / "project"))
    yield found
    found.end()


@pytest.fixture
def real_projects(tmp_path) -> Iterator[tuple[Project, Project]]:
    """Two copies with the trainer as it is, but for checkpoints after every iteration."""
    roots = [_copy(tmp_path / name) for name in ("project", "other")]
    for root in roots:
        path = root / "algorithms/run/run.py"
        often = re.sub(
            r"^(CHECKPOINT_\w+) = [\d.]+",
            lambda found: f"{found[1]} = {WHENEVER[found[1]]}",
            path.read_text(),
            flags=re.M,
        )
        assert often.count("1e-9") == often.count("1e9") == 1
        path.write_text(often)
    found = tuple(map(Project, roots))
    yield found
    for each in found:
        each.end()


def _copy(root: Path) -> Path:
    """Copy what the workflow reads."""
    skip = shutil.ignore_patterns("__pycache__", "tests")
    for name in ("workflow", "profiles", "analysis", "envs", "algorithms"):
        shutil.copytree(sources.ROOT / name, root / name, ignore=skip)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(sources.ROOT / name, root / name)
    return root
