"""Reads the Markdown that this package writes: headings, paragraphs, pipe tables; nothing else."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# "1,234", "-0.26", "0.64 [0.59, 0.71]", "0.90† (0.96)", "23 %"; a hash that begins with a digit is none
_NUMBER = re.compile(r"(\+-|[-+<>])?(\d[\d,]*\.?\d*(e[-+]?\d+)?|∞|inf) ?[†%]?( ?[\[(].*)?|n/a|never|")


@dataclass(frozen=True)
class Table:
    """Header and rows as text; `numeric` says of each column whether it holds numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def numeric(self) -> list[bool]:
        """Whether every cell of a column begins as a number does; the first column names the row."""
        return [i > 0 and all(_NUMBER.fullmatch(row[i]) for row in self.rows) for i in range(len(self.header))]


@dataclass(frozen=True)
class Block:
    """A piece of a document: `kind` is "heading", "paragraph" or "table", whose content is `table`."""

    kind: str
    text: str = ""
    table: Table | None = None


def parse(text: str) -> list[Block]:
    """Return the blocks of a document, which blank lines separate.

    Raises:
        ValueError: a row of a table has more or fewer cells than its header.
    """
    return [_block(part.splitlines()) for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def _block(lines: Sequence[str]) -> Block:
    if lines[0].startswith("|"):
        header, _, *rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"a table's row has {len(row)} cells where its header has {len(header)}: {row}")
        return Block("table", table=Table(header, rows))
    joined = " ".join(line.strip() for line in lines)
    title = joined.lstrip("#")
    return Block("heading", title.strip()) if title != joined else Block("paragraph", joined)
