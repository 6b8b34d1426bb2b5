"""Several costs, each under a bound of its own: metrics files have columns for each, beside their sum."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from analysis import files
from analysis.results import PER_COST

BOUND = "bound_"  # how the columns of their bounds begin


def each(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the name of each cost, "" for the only one of a run, and the rows of the runs that have it.

    Args:
        frame: rows of metrics files as from `results.read`, those of a run together and in their order.

    Yields:
        the name, and the rows with that cost and its bound as `episode_cost` and `bound`.
    """
    named = {path: _names(path) for path in frame["file"].unique()}
    single = frame["file"].isin([path for path, names in named.items() if not names])
    if single.all():
        yield "", frame
        return
    if single.any():
        yield "", frame[single]
    for name in dict.fromkeys(name for names in named.values() for name in names):
        paths = [path for path, names in named.items() if name in names]
        columns = [f"{PER_COST}{name}", f"{BOUND}{name}"]
        cells = pd.concat([files.table(path, "a metrics file", columns, columns) for path in paths], ignore_index=True)
        cost, bound = (files.numbers(name, cells[column]).to_numpy() for column in columns)
        yield name, frame[frame["file"].isin(paths)].assign(episode_cost=cost, bound=bound)


def _names(path: str) -> list[str]:
    """Return the names of the costs of a metrics file that tells several apart."""
    with contextlib.suppress(OSError), Path(path).open() as file:
        return [name.removeprefix(PER_COST) for name in next(file, "").rstrip().split(",") if name.startswith(PER_COST)]
    return []
