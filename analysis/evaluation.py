"""Reads evaluation.csv files: the episodes of final policies, one row per episode and mode."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis import collect, files


def read(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return all rows of all files."""
    needed = [*collect.IDENTITY, "mode", "violation"]
    frames = []
    for path in paths:
        frame = files.table(path, "an evaluation file", needed)
        frame["seed"] = files.numbers(path, frame["seed"], whole=True)
        frames.append(frame.assign(violation=files.numbers(path, frame["violation"])))
    return pd.concat(frames, ignore_index=True)
