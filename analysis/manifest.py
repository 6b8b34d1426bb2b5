"""The manifest of a suite: every run with its hash, its settings, and what it was made with; written and read here.

Two hashes tell runs apart: `sha256` of metrics.csv as it is, and `law_hash` without its columns of time and memory,
which agrees for the same code, settings and seed on any machine of the same kind.

    python -m analysis.manifest FILE ... --output results/paper/manifest.json
"""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from analysis import files, results
from workflow import layout
from workflow.numbers import text

MACHINE = ("wall_time", "fps", "memory_")  # how the names of columns begin that differ from machine to machine
KEPT = ("scenario", "algorithm", "variant", "seed", "steps", "task_version", "commit", "dirty", "started", "ended")
# What is said of a machine, in this order, and how.
HARDWARE = {"gpu": "{}", "cpu": "{}", "cores": "{} cores", "memory_gib": "{:g} GiB", "system": "{}", "machine": "{}"}
COMPLETE, NO_RECORD = "complete", "no record"  # algorithms of other projects leave none
_NEEDED = {"path", "status", "recorded", "sha256", "law_hash", "settings", "versions"}  # of an entry that is read back
_NEEDED |= {"algorithm", "steps", "task_version", "commit", "dirty"}
_HASH, _COMMIT = 8, 12  # digits shown in the list of runs, and of the commits above it; the manifest has all


def law_hash(metrics: Path) -> str:
    """Return the SHA-256 of a metrics file without its columns of time and memory.

    Raises:
        ValueError: it is no CSV file.
    """
    return _law_hash(files.rows(metrics, "a metrics file"))


def _law_hash(rows: list[list[str]]) -> str:
    columns = [column for column in zip(*rows, strict=True) if not column[0].startswith(MACHINE)]
    for i, column in enumerate(columns):
        if not set(files.EMPTY).isdisjoint(column):
            columns[i] = tuple("" if cell in files.EMPTY else cell for cell in column)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
    return hashlib.sha256(text.getvalue().encode()).hexdigest()


def entry(path: str) -> dict:
    """Return what the manifest says of the run whose metrics file is `path`; what is not known is None.

    Raises:
        ValueError: the metrics file or the record beside it is damaged.
    """
    metrics, found = Path(path), results.record(path)
    data = metrics.read_bytes() if metrics.exists() else None
    rows = files.rows(metrics, "a metrics file", data) if data is not None else []
    known, trained = found or {}, len(rows) > 1
    return {
        "path": path,
        "status": known.get("status") if trained else "failed" if rows else "missing",
        "sha256": hashlib.sha256(data).hexdigest() if data is not None else None,
        "law_hash": _law_hash(rows) if rows else None,
        "recorded": found is not None and trained,
        **{key: known.get(key) for key in (*KEPT, "settings", "versions", "hardware")},
    }


def runs(path: str) -> list[dict]:
    """Return the runs that a manifest lists, one `entry` each.

    Raises:
        ValueError: it is not what this module writes.
    """
    try:
        found = json.loads(Path(path).read_bytes())["runs"]
        complete = all({*run} >= _NEEDED for run in found)
    except (ValueError, RecursionError, KeyError, TypeError):
        complete = False
    if not complete:
        raise ValueError(f"{path} is not a manifest, as `python -m analysis.manifest` writes it")
    return found


class Listed(NamedTuple):
    """What the report says of the runs of a suite; every frame is a table of text as readers see it."""

    states: Mapping[str, int]  # how many runs ended how, "complete" first
    absent: Sequence[str]  # metrics files of runs that are not complete but should be
    runs: pd.DataFrame
    settings: pd.DataFrame  # of most runs of each algorithm
    machines: pd.DataFrame


def listed(path: str) -> Listed:
    """Return what a manifest says.

    Raises:
        ValueError: it is not what this module writes.
    """
    found = runs(path)
    usual = _usual(found)
    states = Counter(run["status"] or NO_RECORD for run in found)
    names = dict.fromkeys(name for settings in usual.values() for name in settings)
    settings = pd.DataFrame({results.label(name): each for name, each in usual.items()}).reindex(list(names)).fillna("")
    machines = Counter(_made_with(run) for run in found if run["versions"])
    header = ["Commit", "Task version", "Libraries", "Hardware", "Runs"]
    return Listed(
        states={name: states[name] for name in sorted(states, key=lambda name: (name != COMPLETE, name))},
        absent=[run["path"] for run in found if run["status"] in ("failed", "missing", "running")],
        runs=pd.DataFrame([_row(run, usual) for run in found]),
        settings=settings.rename_axis("Setting").reset_index(),
        machines=pd.DataFrame([[*made, str(count)] for made, count in machines.items()], columns=header),
    )


def _texts(run: Mapping) -> dict[str, str]:
    """Return the settings of a run as text."""
    return {name: text(value) for name, value in (run["settings"] or {}).items()}


def _usual(found: Sequence[Mapping]) -> dict[str, dict[str, str]]:
    """Return by algorithm the settings that most of its runs have; what comes first wins a tie."""
    counts: dict[str, dict[str, Counter]] = {}
    for run in found:
        for name, given in _texts(run).items():
            counts.setdefault(str(run["algorithm"]), {}).setdefault(name, Counter())[given] += 1
    return {
        algorithm: {name: texts.most_common(1)[0][0] for name, texts in counts[algorithm].items()}
        for algorithm in results.order(counts)
    }


def _row(run: Mapping, usual: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return one row of the list of runs."""
    common = usual.get(str(run["algorithm"]), {})
    place = layout.place_if_any(run["path"])
    return {
        "Run": place.folder if place else str(Path(run["path"]).parent),
        "Status": run["status"] or NO_RECORD,
        "Steps": f"{run['steps']:,}" if run["steps"] else "",
        "Task": str(run["task_version"] or ""),
        "Settings unlike most": " ".join(f"{name}={own}" for name, own in _texts(run).items() if common[name] != own),
        "Commit": f"{(run['commit'] or '')[:_HASH]}{'+' if run['dirty'] else ''}",
        "Law hash": (run["law_hash"] or "")[:_HASH],
        "SHA-256": (run["sha256"] or "")[:_HASH],
    }


def _made_with(run: Mapping) -> tuple[str, ...]:
    """Return what a run was made with, in words: commit, version of the task, libraries, hardware."""
    hardware = run.get("hardware") or {}
    parts = [form.format(hardware[name]) for name, form in HARDWARE.items() if hardware.get(name)]
    libraries = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    commit = f"{(run['commit'] or 'unknown')[:_COMMIT]}{' with changes not committed' if run['dirty'] else ''}"
    return commit, str(run["task_version"] or "unknown"), libraries, ", ".join(parts) or "unknown"


def main() -> None:
    """Command line."""
    parser = files.Parser(description="List every run of a suite with its hash.", fromfile_prefix_chars="@")
    parser.add_argument("metrics", nargs="+", metavar="FILE", help="metrics.csv files, or @FILE that lists them")
    parser.add_argument("--output", required=True, metavar="FILE", help="such as manifest.json")
    options = parser.parse_args()
    entries = [entry(path) for path in dict.fromkeys(options.metrics)]
    files.write(options.output, {"": json.dumps({"runs": entries}, indent=1) + "\n"})


if __name__ == "__main__":
    files.command(main)
