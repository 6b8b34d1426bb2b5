"""Tables in three forms: a tidy CSV for machines, Markdown and LaTeX (booktabs) for people.

The tidy form is the same for every table, one number per row with the paper's beside it, so that the verdict reads
all of them alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import files

TIDY = ["table", "scenario", "setting", "quantity", "ours", "low", "high", "paper", "runs", "steps", "note"]
MISSING = "n/a"
NU_MAX = "\N{GREEK SMALL LETTER NU}_max"
_LATEX = {"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "†": r"$^\dagger$", "∞": r"$\infty$", "λ": r"$\lambda$"}


@dataclass(frozen=True)
class Printed:
    """A table as people read it: (group, column) headers, and cells as text."""

    header: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str]]


def number(value: float, decimals: int) -> str:
    """Return a cell: fixed decimals, zero without sign, or n/a."""
    return MISSING if pd.isna(value) else f"{value:z.{decimals}f}"


def interval(value: float, low: float, high: float, decimals: int) -> str:
    """Return a cell with its interval in brackets: 0.64 [0.59, 0.71]; without brackets where there is none."""
    between = f" [{number(low, decimals)}, {number(high, decimals)}]" if pd.notna(low) else ""
    return number(value, decimals) + between


def markdown(table: Printed, caption: str) -> str:
    """Return the table in Markdown, caption first; group and column share one header cell."""
    header = [f"{group} {column}".strip() for group, column in table.header]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *table.rows]
    return f"{caption}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _escape(text: str) -> str:
    """Return text for LaTeX; the two Greek letters of the settings become formulas."""
    parts = [part.translate(str.maketrans(_LATEX)) for part in text.split(NU_MAX)]
    return r"$\nu_{\max}$".join(parts)


def latex(table: Printed, caption: str, label: str) -> str:
    """Return the table as a LaTeX float that needs the packages booktabs and graphicx."""
    frame = pd.DataFrame(list(table.rows), columns=pd.MultiIndex.from_tuples(table.header), dtype=object)
    text = (
        frame.style.format(_escape)
        .format_index(_escape, axis=1)
        .hide(axis="index")
        .to_latex(
            hrules=True,
            multicol_align="c",
            column_format="l" + "r" * (len(table.header) - 1),
            position_float="centering",
            caption=_escape(caption.removeprefix(f"Table {label[-1]}. ")),  # LaTeX numbers tables itself
            label=f"tab:{label}",
        )
    )
    wide = text.replace(r"\begin{tabular}", "\\resizebox{\\linewidth}{!}{%\n\\begin{tabular}", 1)
    return wide.replace(r"\end{tabular}", r"\end{tabular}}", 1)


def save(rows: pd.DataFrame, table: Printed, caption: str, label: str, base: str | Path, more: str = "") -> None:
    """Write BASE.csv, BASE.md (with `more` below the table), BASE.tex and BASE.caption.txt."""
    counts = {name: "Int64" for name in ("runs", "steps") if name in rows}
    contents = {
        ".csv": rows.astype(counts).to_csv(index=False, float_format="%.6g"),
        ".md": markdown(table, caption) + (f"\n{more}" if more else ""),
        ".tex": latex(table, caption, label),
        ".caption.txt": f"{caption}\n",
    }
    files.write(base, contents)
