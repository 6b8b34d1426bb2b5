"""What a module makes of runs: numbers, a drawing or a table, and a caption that says what they rest on.

A table has three forms: a tidy CSV for machines, Markdown and LaTeX (booktabs) for people. The tidy form is the same
for every table, one number per row with the paper's beside it, so that the verdict reads all of them alike. In the
caption failed, unfinished and absent runs are counted, and nowhere hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis import files
from analysis.results import PUBLISHED_STEPS, WHOLE
from workflow import layout

TIDY = ["table", "scenario", "setting", "quantity", "ours", "low", "high", "paper", "runs", "steps", "note"]
MISSING = "n/a"
NU_MAX = "\N{GREEK SMALL LETTER NU}_max"
_LATEX = {"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "†": r"$^\dagger$", "∞": r"$\infty$", "λ": r"$\lambda$"}
BOUND = "bound_"  # how the columns of several bounds begin, beside their sum
NAMED = 12  # settings with missing runs that a caption names; the manifest of the suite lists them all


def number(value: float, decimals: int) -> str:
    """Return a cell: fixed decimals, zero without sign, or n/a."""
    return MISSING if pd.isna(value) else f"{value:z.{decimals}f}"


def interval(value: float, low: float, high: float, decimals: int) -> str:
    """Return a cell with its interval in brackets: 0.64 [0.59, 0.71]; without brackets where there is none."""
    between = f" [{number(low, decimals)}, {number(high, decimals)}]" if pd.notna(low) else ""
    return number(value, decimals) + between


def _heads(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return group and title of each column; the group is empty where a column has none."""
    return [column if isinstance(column, tuple) else ("", column) for column in table.columns]


def markdown(table: pd.DataFrame, caption: str) -> str:
    """Return a table of text in Markdown, caption first; group and title share one header cell."""
    header = [f"{group} {title}".strip() for group, title in _heads(table)]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *table.to_numpy()]
    return f"{caption}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _escape(text: str) -> str:
    """Return text for LaTeX; the two Greek letters of the settings become formulas."""
    parts = [part.translate(str.maketrans(_LATEX)) for part in text.split(NU_MAX)]
    return r"$\nu_{\max}$".join(parts)


def latex(table: pd.DataFrame, caption: str, label: str) -> str:
    """Return a table of text as a LaTeX float that needs the packages booktabs and graphicx."""
    text = (
        table.set_axis(pd.MultiIndex.from_tuples(_heads(table)), axis=1)
        .style.format(_escape)
        .format_index(_escape, axis=1)
        .hide(axis="index")
        .to_latex(
            hrules=True,
            multicol_align="c",
            column_format="l" + "r" * (table.shape[1] - 1),
            position_float="centering",
            caption=_escape(caption.removeprefix(f"Table {label[-1]}. ")),  # LaTeX numbers tables itself
            label=f"tab:{label}",
        )
    )
    wide = text.replace(r"\begin{tabular}", "\\resizebox{\\linewidth}{!}{%\n\\begin{tabular}", 1)
    return wide.replace(r"\end{tabular}", r"\end{tabular}}", 1)


def save(rows: pd.DataFrame, table: pd.DataFrame, caption: str, label: str, base: str | Path, more: str = "") -> None:
    """Write BASE.csv, BASE.md (with `more` below the table), BASE.tex and BASE.caption.txt."""
    counts = {name: "Int64" for name in ("runs", "steps") if name in rows}
    contents = {
        ".csv": rows.astype(counts).to_csv(index=False, float_format="%.6g"),
        ".md": markdown(table, caption) + (f"\n{more}" if more else ""),
        ".tex": latex(table, caption, label),
        ".caption.txt": f"{caption}\n",
    }
    files.write(base, contents)


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
        place, folder = layout.place_if_any(file), Path(file).absolute().parent
        setting = place.setting if place else str(folder.parent).removeprefix("/")  # of a file of somebody else's
        found.setdefault(setting, []).append(place.last if place else folder.name)
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
        table: a table as people read it: text in its cells, a title or (group, title) above each column.
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
    table: pd.DataFrame | None = None
    noun: str = "seed"
    published: int = PUBLISHED_STEPS
    more: str = ""

    def caption(self, note: str) -> str:
        """Return the whole caption, with `note` as its last sentence."""
        rests_on = "" if self.runs is None else self._coverage(self.runs)
        return " ".join(filter(None, [self.says, rests_on, *self.remarks, note]))

    def _coverage(self, runs: pd.DataFrame) -> str:
        """Return the sentences on steps, seeds and missing runs."""
        every = count(len(runs) + len(self.missing), "run")
        names = named(self.missing)
        absent = f"{len(self.missing)} of {every} missing (failed or not run): {names}." if self.missing else ""
        if runs.empty:
            return absent
        longest = runs["steps"].max()  # NaN where no record says it
        seeds = runs.groupby(["scenario", "algorithm", "variant"], observed=True).size()
        noun = self.noun if seeds.max() == 1 else f"{self.noun}s"
        trained = f"{steps(int(longest)).capitalize()}, " if pd.notna(longest) else ""
        sentences = [f"{trained}{span(seeds)} {noun}."]
        if longest < WHOLE * self.published:
            sentences.append(f"Shortened runs: not comparable with the {steps(self.published)} of the paper.")
        sentences.append(absent or f"{count(len(runs), 'run')}, none missing.")
        unfinished = int((~runs["whole"]).sum())
        if unfinished:
            sentences.append(f"{count(unfinished, 'run')} ended early.")
        if self.noun == "seed" and "final_cost" in runs and (silent := int(runs["final_cost"].isna().sum())):
            sentences.append(f"No episode has ended in {count(silent, 'run')}.")
        return " ".join(filter(None, [*sentences, bounds(runs)]))


def bounds(runs: pd.DataFrame) -> str:
    """Return the sentence on the bounds of runs with several costs."""
    texts = {}
    for row in runs.drop_duplicates(["scenario", "variant"]).itertuples() if "file" in runs else ():
        header, *values = files.rows(row.file, "a file of a run")
        last = dict(zip(header, values[-1], strict=True)) if values else {}
        each = [f"{name.removeprefix(BOUND)} {float(last[name]):g}" for name in last if name.startswith(BOUND)]
        if each:
            texts.setdefault(", ".join(each), []).append(f"{row.scenario}/{row.variant}")
    told = [f"{each} ({', '.join(names[:NAMED])})" for each, names in texts.items()]
    return (
        f"Several costs; where they are not shown each, cost and bound are sums; bounds: {'; '.join(told)}."
        if told
        else ""
    )
