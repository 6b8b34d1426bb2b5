"""Stacked horizontal bars of time per environment step: one column per family of robots, one bar per algorithm."""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis import style
from envs.scenarios import SCENARIOS

FAMILIES = {"ant": "Ant", "halfcheetah": "HalfCheetah", "manyagent_ant": "ManyAgent Ant"}

BAR, TITLE_ROWS = 0.165, 1.4  # inches from one bar to the next; room above a scenario's bars for its name, in bars
LABELS, PANEL, GAP, HEAD, AXIS = 0.85, 2.35, 0.2, 0.62, 0.45  # inches
NARROWEST = 4.8  # inches that the legend takes
ROOM = 1.25  # length of the axis in longest bars: the speed stands behind each bar


def _positions(panel: pd.DataFrame) -> np.ndarray:
    """Return the vertical position of each bar, in bars from the top: a gap for a name above each scenario."""
    group = panel["scenario"].ne(panel["scenario"].shift()).cumsum()
    return np.arange(len(panel)) + TITLE_ROWS * group.to_numpy()


def _draw_family(axis: Axes, panel: pd.DataFrame, parts: Sequence[str], colours: Sequence[str]) -> None:
    """Draw the stacked bars of one family, scenario by scenario, each with its speed behind it."""
    y, left = _positions(panel), np.zeros(len(panel))
    for part, colour in zip(parts, colours, strict=True):
        axis.barh(y, panel[part], left=left, height=0.78, color=colour, linewidth=0)
        left += panel[part].to_numpy()
    for end, place, speed in zip(left, y, panel["speed"], strict=True):
        axis.annotate(f"{speed:,.0f} /s", (end, place), (3, 0), textcoords="offset points", va="center", fontsize=6.5)
    axis.set_yticks(y, [style.label(name) for name in panel["algorithm"]], fontsize=7.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    for scenario, first in panel.assign(y=y).groupby("scenario", sort=False)["y"].first().items():
        look = {"transform": axis.get_yaxis_transform(), "va": "bottom", "fontsize": 8, "color": style.INK}
        axis.text(0, first - 0.55, SCENARIOS[scenario].title, fontweight="bold", **look)
    axis.set_ylim(y[-1] + 0.7, 0)  # from the top down
    axis.set_title(FAMILIES[SCENARIOS[panel["scenario"].iloc[0]].family])


def draw(frame: pd.DataFrame, parts: Mapping[str, str], caption: str) -> Figure:
    """Draw one column of stacked bars per family, on a common axis of microseconds per environment step.

    Args:
        frame: rows in the order of the bars: `scenario`, `algorithm`, `speed` (environment steps per second, written
            behind the bar) and one column per part, in microseconds per environment step.
        parts: column and legend of each part, from the left.
        caption: text under the bars.
    """
    style.use()
    family = frame["scenario"].map(lambda name: SCENARIOS[name].family)
    columns = [frame[family == name] for name in FAMILIES if (family == name).any()]
    heights = [BAR * (_positions(panel)[-1] + 0.7) for panel in columns]
    width = max(len(columns) * (LABELS + PANEL + GAP), NARROWEST)
    pitch = width / max(len(columns), 1)
    text = textwrap.wrap(caption, int((width - 0.3) / style.CHARACTER_WIDTH))
    height = HEAD + max(heights, default=0) + AXIS + 0.12 + style.CAPTION_LINE * len(text)
    figure, colours = plt.figure(figsize=(width, height)), style.graded(len(parts))
    longest = frame[list(parts)].sum(axis=1).max()
    for i, (panel, tall) in enumerate(zip(columns, heights, strict=True)):
        place = (i * pitch + LABELS, height - HEAD - tall, pitch - LABELS - GAP, tall)
        axis = figure.add_axes(np.divide(place, (width, height, width, height)))
        _draw_family(axis, panel, list(parts), colours)
        axis.set(xlim=(0, ROOM * longest), xlabel="Microseconds per environment step")
    handles = [Patch(color=colour, label=label) for colour, label in zip(colours, parts.values(), strict=True)]
    figure.legend(handles=handles, loc="upper center", ncols=len(parts), frameon=False, handlelength=1.2)
    figure.text(0.15 / width, 0.1 / height, "\n".join(text), fontsize=style.CAPTION_SIZE, color="#555555", va="bottom")
    return figure
