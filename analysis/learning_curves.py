"""Figures 2 to 6 and `legacy`: return and cost against environment steps, median and 25-75 % percentiles over seeds.

Figures 2 to 5 have one line per algorithm, Figure 6 one line per safety bound of MAFOCOPS; the published bound is the
default run there, and the other bounds are ours because the supplement does not print its own. The figure `legacy` has
two lines per algorithm: the default and, dashed, the variant with the errors of the original code.

    python -m analysis.learning_curves --name figure2 --scenarios ant_2x4 ant_4x2 --metrics FILE ... --output BASE
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from analysis import captions, collect, output, panels, style
from analysis.panels import Line
from envs import scenarios

LEGACY = "legacy"  # name of the figure and of the variant it shows beside the default
FIGURES = ("figure2", "figure3", "figure4", "figure5", "figure6", LEGACY)
BOUND_VARIANT = "safety_bound="  # the default run beside these variants has the published bound
SHORT_DASHES = (0, (2, 1))  # shorter than those of the safety bound
SUBJECTS = {
    "figure6": " of MAFOCOPS under several safety bounds",
    LEGACY: " with the correct mathematics (solid) and with the variant legacy (dashed in the same colour)",
}
REMARKS = {
    "figure6": "The supplement does not print its bounds: these are the published one of each scenario and ours.",
    LEGACY: "The variant legacy switches on the errors Q1-Q8 of the original code: ratio by action dimension, factor M "
    "on the cost, stale cost estimate, one normaliser for reward and cost, one-sided Huber loss; in MACPO also a wrong "
    "sign in the KL, a wrong scale of the constraint, steps on minibatches. Time limits count as failures there, too.",
}


def _select(frame: pd.DataFrame, name: str, columns: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """Return the rows a figure shows and the column that tells its lines apart."""
    frame = frame[frame["scenario"].isin(columns)]
    published = frame["variant"].eq("default")
    if name == LEGACY:
        frame = frame[published | frame["variant"].eq(LEGACY)]
        legacy = frame["algorithm"].astype(str) + f" {LEGACY}"
        return frame.assign(setting=frame["algorithm"].where(frame["variant"].eq("default"), legacy)), "setting"
    if name != "figure6":
        return frame[published], "algorithm"
    bounds = published | frame["variant"].astype(str).str.startswith(BOUND_VARIANT)
    return frame[bounds & frame["algorithm"].eq("mafocops")], "bound"


def _lines(drawn: pd.DataFrame, name: str) -> list[Line]:
    """Return the lines in legend order: algorithms as everywhere, bounds from the strictest on."""
    keys = drawn["line"].unique()
    if name == "figure6":
        bounds = sorted(keys)
        return [Line(b, f"trained at {b:g}", c, 1.6) for b, c in zip(bounds, style.graded(len(bounds)), strict=True)]
    if name == LEGACY:
        plain = panels.algorithm_lines(key.removesuffix(f" {LEGACY}") for key in keys)
        legacy = {line: (f"{line.key} {LEGACY}", f"{line.label} {LEGACY}") for line in plain}
        pairs = [(line, replace(line, key=k, label=v, style=SHORT_DASHES)) for line, (k, v) in legacy.items()]
        return [line for pair in pairs for line in pair if line.key in keys]
    return panels.algorithm_lines(keys)


def _caption(name: str, drawn: pd.DataFrame, runs: pd.DataFrame, columns: Sequence[str], rests_on: str) -> str:
    """Return what is shown, what it rests on (sentences of `captions.coverage`), and what is left out."""
    present = [scenario for scenario in columns if scenario in set(runs["scenario"])]
    absent = [scenarios.get(scenario).title for scenario in columns if scenario not in present]
    title = "Legacy" if name == LEGACY else name.replace("figure", "Figure ")
    what = "Episode return (top) and cost (bottom)" + SUBJECTS.get(name, "")
    dashes = {LEGACY: "dashed in grey", "figure6": "dashed in the same colour"}.get(name, "dashed")
    single = runs.groupby(["scenario", "algorithm", "variant"]).size().max() == 1
    spread = "one seed, so there is no band" if single else "lines: median over seeds, bands: 25-75 % percentiles"
    spread += "" if drawn.empty else f", each point a mean over {captions.steps(int(drawn['step'].min()))}"
    sentences = [
        f"{title}. {what}; {spread}; {dashes}: safety bound.",
        rests_on,
        REMARKS.get(name, ""),
        f"Not run{', so without a column' if present else ''}: {', '.join(absent)}." if absent else "",
    ]
    return " ".join(filter(None, sentences))


def make(name: str, columns: Sequence[str], metrics: Sequence[str], expected: int | None, note: str, base: str) -> None:
    """Draw one figure and write BASE.svg, BASE.png, BASE.csv and BASE.caption.txt.

    Args:
        name: one of FIGURES.
        columns: scenario identifiers from left to right.
        metrics: metrics.csv files; those of other scenarios or variants are ignored.
        expected: number of runs that should be there; None: those found and those that failed.
        note: sentence appended to the caption.
        base: output path without suffix.

    Raises:
        ValueError: unknown scenario or bad metrics file.
    """
    columns = [scenarios.get(scenario).name for scenario in columns]
    frame = collect.read(metrics)
    selected, line = _select(frame, name, columns)
    runs = collect.runs(selected)
    drawn = panels.curves(selected, line)
    rests_on = captions.coverage(runs, expected, collect.missing(metrics, frame))
    caption = f"{_caption(name, drawn, runs, columns, rests_on)} {note}".strip()
    # With nothing at all to show, empty panels say so better than a missing file.
    shown = [scenario for scenario in columns if scenario in set(runs["scenario"])] or columns
    style.save(panels.draw(drawn, shown, _lines(drawn, name), caption), drawn.assign(figure=name), caption, base)


def main() -> None:
    """Command line."""
    parser = output.parser("Draw a figure of learning curves.")
    parser.add_argument("--name", required=True, choices=FIGURES)
    parser.add_argument("--scenarios", nargs="+", required=True, metavar="SCENARIO")
    options = parser.parse_args()
    make(options.name, options.scenarios, options.metrics, options.expected, options.note, options.output)


if __name__ == "__main__":
    output.command(main)
