"""Reads and validates metrics.csv files into one tidy frame, and summarises it to one row per run.

The identity columns inside a file say which run it is; paths are never parsed. A file with a header and no
row is a failed run: it counts as missing and is otherwise ignored.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis import files
from analysis.statistics import final_performance
from envs import scenarios

IDENTITY = ["scenario", "algorithm", "variant", "seed"]
REQUIRED = [*IDENTITY, "iteration", "step", "fps", "episode_return", "episode_cost"]
OPTIONAL = ["fps_collect", "fps_update", "bound", "violation", "memory_update_mib", "memory_rss_mib"]
TEXT = ["scenario", "algorithm", "variant"]
COUNTS = ["seed", "iteration", "step"]

# A run is whole when it got this far: step budgets are rounded down to iterations (200 000 to 192 000 at the most).
WHOLE = 0.95


def _read_one(path: str | Path) -> pd.DataFrame:
    """Return the known columns of one file, checked; optional columns that are absent are filled with NaN."""
    frame = files.table(path, "a metrics file", REQUIRED).reindex(columns=REQUIRED + OPTIONAL)
    for column in REQUIRED[len(TEXT) :] + OPTIONAL:
        frame[column] = files.numbers(path, frame[column], whole=column in COUNTS)
    if not frame.empty:
        check_identity(path, frame)
        if not frame["step"].is_monotonic_increasing or not frame["step"].is_unique:
            raise ValueError(f"{path} must have growing values in column 'step'")
    return frame


def check_identity(path: str | Path, frame: pd.DataFrame) -> None:
    """Raise ValueError unless the rows of a file describe one run of a known scenario."""
    for column in IDENTITY:
        values = frame[column].unique()
        if len(values) != 1 or pd.isna(values[0]):
            raise ValueError(f"{path} must hold one {column} throughout, not {', '.join(map(str, values))}")
    try:
        scenarios.get(frame["scenario"].iloc[0])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read(paths: Sequence[str | Path], repeats: bool = False) -> pd.DataFrame:
    """Return all rows of all files with a column `file` that tells the runs apart.

    Args:
        paths: metrics.csv files.
        repeats: whether one identity may occur in several files, as in repeated timings.

    Returns:
        one row per iteration, columns `file`, REQUIRED and OPTIONAL; steps in environment steps, memory in MiB.

    Raises:
        ValueError: a file is damaged, lacks a column or holds a value of the wrong type, two files hold the same run,
            or runs differ in the version of the task.
    """
    paths = list(dict.fromkeys(map(str, paths)))
    frames = [_read_one(path).assign(file=path) for path in paths]
    filled = [frame for frame in frames if not frame.empty]
    if not filled:
        return frames[0]
    files.one_task_version({path: files.record(path) for frame in filled for path in frame["file"].unique()})
    frame = pd.concat(filled, ignore_index=True)
    # A foreign file need not know the bound: the variant may name it, else it is the scenario's.
    named = pd.to_numeric(frame["variant"].str.extract(r"^safety_bound=(.+)$", expand=False))
    published = frame["scenario"].map({name: scenario.bound for name, scenario in scenarios.SCENARIOS.items()})
    frame["bound"] = frame["bound"].fillna(named).fillna(published)
    frame["violation"] = frame["violation"].fillna(frame["episode_cost"] - frame["bound"])
    heads = frame.drop_duplicates("file")
    twice = heads[heads.duplicated(IDENTITY, keep=False)]
    if len(twice) and not repeats:
        raise ValueError(f"{twice['file'].iloc[0]} and {twice['file'].iloc[1]} hold the same run")
    return frame


def missing(paths: Sequence[str | Path], frame: pd.DataFrame) -> list[str]:
    """Return those of the files given to `read` that hold no row: their runs have failed."""
    return [path for path in dict.fromkeys(map(str, paths)) if path not in set(frame["file"])]


def runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run with its final performance.

    Returns:
        columns `file`, IDENTITY, `bound`, `steps` (last step), `whole` (it reached WHOLE of the longest run of its
        scenario), `final_return` and `final_cost` (mean over the last tenth of its steps).
    """
    rows = []
    for file, run in frame.groupby("file", sort=False):
        steps = run["step"].to_numpy()
        rows.append(
            {
                "file": file,
                **run[[*IDENTITY, "bound"]].iloc[0].to_dict(),
                "steps": int(steps[-1]),
                "final_return": final_performance(steps, run["episode_return"].to_numpy()),
                "final_cost": final_performance(steps, run["episode_cost"].to_numpy()),
            }
        )
    columns = ["file", *IDENTITY, "bound", "steps", "final_return", "final_cost"]
    result = pd.DataFrame(rows, columns=columns)
    longest = result.groupby("scenario")["steps"].transform("max")
    return result.assign(whole=result["steps"] >= WHOLE * longest)
