"""Return against cost, one panel per scenario: which algorithm is best among those that keep the bound.

Points are final performance (mean over the last tenth of the steps): one small point per seed, one large one at the
medians of each algorithm. To the right of the dashed bound no return makes up for the cost. Where a task has several
costs each has a panel of its own.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

from analysis import artefact, costs, results, style
from envs.scenarios import SCENARIOS

COLUMNS = ["scenario", "algorithm", "seed", "bound", "final_return", "final_cost", "median_return", "median_cost"]
PER_ROW = 4
PANEL, GAP = (2.75, 2.2), (0.55, 0.75)  # inches: width and height of a panel; beside it and below
ROOM = 1.6  # factor in cost left free beside the bound and the outer points, for names
LEAST_COST = 1.0  # costs below are drawn here: the axis is logarithmic, and below one unsafe step a run is safe
CAPTION = (
    "Pareto view. Final return against final cost (mean over the last tenth of the steps, logarithmic): small points "
    "are seeds, large ones medians over seeds of either; dashed: safety bound, shaded: above it."
)


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the whole default runs that finished an episode, in the usual order.

    Returns:
        COLUMNS: one row per run, its final return and cost, and beside them the medians over the seeds. With several
        costs one row for each, and its name in the column `cost`.
    """
    parts = [_tidy(each).assign(cost=name) for name, each in costs.each(results.default(frame))]
    tidied = pd.concat(parts).sort_values("scenario", kind="stable", ignore_index=True)
    return tidied if tidied["cost"].any() else tidied[COLUMNS]


def _tidy(frame: pd.DataFrame) -> pd.DataFrame:
    runs = results.runs(frame)
    runs = runs[runs["whole"]].dropna(subset=["final_return", "final_cost"])
    runs = runs.sort_values(["scenario", "algorithm", "seed"])
    seeds = runs.groupby(["scenario", "algorithm"], observed=True)
    medians = {f"median_{name}": seeds[f"final_{name}"].transform("median") for name in ("return", "cost")}
    return runs.assign(**medians)[COLUMNS]


def _medians(panel: pd.DataFrame) -> pd.DataFrame:
    """Return one row per algorithm: where its large point is drawn, and its colour."""
    heads = panel.drop_duplicates("algorithm")
    colours = heads["algorithm"].astype(str).map(style.colours(panel["algorithm"]))
    return heads.assign(x=heads["median_cost"].clip(lower=LEAST_COST), y=heads["median_return"], colour=colours)


def _draw_panel(axis: Axes, panel: pd.DataFrame) -> None:
    """Draw one scenario: seeds, medians with their names, the bound and what lies above it."""
    bound = panel["bound"].iloc[0]
    costs = panel["final_cost"].clip(lower=LEAST_COST)
    colours = panel["algorithm"].astype(str).map(style.colours(panel["algorithm"]))
    axis.scatter(costs, panel["final_return"], s=10, color=colours, alpha=0.45, linewidth=0)
    large = _medians(panel)[::-1]  # the first algorithm on top
    axis.scatter(large["x"], large["y"], s=46, color=large["colour"], edgecolor="white", linewidth=0.8, zorder=3)
    axis.set_xscale("log")
    low, high = min(costs.min(), bound) / ROOM, max(costs.max(), bound) * ROOM
    axis.axvspan(bound, high, color=style.INK, alpha=0.06, linewidth=0)
    axis.axvline(bound, **style.DASHED)
    axis.set_xlim(low, high)
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.locator_params(axis="y", nbins=5)
    axis.margins(y=0.12)
    top = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axis.annotate(f"bound {bound:g}", (bound, 1), (3, -9), **top, fontsize=style.SIZE, color=style.INK)


def _name_medians(axis: Axes, panel: pd.DataFrame) -> None:
    """Write the algorithms' names beside their medians."""
    points = [(row.x, row.y, results.label(row.algorithm), row.colour) for row in _medians(panel).itertuples()]
    bound = np.linspace(*axis.get_ylim(), 50)
    others = [panel[["final_cost", "final_return"]], np.column_stack([np.full(50, panel["bound"].iloc[0]), bound])]
    style.at_points(axis, points, np.concatenate(others))


def draw(drawn: pd.DataFrame) -> Figure:
    """Draw one panel per scenario and cost of a frame from `tidy`."""
    panels = dict(list(drawn.groupby(["scenario", *drawn.columns[len(COLUMNS) :]], observed=True, sort=False)))
    names = list(panels)
    figure, axes = style.panels(-(-len(names) // PER_ROW) or 1, min(len(names), PER_ROW) or 1, PANEL, GAP, "none")
    for axis in axes.flat[len(names) :]:
        axis.remove()
    for axis, (name, panel) in zip(axes.flat, panels.items(), strict=False):
        _draw_panel(axis, panel)
        axis.set_title(": ".join(filter(None, [SCENARIOS[name[0]].title, *name[1:]])))
        _name_medians(axis, panel)
        axis.set(xlabel="Final cost", ylabel="Final return" if axis in axes[:, 0] else "")
    return figure


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return the Pareto view of metrics files."""
    frame = results.read(paths)
    drawn = tidy(frame)
    runs = results.runs(results.default(frame))
    clipped = (drawn["final_cost"] < LEAST_COST).any()
    says = CAPTION + (f" Costs below {LEAST_COST:g} stand at {LEAST_COST:g}." if clipped else "")
    return artefact.Artefact(drawn, says, runs, results.missing(paths, frame), figure=draw(drawn))
