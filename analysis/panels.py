"""Line panels with bands: one column per scenario, one row per quantity, one line per algorithm or setting.

Curves are computed into a tidy frame first; drawing reads nothing else, so the frame is exactly what is shown.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis import labels, statistics, style
from envs import scenarios

POINTS = 100  # points per curve at the most: a 10 million step run has 625 iterations
QUANTITIES = {"return": ("episode_return", "Episode return"), "cost": ("episode_cost", "Episode cost")}
SHORT = 1_000_000  # below this many steps the axis counts thousands

LEFT, RIGHT, TOP, BOTTOM, GAP_X, GAP_Y = 0.72, 0.18, 0.42, 0.5, 0.55, 0.22  # inches around and between panels
NARROWEST = 3.6  # inches that a caption takes
ENTRY_WIDTH, ENTRY_HEIGHT = 1.3, 0.2  # inches an entry of the legend takes


@dataclass(frozen=True)
class Line:
    """One line of every panel: its value in the column that tells lines apart, legend text, colour, width and style."""

    key: object
    label: str
    colour: str
    width: float = 1.4
    style: str | tuple = "-"


def algorithm_lines(algorithms: Iterable[str]) -> list[Line]:
    """Return one line per distinct algorithm in the order of the legend, MAFOCOPS a little wider."""
    colours = style.colours(algorithms)
    return [Line(key, style.label(key), colour, 1.9 if key == "mafocops" else 1.4) for key, colour in colours.items()]


def curves(frame: pd.DataFrame, line: str) -> pd.DataFrame:
    """Return median and 25-75 % percentiles over the seeds on a common step grid.

    Each point is the mean of a run over one bin of steps, at most POINTS bins, then the percentiles over runs.

    Args:
        frame: rows of metrics files as from `collect.read`.
        line: column whose values tell the lines apart.

    Returns:
        columns `scenario`, `line`, `quantity`, `step` (end of the bin), `median`, `low`, `high`, `seeds`, `bound`.
    """
    parts = []
    for (scenario, key), group in frame.groupby(["scenario", line], sort=False):
        each = [run for _, run in group.groupby("file", sort=False)]
        points = min(POINTS, max(map(len, each)))
        edges = np.round(np.linspace(0, group["step"].max(), points + 1))
        for quantity, (column, _) in QUANTITIES.items():
            binned = [statistics.bin_means(run["step"].to_numpy(), run[column].to_numpy(), edges) for run in each]
            part = statistics.percentiles(np.stack(binned)).assign(step=edges[1:].astype(int))
            parts.append(part.assign(scenario=scenario, line=key, quantity=quantity, bound=group["bound"].iloc[0]))
    columns = ["scenario", "line", "quantity", "step", "median", "low", "high", "seeds", "bound"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def draw_line(axis: Axes, curve: pd.DataFrame, line: Line, unit: float) -> None:
    """Draw one median with its band; without a second seed there is no band."""
    x = curve["step"] / unit
    stroke = {"color": line.colour, "linewidth": line.width, "linestyle": line.style, "solid_capstyle": "round"}
    axis.plot(x, curve["median"], **stroke)
    if curve["seeds"].max() > 1:
        axis.fill_between(x, curve["low"], curve["high"], color=line.colour, alpha=0.18, linewidth=0)


def draw_bounds(axis: Axes, panel: pd.DataFrame, lines: Sequence[Line], shared: bool) -> None:
    """Draw the safety bound of a cost panel: one dashed line if `shared`, else one in each line's colour."""
    for line in lines:
        for bound in panel.loc[panel["line"] == line.key, "bound"].unique():
            axis.axhline(bound, color=style.INK if shared else line.colour, linestyle=(0, (4, 2)), linewidth=1.1)
        if shared and (panel["line"] == line.key).any():
            return  # drawn once, not once per line: overlaid dashes look solid in print


