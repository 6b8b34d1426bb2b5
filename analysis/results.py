"""What runs left behind as tidy frames: metrics of training, episodes of final policies, measurements of speed.

The identity columns inside a file say which run it is; paths are never parsed for it. A file with a header and no row
is a failed run: it counts as missing and is otherwise ignored. Scenarios and algorithms are ordered categories, so that
whatever sorts or groups by them has the usual order.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import cache, files
from analysis.statistics import final_performance
from envs import scenarios
from workflow import foreign, layout

IDENTITY = ["scenario", "algorithm", "variant", "seed"]
REQUIRED = [*IDENTITY, "iteration", "step", "fps", "episode_return", "episode_cost"]
OPTIONAL = ["fps_collect", "fps_update", "bound", "violation", "memory_update_mib", "memory_rss_mib", "episode_length"]
TEXT = ["scenario", "algorithm", "variant"]
COUNTS = ["seed", "iteration", "step"]
NUMBERS = [*REQUIRED[len(IDENTITY) :], *OPTIONAL]
# Names of the algorithms, in the usual order; those of others come after them.
LABELS = {"mafocops": "MAFOCOPS", "macpo": "MACPO", "mappo_l": "MAPPO-L", "happo": "HAPPO", "mappo": "MAPPO"}
MODES = ("stochastic", "deterministic")  # in which a final policy acts
PER_COST = "episode_cost_"  # how the columns of several costs begin, beside their sum
SPEEDS = ["physics", "collect", "update", "end_to_end"]
MEASURED = ["scenario", "algorithm", "threads", *SPEEDS, "ratio", "peak_rss_mib"]

NAMED = 4  # files that an error names before it only counts

ALL = "all"  # the scenario of a mean over scenarios
PUBLISHED_STEPS, TIMED_STEPS = 10_000_000, 200_000  # environment steps per run in the paper: of training, of timing
_PAPER = Path(__file__).parent / "paper"

# A run is whole when it got this far: step budgets are rounded down to iterations (200 000 to 192 000 at the most).
WHOLE = 0.95


def record(metrics: str | Path) -> dict | None:
    """Return the run.json beside a metrics file; None if there is none, as with algorithms of other projects.

    Raises:
        ValueError: it is no JSON object.
    """
    path = Path(metrics).with_name("run.json")
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not the record of a run: delete it and {metrics} to make both again")
    foreign.recall(found)
    return found


def time_limit(settings: dict | None) -> str | None:
    """Return what a run did at a time limit, "bootstrap" or "failure"; None where its record's settings do not say.

    The setting had another name, which old records keep.
    """
    known = settings or {}
    return known.get("time_limit", {True: "failure", False: "bootstrap"}.get(known.get("legacy_time_limit")))


def one_task_version(records: dict[str, dict | None]) -> None:
    """Raise ValueError, naming the runs, if they were not all made on the same version of the task.

    Args:
        records: what `record` returned for each run by the run's name; a run without record is not checked.
    """
    versions: dict[str, list[str]] = {}
    for name, found in records.items():
        if found is not None:
            versions.setdefault(str(found.get("task_version") or "unknown"), []).append(name)
    if len(versions) < 2:
        return
    parts = []
    for version, names in sorted(versions.items()):
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        parts.append(f"version {version} in {', '.join(names[:NAMED])}{more}")
    raise ValueError(f"these runs are of different task versions and cannot be compared: {'; '.join(parts)}")


def paper(name: str) -> pd.DataFrame:
    """Return the published numbers of one file in `analysis/paper` (its README names the sources)."""
    return pd.read_csv(_PAPER / f"{name}.csv")


def label(algorithm: str) -> str:
    """Return the display name of an algorithm; one that is not ours keeps its identifier, and what follows stays."""
    name, space, more = algorithm.partition(" ")
    return LABELS.get(name, name) + space + more


def order(algorithms: Iterable[str]) -> list[str]:
    """Return the distinct algorithms in the usual order, others after them by name."""
    names = set(algorithms)
    return [name for name in LABELS if name in names] + sorted(names - set(LABELS))


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose scenarios and algorithms are ordered categories."""
    names = {"scenario": list(scenarios.SCENARIOS), "algorithm": order(frame["algorithm"].unique())}
    return frame.assign(
        **{name: pd.Categorical(frame[name].astype(object), each, ordered=True) for name, each in names.items()}
    )


