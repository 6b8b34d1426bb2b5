"""What the report says of the runs, read from the manifest: how they ended, their settings, and their machines."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from analysis import style
from analysis.markup import Table

COMPLETE = "complete"
_NEEDED = ("path", "status", "settings", "versions", "commit", "dirty", "task_version", "steps", "law_hash", "sha256")
_HASH, _COMMIT = 8, 12  # digits shown in the list of runs, and of the commits above it; the manifest has all


@dataclass(frozen=True)
class Provenance:
    """The runs of a suite: one row each, their settings, and the machines and versions that made them."""

    states: Mapping[str, int]  # how many runs ended how, "complete" first
    absent: Sequence[str]  # metrics files of runs that are not complete but should be
    runs: Table
    settings: Table  # of most runs of each algorithm
    machines: Table


def read(path: str) -> Provenance:
    """Return what a manifest says.

    Raises:
        ValueError: it is not what `python -m analysis.manifest` writes.
    """
    try:
        runs = json.loads(Path(path).read_bytes())["runs"]
        complete = all(name in run for run in runs for name in _NEEDED)
    except (ValueError, RecursionError, KeyError, TypeError):
        complete = False
    if not complete:
        raise ValueError(f"{path} is not a manifest, as `python -m analysis.manifest` writes it")
    usual = _usual(runs)
    states = Counter(_state(run) for run in runs)
    return Provenance(
        states={name: states[name] for name in sorted(states, key=lambda name: (name != COMPLETE, name))},
        absent=[run["path"] for run in runs if run["status"] in ("failed", "missing", "running")],
        runs=_runs(runs, usual),
        settings=_settings(usual),
        machines=_machines(runs),
    )


def _state(run: Mapping) -> str:
    """Return how a run ended; algorithms of other projects leave no record."""
    return run["status"] or "no record"


def _text(value: object) -> str:
    """Return a setting as on a command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _usual(runs: Sequence[Mapping]) -> dict[str, dict[str, str]]:
    """Return by algorithm the settings that most of its runs have; what comes first wins a tie."""
    counts: dict[str, dict[str, Counter]] = {}
    for run in runs:
        for name, value in (run["settings"] or {}).items():
            counts.setdefault(str(run["algorithm"]), {}).setdefault(name, Counter())[_text(value)] += 1
    return {
        algorithm: {name: values.most_common(1)[0][0] for name, values in counts[algorithm].items()}
        for algorithm in style.order(counts)
    }


def _settings(usual: Mapping[str, Mapping[str, str]]) -> Table:
    """Return one row per setting and one column per algorithm."""
    names = dict.fromkeys(name for settings in usual.values() for name in settings)
    rows = [[name, *(settings.get(name, "") for settings in usual.values())] for name in names]
    return Table(["Setting", *map(style.label, usual)], rows)


def _runs(runs: Sequence[Mapping], usual: Mapping[str, Mapping[str, str]]) -> Table:
    """Return one row per run."""
    rows = []
    for run in runs:
        settings = {name: _text(value) for name, value in (run["settings"] or {}).items()}
        changed = [f"{name}={value}" for name, value in settings.items() if usual[str(run["algorithm"])][name] != value]
        commit = f"{(run['commit'] or '')[:_HASH]}{'+' if run['dirty'] else ''}"
        numbers = [f"{run['steps']:,}" if run["steps"] else "", str(run["task_version"] or "")]
        hashes = [(run[name] or "")[:_HASH] for name in ("law_hash", "sha256")]
        rows.append([_name(run["path"]), _state(run), *numbers, " ".join(changed), commit, *hashes])
    header = ["Run", "Status", "Steps", "Task", "Settings unlike most", "Commit", "Law hash", "SHA-256"]
    return Table(header, rows)


def _name(path: str) -> str:
    """Return the folder of a run below that of the suite, as far as the layout is ours."""
    parts = PurePosixPath(path).parent.parts
    start = max((i for i, part in enumerate(parts) if part in ("runs", "efficiency")), default=0)
    return "/".join(parts[start:])


def _machines(runs: Sequence[Mapping]) -> Table:
    """Return one row per combination of commit, version of the task, libraries and hardware."""
    made = Counter(_made_with(run) for run in runs if run["versions"])
    rows = [[*with_what, str(count)] for with_what, count in made.items()]
    return Table(["Commit", "Task version", "Libraries", "Hardware", "Runs"], rows)


def _made_with(run: Mapping) -> tuple[str, ...]:
    """Return what a run was made with, in words."""
    hardware = run.get("hardware") or {}
    parts = [
        hardware.get("gpu"),
        hardware.get("cpu"),
        f"{hardware['cores']} cores" if hardware.get("cores") else None,
        f"{hardware['memory_gib']:g} GiB" if hardware.get("memory_gib") else None,
        hardware.get("system"),
        hardware.get("machine"),
    ]
    libraries = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    commit = f"{(run['commit'] or 'unknown')[:_COMMIT]}{' with changes not committed' if run['dirty'] else ''}"
    return commit, str(run["task_version"] or "unknown"), libraries, ", ".join(filter(None, parts)) or "unknown"
