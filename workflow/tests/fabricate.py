"""Make up a finished suite of any size, to see how analysis and Snakemake grow with it.

    python -m workflow.tests.fabricate --seeds 50 --root /tmp/scale
    cd /tmp/scale && time snakemake -n --cores 2 --configfile fabricated.yaml

Writes a copy of the workflow into the folder ROOT, and there results/fabricated: metrics.csv, run.json and
evaluation.csv of every run, measurements of the benchmark, and with --records what Snakemake notes of each job. The
numbers are drawn from skewed distributions, the same at every call; nothing is trained.
"""

import argparse
import datetime
import itertools
import json
import math
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import yaml
from snakemake.utils import update_config

from envs.scenarios import SCENARIOS, TASK_VERSION, bound_of
from workflow import layout, sources
from workflow.suite import Suite, load

NAME = "fabricated"
PAPER = sources.ROOT / "workflow/config/paper.yaml"  # which every configuration extends
STEPS_PER_ROW = 16_000  # of a training run: 16 worlds of 1,000 steps
COMMON = [
    "wall_time",
    "fps_collect",
    "fps_update",
    "fps",
    "episodes",
    "episode_return",
    "episode_cost",
    "episode_length",
    "bound",
    "violation",
    "kl",
    "entropy",
    "explained_variance",
    "explained_variance_cost",
    "memory_update_mib",
    "memory_rss_mib",
    "memory_gpu_mib",
    "unstable",
]
DIAGNOSTICS = {"mafocops": 6, "macpo": 18, "mappo_l": 4, "happo": 4, "mappo": 4}  # number of further columns
LEVELS = {"mafocops": (1.0, 0.9), "macpo": (0.8, 0.95), "mappo_l": (0.9, 1.2), "happo": (1.3, 4.0), "mappo": (1.2, 3.5)}
MODES = ("stochastic", "deterministic")
# A dry run that notes every training, timing and evaluation as finished, as executing them would.
RECORDS = """
include: "Snakefile"

import asyncio

async def note_all():
    for job in workflow.dag.jobs:
        if job.rule.name in ("train", "efficiency", "evaluate"):
            await workflow.persistence.finished(job)

atexit.register(lambda: asyncio.run(note_all()))
"""


def generator(place: layout.Place) -> np.random.Generator:
    """Return the random numbers of a run."""
    return np.random.default_rng(zlib.crc32(place.folder.encode()))


