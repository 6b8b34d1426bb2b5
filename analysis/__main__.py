"""Draws the figures and tables of a suite, each by its name, from the files of its runs.

    python -m analysis figure3 FILE ... --output BASE [--note TEXT]

Files say by their name what they are: metrics.csv, evaluation.csv, measurement.csv; @FILE lists them, one on a line.
BASE.csv holds the numbers, BASE.svg and BASE.png a drawing, BASE.md and BASE.tex a table, BASE.caption.txt what they
rest on. Everything is computed before the first file is written.
"""

import importlib

from analysis import artefact, files, style
from workflow.artefacts import ROWS

# The benchmark and the verdict have folders and rules of their own.
MODULES = {name: row.module for name, row in ROWS.items()} | {"benchmark": "speed", "verdict": "verdict"}


def make(name: str, paths: list[str], note: str, base: str) -> None:
    """Write one artefact.

    Raises:
        ValueError: a file is damaged, or files do not belong together.
        OSError: a file cannot be read.
    """
    made = importlib.import_module(f"analysis.{MODULES[name]}").make(name, paths)
    caption = made.caption(note)
    if made.table is not None:
        artefact.save(made.rows, made.table, caption, name, base, made.more)
    if made.figure is not None:
        style.save(made.figure, made.rows, caption, base)


def main() -> None:
    """Command line."""
    parser = files.Parser(prog="python -m analysis", description="Draw a figure or table.", fromfile_prefix_chars="@")
    parser.add_argument("name", choices=MODULES, metavar="NAME", help=f"one of {', '.join(MODULES)}")
    parser.add_argument("files", nargs="+", metavar="FILE", help="files of runs, or @FILE that lists them")
    parser.add_argument("--output", required=True, metavar="BASE", help="path without suffix")
    parser.add_argument("--note", default="", help="sentence appended to the caption")
    options = parser.parse_args()
    make(options.name, options.files, options.note, options.output)


if __name__ == "__main__":
    files.command(main)
