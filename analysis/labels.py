"""Names written beside what they name, so that nobody has to look up a colour in a legend."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

SIZE = 7.5  # points
CHARACTER = 0.7 * SIZE  # points a capital takes, on average
LINE = 1.2 * SIZE  # points from one line of text to the next
POINT = 4.0  # points from the middle of a marker to its rim
MARGIN = 7.0  # points between the end of a curve and its name

Box = tuple[float, float, float, float]  # left, bottom, right, top in points


def width(text: str) -> float:
    """Return about how many inches a name takes with the gap before it."""
    return (MARGIN + CHARACTER * len(text)) / 72


def spread(wanted: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Return positions at least `gap` apart in [low, high], as near as possible to the wanted ones, in their order.

    Least squares under the constraint is the isotonic regression of `wanted - gap * rank` (pool adjacent violators).

    Args:
        wanted: (n,) positions in any order.
        gap: least distance; less where [low, high] has no room for it.
        low: least position.
        high: largest position.
    """
    order = np.argsort(wanted, kind="stable")
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    blocks: list[list[float]] = []  # mean and size of neighbours that touch
    for value in wanted[order] - gap * np.arange(len(wanted)):
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            blocks[-1] = [
                (blocks[-1][0] * blocks[-1][1] + mean * count) / (blocks[-1][1] + count),
                blocks[-1][1] + count,
            ]
    pooled = np.repeat([mean for mean, _ in blocks], [int(count) for _, count in blocks])
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