def frame_axes(
    rows: int, columns: int, lines: Sequence[Line], caption: str, bound: bool = True, margin: float = RIGHT
) -> tuple[Figure, np.ndarray]:
    """Return a figure of fixed panel size, legend above and caption below, and its (rows, columns) axes.

    Args:
        rows: of panels.
        columns: of panels.
        lines: entries of the legend; without any there is none.
        caption: text under the panels.
        bound: whether the legend names the dashed safety bound.
        margin: inches to the right of each panel.
    """
    gap = max(GAP_X, margin + GAP_X - RIGHT)
    width = max(LEFT + columns * style.PANEL_WIDTH + (columns - 1) * gap + margin, NARROWEST)
    text = textwrap.wrap(caption, int((width - 0.3) / style.CHARACTER_WIDTH))
    foot = BOTTOM + 0.12 + style.CAPTION_LINE * len(text)
    entries_per_row = int(width / ENTRY_WIDTH)
    head = TOP + (ENTRY_HEIGHT * -(-(len(lines) + 1) // entries_per_row) if lines else 0)
    height = head + rows * style.PANEL_HEIGHT + (rows - 1) * GAP_Y + foot
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), sharex="col", squeeze=False)
    figure.subplots_adjust(
        left=LEFT / width,
        right=(LEFT + columns * style.PANEL_WIDTH + (columns - 1) * gap) / width,
        top=1 - head / height,
        bottom=foot / height,
        wspace=gap / style.PANEL_WIDTH,
        hspace=GAP_Y / style.PANEL_HEIGHT,
    )
    figure.text(0.15 / width, 0.1 / height, "\n".join(text), fontsize=style.CAPTION_SIZE, color="#555555", va="bottom")
    if lines:
        _legend(figure, lines, entries_per_row, bound)
    return figure, axes


def _legend(figure: Figure, lines: Sequence[Line], entries_per_row: int, bound: bool) -> None:
    """Put one legend for all panels at the top, read row by row."""
    handles = [
        Line2D([], [], color=line.colour, linewidth=2.2, linestyle=line.style, label=line.label) for line in lines
    ]
    if bound:
        handles.append(Line2D([], [], color=style.INK, linestyle=(0, (4, 2)), linewidth=1.1, label="safety bound"))
    rows = -(-len(handles) // entries_per_row)
    columns = -(-len(handles) // rows)
    by_column = [handle for column in range(columns) for handle in handles[column::columns]]  # as matplotlib fills it
    figure.legend(handles=by_column, loc="upper center", ncols=columns, frameon=False, handlelength=1.6)


def draw(drawn: pd.DataFrame, columns: Sequence[str], lines: Sequence[Line], caption: str) -> Figure:
    """Draw the panels of Figures 2 to 6.

    Args:
        drawn: frame from `curves`.
        columns: scenario identifiers from left to right.
        lines: the first is drawn on top; each has its label at its right end.
        caption: text under the panels.
    """
    style.use()
    margin = max(map(labels.width, [line.label for line in lines] + ["bound 100"]))
    figure, axes = frame_axes(len(QUANTITIES), len(columns), (), caption, margin=margin)
    shared = drawn.empty or drawn.groupby("scenario")["bound"].nunique().max() == 1
    unit = 1e6 if drawn.empty or drawn["step"].max() >= SHORT else 1e3
    for column, scenario in enumerate(columns):
        for row, (quantity, (_, title)) in enumerate(QUANTITIES.items()):
            axis = axes[row, column]
            panel = drawn[(drawn["scenario"] == scenario) & (drawn["quantity"] == quantity)]
            for line in reversed(lines):
                draw_line(axis, panel[panel["line"] == line.key], line, unit)
            _finish(axis, panel, unit)
            if quantity == "cost":
                draw_bounds(axis, panel, lines, shared)
                axis.set_ylim(bottom=0)
            labels.at_ends(axis, _ends(panel, lines, unit, shared and quantity == "cost"))
            axis.set_ylabel(title if column == 0 else "")
        axes[0, column].set_title(scenarios.get(scenario).title)
        axes[-1, column].set_xlabel(f"Environment steps ({'millions' if unit == 1e6 else 'thousands'})")
    figure.align_ylabels(axes[:, 0])
    return figure


def _ends(panel: pd.DataFrame, lines: Sequence[Line], unit: float, bound: bool) -> list[tuple[float, float, str, str]]:
    """Return where each curve of a panel ends, with its name and colour; the safety bound as well if asked for."""
    known = panel.dropna(subset="median")
    lasts = {key: curve.iloc[-1] for key, curve in known.groupby("line")}
    ends = [
        (lasts[line.key]["step"] / unit, lasts[line.key]["median"], line.label, line.colour)
        for line in lines
        if line.key in lasts
    ]
    if bound and ends:
        ends.append(
            (panel["step"].max() / unit, panel["bound"].iloc[0], f"bound {panel['bound'].iloc[0]:g}", style.INK)
        )
    return ends


def say(axis: Axes, text: str) -> None:
    """Write in the middle of a panel why it is empty."""
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", color="#888888")


def _finish(axis: Axes, panel: pd.DataFrame, unit: float) -> None:
    """Set limits and ticks; say so in the panel if there is nothing to show."""
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_locator(MaxNLocator(5))
    if panel["median"].notna().any():
        axis.set_xlim(0, panel["step"].max() / unit)
    else:
        say(axis, "nothing to show")