def rows(place: layout.Place, steps: int) -> dict[str, np.ndarray]:
    """Return the columns of a run of `steps` environment steps, one value per iteration."""
    rng, count = generator(place), -(-steps // STEPS_PER_ROW)
    step = STEPS_PER_ROW * np.arange(1, count + 1)
    level, share = LEVELS[place.algorithm]
    bound = bound_of(place.scenario, place.variant)
    learned = 1 - np.exp(-step / 2e6)
    # a gamma distribution of shape 2 has mean 2 and median 1.68: no mean is a median
    final = 1000 * level * rng.gamma(2.0) * SCENARIOS[place.scenario].agents ** 0.5
    cost = bound * (share * rng.gamma(8.0) / 8 + (0.5 + rng.gamma(2.0, size=count) / 4) * (1 - learned))
    fps = 5000 * rng.gamma(20.0, size=count) / 20 / SCENARIOS[place.scenario].agents
    chosen = {
        "iteration": np.arange(1, count + 1),
        "step": step,
        "wall_time": np.cumsum(STEPS_PER_ROW / fps),
        "fps_collect": 2 * fps,
        "fps_update": 2 * fps,
        "fps": fps,
        "episodes": np.full(count, 16),
        "episode_return": final * learned - 40 * rng.gamma(2.0, size=count),
        "episode_cost": cost,
        "episode_length": np.full(count, 1000),
        "bound": np.full(count, bound),
        "violation": cost - bound,
        "unstable": np.zeros(count),
        "memory_gpu_mib": None,
        "memory_update_mib": rng.gamma(50.0, size=count) if place.kind == layout.TIMING else None,
    }
    further = [f"{place.algorithm}_diagnostic_{k}" for k in range(DIAGNOSTICS[place.algorithm])]
    names = ["iteration", "step", *COMMON, *further]
    return {name: chosen[name] if name in chosen else rng.lognormal(size=count) for name in names}


def metrics(place: layout.Place, steps: int) -> str:
    """Return the metrics file of a run."""
    columns = rows(place, steps)
    variant = f'"{place.variant}"' if "," in place.variant else place.variant
    cells = ("" if column is None else "%d" if column.dtype.kind == "i" else "%.8g" for column in columns.values())
    line = ",".join([place.scenario, place.algorithm, variant, str(place.seed), *cells]) + "\n"
    numbers = [column.tolist() for column in columns.values() if column is not None]
    header = ",".join(["scenario", "algorithm", "variant", "seed", *columns])
    return f"{header}\n{''.join(map(line.__mod__, zip(*numbers, strict=True)))}"


def record(suite: Suite, place: layout.Place, steps: int) -> str:
    """Return what run.json says of a run."""
    fields = sources.fields(place.algorithm)
    settings = {name: field.default for name, field in fields.items()}
    settings |= suite.settings_of(place.scenario, place.algorithm, place.variant)
    started = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    found = {
        **{name: getattr(place, name) for name in ("scenario", "algorithm", "variant", "seed")},
        "steps": steps,
        "task_version": TASK_VERSION,
        "status": "complete",
        "started": started.isoformat(),
        "ended": (started + datetime.timedelta(hours=1)).isoformat(),
        "resumes": 0,
        "wall_time": 3600.0,
        "peak_rss_mib": 300.0,
        "settings": {name: "inf" if value == math.inf else value for name, value in settings.items()},
        "commit": "0" * 40,
        "dirty": False,
        "versions": {"python": "3.11.7", "torch": "2.13.0", "mujoco": "4.0.0", "numpy": "2.4.6"},
        "hardware": {"machine": "x86_64", "cpu": "made up", "cores": 2, "memory_gib": 24.0, "device": "cpu"},
        "threads": {"physics": 1, "torch": 1},
    }
    return json.dumps(found, indent=1) + "\n"


def evaluation(place: layout.Place, episodes: int) -> str:
    """Return the evaluation file of a run."""
    rng, bound = generator(place), bound_of(place.scenario, place.variant)
    level, share = LEVELS[place.algorithm]
    head = f"scenario,algorithm,variant,seed,mode,episode,bound,{','.join(COMMON[5:8])},violation,longest_unsafe"
    lines = [head]
    for mode, episode in itertools.product(MODES, range(episodes)):
        value, cost = 1000 * level * rng.gamma(2.0), bound * share * rng.gamma(8.0) / 8
        name = f'{place.scenario},{place.algorithm},"{place.variant}",{place.seed},{mode},{episode}'
        lines.append(f"{name},{bound:g},{value:.8g},{cost:.8g},1000,{cost - bound:.8g},{rng.geometric(0.1)}")
    return "\n".join(lines) + "\n"


def measurement(place: layout.Place) -> str:
    """Return a measurement of the benchmark."""
    fps = 5000 * generator(place).gamma(20.0, size=3) / 20
    head = "scenario,algorithm,threads,physics,collect,update,end_to_end,ratio,peak_rss_mib"
    end = 1 / (1 / fps[1] + 1 / fps[2])
    numbers = f"{4 * fps[0]:.8g},{fps[1]:.8g},{fps[2]:.8g},{end:.8g},{end / fps[0] / 4:.8g},300"
    return f"{head}\n{place.scenario},{place.algorithm},1,{numbers}\n"


def suite_of(configuration: Path, seeds: int, name: str = NAME) -> tuple[dict, Suite]:
    """Return a configuration with so many seeds, as it is written and checked."""
    config = yaml.safe_load(PAPER.read_text())
    update_config(config, yaml.safe_load(configuration.read_text()))
    config |= {"name": name, "seeds": list(range(seeds)), "videos": None}
    return config, load(json.loads(json.dumps(config)))


def write(path: str, content: str) -> None:
    """Write a file in a folder that need not exist."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content)


def fabricate(root: Path, suite: Suite, rows: int | None = None) -> int:
    """Write the files of a finished suite below `root` and return the number of its runs.

    Args:
        root: folder of the project.
        suite: what to make.
        rows: iterations of each training run; default: as many as the suite's steps need.
    """
    folder, count = str(root / suite.folder), 0
    for place in runs_of(suite):
        steps = suite.efficiency["steps"] if place.kind == layout.TIMING else suite.steps
        kept = steps if rows is None or place.kind == layout.TIMING else min(steps, rows * STEPS_PER_ROW)
        write(place.file(folder), metrics(place, kept))
        write(place.file(folder, "run.json"), record(suite, place, kept))
        if place.kind == layout.TRAINING:
            write(place.file(folder, layout.EVALUATION), evaluation(place, suite.evaluation["episodes"]))
        count += 1
    for scenario, algorithm in itertools.product(
        suite.benchmark.get("scenarios", ()), suite.benchmark.get("algorithms", ())
    ):
        place = layout.Place(layout.BENCHMARK, scenario, algorithm)
        write(place.file(folder, layout.MEASUREMENT), measurement(place))
    return count


def runs_of(suite: Suite) -> list[layout.Place]:
    """Return every training and timing run of a suite."""
    from workflow import artefacts

    return [layout.place_of(path) for path in artefacts.every(suite)]


def project(root: Path) -> None:
    """Copy what the workflow reads into `root`."""
    skip = shutil.ignore_patterns("__pycache__")
    for name in ("workflow", "profiles", "analysis", "envs", "algorithms"):
        shutil.copytree(sources.ROOT / name, root / name, ignore=skip, dirs_exist_ok=True)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(sources.ROOT / name, root / name)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m workflow.tests.fabricate", description="Make up a finished suite.")
    parser.add_argument("--seeds", type=int, default=5, help="of every run; 50 make 5,550 training runs of the paper's")
    parser.add_argument("--rows", type=int, help="iterations of each training run; default: as the paper's, 625")
    parser.add_argument("--configfile", type=Path, default=PAPER)
    parser.add_argument("--root", type=Path, required=True, help="folder to make it in, outside the repository")
    parser.add_argument("--records", action="store_true", help="have Snakemake note each job as finished")
    options = parser.parse_args()
    config, suite = suite_of(options.configfile, options.seeds)
    options.root.mkdir(parents=True, exist_ok=True)
    project(options.root)
    (options.root / f"{NAME}.yaml").write_text(yaml.safe_dump(config))
    print(f"{fabricate(options.root, suite, options.rows)} runs in {options.root / suite.folder}", flush=True)
    if options.records:
        (options.root / "records.smk").write_text(RECORDS)
        command = [sys.executable, "-m", "snakemake", "all", "-n", "-s", "records.smk", "--configfile", f"{NAME}.yaml"]
        subprocess.run(command, cwd=options.root, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
