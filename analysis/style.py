"""How figures look: one colour per algorithm, names beside what they name, and saving with the numbers that are shown.

Colours are seaborn's colour-blind palette, but for a deeper blue and a darker grey: its own grey is its green to people
without green cones, and MAPPO lies beside MAPPO-L. Saving is deterministic: the same numbers give the same bytes.
"""

import io
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.optimize import isotonic_regression

from analysis import files
from analysis.results import LABELS, order

_PALETTE = sns.color_palette("colorblind").as_hex()
_COLOURS = dict(zip(LABELS, (_PALETTE[3], "#005f9e", _PALETTE[2], _PALETTE[4], "#585858"), strict=True))
_SPARE = [_PALETTE[i] for i in (1, 9, 5, 6)]  # for algorithms of other repositories
INK = "#333333"

CAPTION_SIZE = 7.5  # points
CHARACTER_WIDTH = 0.058  # inches, average at CAPTION_SIZE
DASHED = {"color": INK, "linestyle": (0, (4, 2)), "linewidth": 1.1}  # the safety bound

SIZE = 7.5  # points, of names in a figure
CHARACTER = 0.7 * SIZE  # points a capital takes, on average
LINE = 1.2 * SIZE  # points from one line of text to the next
POINT = 4.0  # points from the middle of a marker to its rim
MARGIN = 7.0  # points between the end of a curve and its name

Box = tuple[float, float, float, float]  # left, bottom, right, top in points


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
    sns.set_theme(
        context="paper",
        style="ticks",
        rc={
            "font.family": "DejaVu Sans",
            "axes.grid": True,
            "grid.color": "#E6E6E6",
            "grid.linewidth": 0.6,
            "axes.edgecolor": "#666666",
            "axes.linewidth": 0.7,
            "axes.titlesize": 10,
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "xtick.major.size": 3,
            "ytick.major.size": 3,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "legend.fontsize": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "analysis",
        },
    )


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
    tall = axis.get_window_extent().height * 72 / axis.figure.dpi
    low, high = axis.get_ylim()
    unit = (high - low) / tall  # data units of one point
    places = spread(np.array([y for _, y, _, _ in ends]), LINE * unit, low + 0.4 * LINE * unit, high)
    side = 1 + MARGIN / 72 / (axis.get_window_extent().width / axis.figure.dpi)
    for (x, y, name, colour), place in zip(ends, places, strict=True):
        axis.annotate(
            name,
            (x, y),
            (side, place),
            textcoords=axis.get_yaxis_transform(),
            # To the start of the name, not its middle, or the line would cross the names of neighbours.
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.6,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
            **{"color": colour, "fontsize": SIZE, "va": "center", "annotation_clip": False},
        )


def _overlap(box: Box, others: Sequence[Box]) -> float:
    """Return the area that a box shares with others, in square points."""
    wide = [max(0.0, min(box[2], other[2]) - max(box[0], other[0])) for other in others]
    tall = [max(0.0, min(box[3], other[3]) - max(box[1], other[1])) for other in others]
    return float(np.dot(wide, tall))


def _candidates(x: float, y: float, text: str) -> list[Box]:
    """Return the boxes that a name may take around a point, the best first."""
    wide, tall, off = CHARACTER * len(text), LINE, POINT + 2
    right, left, middle = x + off, x - off - wide, x - wide / 2
    corners = [(right, y - tall / 2), (left, y - tall / 2), (middle, y + off), (middle, y - off - tall)]
    corners += [(right, y + off / 2), (right, y - off / 2 - tall), (left, y + off / 2), (left, y - off / 2 - tall)]
    return [(a, b, a + wide, b + tall) for a, b in corners]


def at_points(axis: Axes, points: Sequence[tuple[float, float, str, str]], others: np.ndarray) -> None:
    """Write names beside points, each where it covers least of the other names and points and of what is written.

    Args:
        axis: with its final limits and size.
        points: x, y, name and colour.
        others: (m, 2) x and y of what else should stay visible.
    """
    scale = 72 / axis.figure.dpi
    frame = axis.get_window_extent()
    rims = [POINT] * len(points) + [POINT / 2] * len(others)
    middles = axis.transData.transform(np.concatenate([[point[:2] for point in points], others])) * scale
    taken = [(x - rim, y - rim, x + rim, y + rim) for (x, y), rim in zip(middles, rims, strict=True)]
    taken += [tuple(text.get_window_extent().extents * scale) for text in axis.texts]
    for (x, y, text, colour), middle in zip(points, middles, strict=False):
        options = _candidates(*middle, text)
        inside = (frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
        area = CHARACTER * len(text) * LINE
        costs = [_overlap(box, taken) + area - _overlap(box, [inside]) for box in options]
        box = options[int(np.argmin(np.round(costs, 6)))]  # rounded, or the last bit would choose among equals
        taken.append(box)
        offset = (box[0] - middle[0], (box[1] + box[3]) / 2 - middle[1])
        halo = [withStroke(linewidth=2, foreground="white", alpha=0.8)]  # on top of lines and small points
        look = {"color": colour, "fontsize": SIZE, "va": "center", "path_effects": halo}
        axis.annotate(text, (x, y), offset, textcoords="offset points", **look)


def say(axis: Axes, text: str) -> None:
    """Write in the middle of a panel why it is empty."""
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", color="#888888")


def save(figure: Figure, drawn: pd.DataFrame, caption: str, base: str | Path) -> None:
    """Write BASE.svg, BASE.png (150 dpi, with the caption), BASE.csv (exactly what is drawn) and BASE.caption.txt."""
    contents = {".csv": drawn.to_csv(index=False, float_format="%.6g"), ".caption.txt": f"{caption}\n"}
    contents[".svg"] = _image(figure, "svg", {"Date": None, "Creator": None, "Description": caption})
    width, height = figure.get_size_inches()
    text = "\n".join(textwrap.wrap(caption, int((width - 0.3) / CHARACTER_WIDTH)))
    look = {"fontsize": CAPTION_SIZE, "color": "#555555", "va": "top", "linespacing": 1.25}
    figure.text(0.15 / width, -0.02 / height, text, **look)
    contents[".png"] = _image(figure, "png", {"Software": None})
    files.write(base, contents)


def _image(figure: Figure, kind: str, metadata: dict) -> bytes:
    """Return a drawing with all that stands on it and beside it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150, metadata=metadata, bbox_inches="tight", pad_inches=0.08)
    return buffer.getvalue()
