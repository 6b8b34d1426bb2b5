"""Sentences that say what a figure or table rests on: steps, seeds, and the runs that are missing.

Failed, unfinished and absent runs are counted here and nowhere hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.results import PUBLISHED_STEPS, WHOLE
from analysis.tables import Printed
from workflow import layout

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
        try:
            place = layout.place_of(file)
            setting, last = place.setting, place.last
        except ValueError:  # a file of somebody else's
            setting, last = "/".join(Path(file).absolute().parent.parts[1:-1]), Path(file).absolute().parent.name
        found.setdefault(setting, []).append(last)
    texts = [f"{setting} ({', '.join(each)})" for setting, each in found.items()]
    more = [f"{len(texts) - NAMED} more settings"] if len(texts) > NAMED else []
    return ", ".join(texts[:NAMED] + more)


@dataclass(frozen=True)
class Artefact:
    """What a module makes of runs: its numbers, how they are shown, and what the caption says.

    Attributes:
        rows: what BASE.csv holds, exactly what is shown.
        says: what is shown, the first words of the caption.
        runs: the runs it rests on, one per row, as from `results.runs`; None: the caption has no sentence on them.
        missing: files of runs that have failed.
        remarks: what follows the sentences on the runs.
        figure: a drawing without caption.
        table: a table as people read it.
        noun: what tells the runs of one setting apart, "seed" or "repeat".
        published: steps per run in the paper.
        more: text below the table in Markdown.
    """

    rows: pd.DataFrame
    says: str
    runs: pd.DataFrame | None
    missing: Sequence[str] = ()
    remarks: Sequence[str] = ()
    figure: Figure | None = None
    table: Printed | None = None
    noun: str = "seed"
    published: int = PUBLISHED_STEPS
    more: str = ""

    def caption(self, note: str) -> str:
        """Return the whole caption, with `note` as its last sentence."""
        rests_on = "" if self.runs is None else coverage(self.runs, self.missing, self.noun, self.published)
        return " ".join(filter(None, [self.says, rests_on, *self.remarks, note]))


def coverage(
    runs: pd.DataFrame, missing: Sequence[str] = (), noun: str = "seed", published: int = PUBLISHED_STEPS
) -> str:
    """Return the sentences on steps, seeds and missing runs of an artefact.

    Args:
        runs: one row per run, as from `results.runs`.
        missing: metrics files of runs that have failed, which are named.
        noun: what tells the runs of one setting apart, "seed" or "repeat".
        published: steps per run in the paper.
    """
    expected, less = len(runs) + len(missing), len(missing)
    names = f": {named(missing)}" if missing else ""
    absent = f"{less} of {count(expected, 'run')} missing (failed or not run){names}." if less else ""
    if runs.empty:
        return absent
    longest = runs["steps"].max()  # NaN where no record says it
    seeds = runs.groupby(["scenario", "algorithm", "variant"], observed=True).size()
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
