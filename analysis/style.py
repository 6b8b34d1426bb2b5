"""How figures look: one colour per algorithm, names beside what they name, and saving with the numbers that are shown.

Colours are seaborn's colour-blind palette, but for a deeper blue and a darker grey: its own grey is its green to people
without green cones, and MAPPO lies beside MAPPO-L. Saving is deterministic: the same numbers give the same bytes where
the libraries are the same.
"""

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from scipy.optimize import isotonic_regression

from analysis import files
from analysis.results import LABELS, order

_PALETTE = sns.color_palette("colorblind").as_hex()
_COLOURS = dict(zip(LABELS, (_PALETTE[3], "#005f9e", _PALETTE[2], _PALETTE[4], "#585858"), strict=True))
_SPARE = [_PALETTE[i] for i in (1, 9, 5, 6)]  # for algorithms of other repositories
INK = "#333333"
DASHED = {"color": INK, "linestyle": (0, (4, 2)), "linewidth": 1.1}  # the safety bound

SIZE = 7.5  # points, of names in a figure and of the caption
CHARACTER = 0.7 * SIZE  # points a capital takes, on average
LINE = 1.2 * SIZE  # points from one line of text to the next
POINT = 4.0  # points from the middle of a marker to its rim
MARGIN = 7.0  # points between the end of a curve and its name
CHARACTER_WIDTH = 0.058  # inches, average in a caption
NARROWEST = 3.6  # inches that a caption takes
HEAD = 0.3  # inches that the title of a panel takes
# Where a name may stand beside a point, the best first: to the right (1) or left of it (-1), above it (1) or below.
SIDES = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 0.5), (1, -0.5), (-1, 0.5), (-1, -0.5)])


def colours(algorithms: Iterable[str]) -> dict[str, str]:
    """Return one colour per algorithm; ours never change, others take the spare ones in order of name."""
    names = order(algorithms)
    others = [name for name in names if name not in LABELS]
    return {name: _COLOURS.get(name) or _SPARE[others.index(name) % len(_SPARE)] for name in names}


def graded(count: int) -> list[str]:
    """Return `count` colours from dark to light for an ordered quantity, readable on white."""
    ramp = sns.color_palette("viridis", as_cmap=True)
    return [matplotlib.colors.to_hex(colour) for colour in ramp(np.linspace(0.08, 0.8, count))]


def use() -> None:
    """Set the look of all figures drawn afterwards. Fonts come with matplotlib, so every machine draws the same."""
    fine = {"axes.edgecolor": "#666666", "axes.linewidth": 0.7, "grid.color": "#E6E6E6", "grid.linewidth": 0.6}
    open_sides = {"axes.grid": True, "axes.spines.top": False, "axes.spines.right": False}
    look = fine | open_sides | {"svg.hashsalt": "analysis"}
    sns.set_theme("paper", "ticks", font="DejaVu Sans", font_scale=0.93, rc=look)


