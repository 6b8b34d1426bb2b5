"""Sentences that say what a figure or table rests on: steps, seeds, and the runs that are missing.

Failed, unfinished and absent runs are counted here and nowhere hidden.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.collect import WHOLE

PUBLISHED_STEPS = 10_000_000  # environment steps per run in the paper
NAMED = 12  # settings with missing runs that a caption names; the manifest of the suite lists them all


def count(number: int, noun: str) -> str:
    """Return "1 run", "2 runs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def steps(number: int) -> str:
    """Return a number of steps in words: "10 million steps", "96 thousand steps"."""
    if number >= 1_000_000:
        return f"{number / 1e6:.4g} million steps"
    return f"{number / 1e3:.4g} thousand steps" if number >= 1000 else count(number, "step")


def span(numbers: pd.Series) -> str:
    """Return the range of numbers: "5", "3 to 5"."""
    low, high = numbers.min(), numbers.max()
    return str(low) if low == high else f"{low} to {high}"


def named(missing: Sequence[str]) -> str:
    """Return the runs of metrics files in words: "ant_2x4/happo/default (seed0, seed1)"; the first NAMED of them."""
    found: dict[str, list[str]] = {}
    for file in missing:
        *parts, last = Path(file).absolute().parent.parts
        start = max((i + 1 for i, part in enumerate(parts) if part in ("runs", "efficiency")), default=0)
        found.setdefault("/".join(parts[start:]), []).append(last)
    texts = [f"{setting} ({', '.join(each)})" for setting, each in found.items()]
    more = [f"{len(texts) - NAMED} more settings"] if len(texts) > NAMED else []
    return ", ".join(texts[:NAMED] + more)


def coverage(
    runs: pd.DataFrame,
    expected: int | None,
    missing: Sequence[str] = (),
    noun: str = "seed",
    published: int = PUBLISHED_STEPS,
) -> str:
    """Return the sentences on steps, seeds and missing runs of an artefact.

    Args:
        runs: one row per run, as from `collect.runs`.
        expected: number of runs that should be there; None: those found and those missing.
        missing: metrics files of runs that have failed, which are named.
        noun: what tells the runs of one setting apart, "seed" or "repeat".
        published: steps per run in the paper.
    """
    expected = len(runs) + len(missing) if expected is None else expected
    less = max(expected - len(runs), 0)
    names = f": {named(missing)}" if missing else ""
    absent = f"{less} of {count(expected, 'run')} missing (failed or not run){names}." if less else ""
    if runs.empty:
        return absent
    longest = runs["steps"].max()  # NaN where no record says it
    seeds = runs.groupby(["scenario", "algorithm", "variant"]).size()
    noun = noun if seeds.max() == 1 else f"{noun}s"
    trained = f"{steps(int(longest)).capitalize()}, " if pd.notna(longest) else ""
    sentences = [f"{trained}{span(seeds)} {noun}."]
    if longest < WHOLE * published:
        sentences.append(f"Shortened runs: not comparable with the {steps(published)} of the paper.")
    sentences.append(absent or f"{count(len(runs), 'run')}, none missing.")
    unfinished = int((~runs["whole"]).sum())
    if unfinished:
        sentences.append(f"{count(unfinished, 'run')} ended early.")
    return " ".join(sentences)