def default(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the default runs: those with the suite's settings as they are."""
    return frame[frame["variant"].eq(layout.DEFAULT)]


def missing(paths: Sequence[str | Path], frame: pd.DataFrame) -> list[str]:
    """Return those of the files read into `frame` that hold no row: their runs have failed."""
    found = set(frame["file"].unique())
    return [path for path in dict.fromkeys(map(str, paths)) if path not in found]


def _identity(path: str, frame: pd.DataFrame, columns: Sequence[str] = IDENTITY) -> list:
    """Return which run of a known scenario the rows of a file describe; empty without any.

    Raises:
        ValueError: they describe several, or none.
    """
    for column in columns if len(frame) else ():
        values = frame[column].unique()
        if len(values) != 1 or pd.isna(values[0]):
            raise ValueError(f"{path} must hold one {column} throughout, not {', '.join(map(str, values))}")
        if column == "scenario":
            record(path)  # of a task of another project, which it makes known
            try:
                scenarios.get(values[0])
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
    return list(next(frame[columns].itertuples(index=False, name=None), ()))


def _check_distinct(heads: pd.DataFrame, keys: Sequence[str], what: str) -> None:
    """Raise ValueError, naming two files, if rows that stand for one file each agree in all keys."""
    twice = heads.loc[heads.duplicated(keys, keep=False)]
    if len(twice):
        raise ValueError(f"{twice['file'].iloc[0]} and {twice['file'].iloc[1]} hold the same {what}")


def _read_metrics(path: str) -> cache.Entry:
    """Return one metrics file, checked: its identity, and its NUMBERS (rows, columns), NaN in a column it lacks."""
    text = files.table(path, "a metrics file", REQUIRED, REQUIRED + OPTIONAL)
    numbers = {name: files.numbers(path, text[name], whole=name in COUNTS) for name in text if name not in TEXT}
    frame = text.assign(**numbers)
    identity = _identity(path, frame)
    if not frame["step"].is_monotonic_increasing or not frame["step"].is_unique:
        raise ValueError(f"{path} must have growing values in column 'step'")
    return cache.Entry(identity, frame.reindex(columns=NUMBERS).to_numpy(float))


def _entries(
    paths: Sequence[str | Path], parse: Callable[[str], cache.Entry]
) -> tuple[pd.DataFrame, list[cache.Entry], dict[str, dict | None]]:
    """Return what several files of runs hold, those without a row left out.

    Returns:
        one row per run, `file` and IDENTITY in the usual categories; one entry per run; their records by file.

    Raises:
        ValueError: a file is damaged, or runs differ in the version of the task.
    """
    paths = list(dict.fromkeys(map(str, paths)))
    pairs = zip(paths, cache.entries(paths, parse), strict=True)
    found = {path: entry for path, entry in pairs if len(entry.numbers)}
    records = {path: record(path) for path in found}
    one_task_version(records)
    rows = [[path, *entry.identity[: len(IDENTITY)]] for path, entry in found.items()]
    heads = ordered(pd.DataFrame(rows, columns=["file", *IDENTITY]))
    return heads.astype({"file": "category", "variant": "category", "seed": np.int64}), list(found.values()), records


def _repeated(heads: pd.DataFrame, entries: Sequence[cache.Entry]) -> pd.DataFrame:
    """Return the row of each run as many times as its file has rows."""
    return heads.loc[heads.index.repeat([len(entry.numbers) for entry in entries])].reset_index(drop=True)


def read(paths: Sequence[str | Path], repeats: bool = False) -> pd.DataFrame:
    """Return all rows of all metrics files with a column `file` that tells the runs apart.

    Args:
        paths: metrics.csv files.
        repeats: whether one identity may occur in several files, as in repeated timings.

    Returns:
        one row per iteration, columns `file`, REQUIRED and OPTIONAL; steps in environment steps, memory in MiB.

    Raises:
        ValueError: a file is damaged, lacks a column or holds a value of the wrong type, two files hold the same run,
            or runs differ in the version of the task.
    """
    heads, entries, _ = _entries(paths, _read_metrics)
    if not repeats:
        _check_distinct(heads, IDENTITY, "run")
    frame = _repeated(heads, entries)
    for column, name in enumerate(NUMBERS):
        values = np.concatenate([np.empty(0), *(entry.numbers[:, column] for entry in entries)])
        frame[name] = values.astype(np.int64) if name in COUNTS else values
    # A foreign file need not know the bound: the variant may name it, else it is the scenario's.
    known = zip(heads["scenario"], heads["variant"], strict=True)
    bounds = dict(zip(heads["file"], (scenarios.bound_of(*run) for run in known), strict=True))
    frame["bound"] = frame["bound"].fillna(frame["file"].astype(object).map(bounds).astype(float))
    frame["violation"] = frame["violation"].fillna(frame["episode_cost"] - frame["bound"])
    return frame


def runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run with its final performance.

    Returns:
        columns `file`, IDENTITY, `bound`, `steps` (last step), `whole` (it reached WHOLE of the longest run of its
        scenario), `final_return` and `final_cost` (mean over the last tenth of its steps).
    """
    heads = frame.drop_duplicates("file")[["file", *IDENTITY, "bound"]].reset_index(drop=True)
    parts = [
        (steps[-1], final_performance(steps, returns), final_performance(steps, costs))
        for steps, returns, costs in by_run(frame, "step", "episode_return", "episode_cost")
    ]
    found = pd.DataFrame(parts, columns=["steps", "final_return", "final_cost"])
    result = heads.join(found.astype({"steps": np.int64, "final_return": float, "final_cost": float}))
    longest = result.groupby("scenario", observed=True)["steps"].transform("max")
    return result.assign(whole=result["steps"] >= WHOLE * longest)


def by_run(frame: pd.DataFrame, *columns: str) -> list[tuple[np.ndarray, ...]]:
    """Return the values of some columns run by run, in the order in which the runs appear."""
    if frame.empty:
        return []
    codes, _ = pd.factorize(frame["file"])
    rows = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[rows])) + 1
    return list(zip(*(np.split(frame[column].to_numpy()[rows], cuts) for column in columns), strict=True))


COUNTED = ("seed", "episode", "episode_length", "longest_unsafe")  # whole numbers of an evaluation
OUTCOMES = ("dropped", "success")  # of an episode, 0 or 1, where the task knows them
EPISODES = ["mode", *COUNTED[1:], "bound", "episode_return", "episode_cost", "violation"]
EVALUATED = [*IDENTITY, *EPISODES]


def _read_evaluation(path: str) -> cache.Entry:
    """Return the episodes of one file, checked: its identity and the names of further columns, and the numbers."""
    text = files.table(path, "an evaluation file", EVALUATED)
    more = [name for name in text if name.startswith(PER_COST) or name in OUTCOMES]
    wanted = ("seed", *EPISODES[1:], *more)
    frame = text.assign(**{name: files.numbers(path, text[name], whole=name in COUNTED) for name in wanted})
    identity = _identity(path, frame)
    if wrong := set(frame["mode"].fillna("")) - set(MODES):
        raise ValueError(f"{path} holds the mode {min(wrong)!r}: choose from {', '.join(MODES)}")
    if frame.duplicated(["mode", "episode"]).any():
        raise ValueError(f"{path} holds an episode twice")
    frame = frame.assign(mode=frame["mode"].map(MODES.index))
    return cache.Entry([*identity, *more], frame[[*EPISODES, *more]].to_numpy(float))


def evaluations(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return all rows of all evaluation files with a column `file` that tells the runs apart.

    Args:
        paths: evaluation.csv files.

    Returns:
        one row per episode and mode: IDENTITY, `mode`, `episode`, `bound`, `episode_return`, `episode_cost` (sums over
        the episode; of several costs the sum, and `episode_cost_<name>` each), `episode_length` (steps), `violation`
        (cost - bound, of several costs the worst), `longest_unsafe` (most consecutive steps with a cost), `steps` (of
        training, by the run's record), and those of OUTCOMES that a task knows.

    Raises:
        ValueError: a file is damaged, lacks a column or holds a wrong value, or two files hold the same run,
            or runs differ in the version of the task.
    """
    heads, entries, records = _entries(paths, _read_evaluation)
    _check_distinct(heads, IDENTITY, "run")
    steps = [(found or {}).get("steps") for found in records.values()]
    heads["steps"] = [float(number) if isinstance(number, int) else np.nan for number in steps]
    each = [pd.DataFrame(numbers, columns=[*EPISODES, *identity[len(IDENTITY) :]]) for identity, numbers in entries]
    frame = _repeated(heads, entries).join(pd.concat(each or [pd.DataFrame(columns=EPISODES)], ignore_index=True))
    return frame.assign(mode=frame["mode"].map(dict(enumerate(MODES))))


def _read_measurement(path: str) -> pd.DataFrame:
    """Return the single row of one measurement, checked."""
    frame = files.table(path, "a measurement", MEASURED)
    if len(frame) != 1:
        raise ValueError(f"{path} must hold one row, not {len(frame)}")
    for column in MEASURED[2:]:
        text, frame[column] = frame[column].iloc[0], files.numbers(path, frame[column])
        if not (np.isfinite(frame[column].iloc[0]) and frame[column].iloc[0] > 0):
            raise ValueError(f"{path} holds {text!r} in column {column!r}, which should be above 0")
    _identity(path, frame, MEASURED[:2])
    return frame[MEASURED].assign(file=path)


def measurements(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return all measurements of speed, in the usual order.

    Args:
        paths: measurement.csv files.

    Returns:
        one row per measurement: `file` and MEASURED, speeds in environment steps per second, `ratio` (end to end /
        physics), memory in MiB.

    Raises:
        ValueError: a file is no measurement, or two files measure the same algorithm on the same scenario.
    """
    frame = pd.concat([_read_measurement(str(path)) for path in paths], ignore_index=True)
    _check_distinct(frame, ["scenario", "algorithm"], "measurement")
    return ordered(frame).sort_values(["scenario", "algorithm"], ignore_index=True)


def scenarios_of(paths: Iterable[str]) -> list[str]:
    """Return the scenarios of runs that left no row, in the usual order, as far as their folders tell."""
    found = {place.scenario for place in map(layout.place_if_any, paths) if place}
    return [name for name in scenarios.SCENARIOS if name in found]