def panels(
    rows: int, columns: int, size: tuple[float, float], gap: tuple[float, float], sharex: str = "col"
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its (rows, columns) axes of a fixed size, which names beside curves and points rest on.

    Args:
        rows: number of panels from top to bottom.
        columns: number of panels from left to right.
        size: width and height of a panel in inches.
        gap: inches to the right of each panel and below it.
        sharex: which panels share their horizontal axis, "col" or "none".
    """
    use()
    width, height = columns * (size[0] + gap[0]), rows * (size[1] + gap[1])
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), sharex=sharex, squeeze=False)
    edges = {"left": 0, "right": 1 - gap[0] / width, "top": 1, "bottom": gap[1] / height}
    figure.subplots_adjust(**edges, wspace=gap[0] / size[0], hspace=gap[1] / size[1])
    return figure, axes


def legend(figure: Figure, looks: Mapping[str, Mapping[str, object]]) -> None:
    """Put one legend above all `panels`: what each line is called, and how it looks."""
    handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    middle = figure.axes[-1].get_position().x1 / 2
    place = {"loc": "lower center", "bbox_to_anchor": (middle, 1 + HEAD / figure.get_figheight())}
    figure.legend(handles=handles, ncols=6, frameon=False, handlelength=1.6, **place)


def width(text: str) -> float:
    """Return about how many inches a name takes with the gap before it."""
    return (MARGIN + CHARACTER * len(text)) / 72


def spread(wanted: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Return positions at least `gap` apart in [low, high], as near as possible to the wanted ones, in their order.

    Least squares under the constraint is the isotonic regression of `wanted - gap * rank`.

    Args:
        wanted: (n,) positions in any order.
        gap: least distance; less where [low, high] has no room for it.
        low: least position.
        high: largest position.
    """
    order = np.argsort(wanted, kind="stable")
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    pooled = isotonic_regression(wanted[order] - gap * np.arange(len(wanted))).x
    result = np.empty(len(wanted))
    result[order] = np.clip(pooled, low, high - gap * (len(wanted) - 1)) + gap * np.arange(len(wanted))
    return result


def at_ends(axis: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write names to the right of an axis, joined to the ends of their curves by a hairline.

    Args:
        axis: with its final limits and size.
        ends: x and y of the end of a curve, its name, and its colour.
    """
    if not ends:
        return
    scale, frame = 72 / axis.figure.dpi, axis.get_window_extent()
    points = axis.transData.transform([end[:2] for end in ends]) * scale
    heights = spread(points[:, 1], LINE, frame.y0 * scale + 0.4 * LINE, frame.y1 * scale)
    offsets = np.column_stack([np.full(len(ends), frame.x1 * scale + MARGIN), heights]) - points
    for (x, y, name, colour), offset in zip(ends, offsets, strict=True):
        # To the start of the name, not its middle, or the line would cross the names of neighbours.
        hair = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}
        look = {"color": colour, "fontsize": SIZE, "va": "center", "annotation_clip": False}
        axis.annotate(name, (x, y), offset, textcoords="offset points", arrowprops=hair, **look)


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the area that each box (k, 4) shares with all others (m, 4), (k,); left, bottom, right, top in points."""
    sides = np.minimum(boxes[:, None, 2:], others[:, 2:]) - np.maximum(boxes[:, None, :2], others[:, :2])
    return sides.clip(min=0).prod(axis=-1).sum(axis=-1)


def at_points(axis: Axes, points: Sequence[tuple[float, float, str, str]], others: np.ndarray) -> None:
    """Write names beside points, each where it covers least of the other names and points and of what is written.

    Args:
        axis: with its final limits and size.
        points: x, y, name and colour.
        others: (m, 2) x and y of what else should stay visible.
    """
    scale = 72 / axis.figure.dpi
    rims = np.repeat([POINT, POINT / 2], [len(points), len(others)])[:, None]
    middles = axis.transData.transform(np.concatenate([[point[:2] for point in points], others])) * scale
    written = [text.get_window_extent().extents * scale for text in axis.texts]
    taken = np.vstack([np.hstack([middles - rims, middles + rims]), *written])
    halo = [withStroke(linewidth=2, foreground="white", alpha=0.8)]  # on top of lines and small points
    for (x, y, name, colour), middle in zip(points, middles, strict=False):
        half = np.array([CHARACTER * len(name), LINE]) / 2
        offsets = SIDES * (POINT + 2) + np.sign(SIDES) * half
        boxes = np.hstack([middle + offsets - half, middle + offsets + half])
        outside = 4 * half.prod() - _overlap(boxes, axis.get_window_extent().extents[None] * scale)
        # Rounded, or the last bit would choose among equals.
        best = np.argmin(np.round(_overlap(boxes, taken) + outside, 6))
        taken = np.vstack([taken, boxes[best]])
        look = {"color": colour, "fontsize": SIZE, "va": "center", "path_effects": halo}
        axis.annotate(name, (x, y), offsets[best] - (half[0], 0), textcoords="offset points", **look)


def say(axis: Axes, text: str) -> None:
    """Write in the middle of a panel why it is empty."""
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", color="#888888")


def save(figure: Figure, drawn: pd.DataFrame, caption: str, base: str | Path) -> None:
    """Write BASE.svg, BASE.png (150 dpi, with the caption), BASE.csv (exactly what is drawn) and BASE.caption.txt."""
    contents = {".csv": drawn.to_csv(index=False, float_format="%.6g"), ".caption.txt": f"{caption}\n"}
    contents[".svg"] = _image(figure, "svg", {"Date": None, "Creator": None, "Description": caption})
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    text = textwrap.fill(caption, int(max(box.width - 0.2, NARROWEST) / CHARACTER_WIDTH))
    look = {"fontsize": SIZE, "color": "#555555", "va": "top", "linespacing": 1.25}
    figure.text((box.x0 + 0.1) / width, (box.y0 - 0.1) / height, text, **look)
    contents[".png"] = _image(figure, "png", {"Software": None})
    files.write(base, contents)


def _image(figure: Figure, kind: str, metadata: dict) -> bytes:
    """Return a drawing with all that stands on it and beside it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150, metadata=metadata, bbox_inches="tight", pad_inches=0.08)
    return buffer.getvalue()
