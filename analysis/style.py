"""How figures look: labels, one colour per algorithm, sizes, and saving a figure with the numbers it shows.

Colours are seaborn's colour-blind palette, but for a deeper blue and a darker grey: its own grey is its green to people
without green cones, and MAPPO lies beside MAPPO-L. Saving is deterministic: the same numbers give the same bytes.
"""

import io
from collections.abc import Iterable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from analysis import output

LABELS = {"mafocops": "MAFOCOPS", "macpo": "MACPO", "mappo_l": "MAPPO-L", "happo": "HAPPO", "mappo": "MAPPO"}
_PALETTE = sns.color_palette("colorblind").as_hex()
_COLOURS = dict(zip(LABELS, (_PALETTE[3], "#005f9e", _PALETTE[2], _PALETTE[4], "#585858"), strict=True))
_SPARE = [_PALETTE[i] for i in (1, 9, 5, 6)]  # for algorithms of other repositories
INK = "#333333"

PANEL_WIDTH, PANEL_HEIGHT = 2.75, 1.95  # inches
CAPTION_SIZE = 7.5  # points
CAPTION_LINE = 0.145  # inches from one line of the caption to the next
CHARACTER_WIDTH = 0.058  # inches, average at CAPTION_SIZE


def label(algorithm: str) -> str:
    """Return the display name of an algorithm; one that is not ours keeps its identifier."""
    return LABELS.get(algorithm, algorithm)


def order(algorithms: Iterable[str]) -> list[str]:
    """Return the distinct algorithms in the order of LABELS, others after them by name."""
    names = set(algorithms)
    return [name for name in LABELS if name in names] + sorted(names - set(LABELS))


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


def save(figure: Figure, drawn: pd.DataFrame, caption: str, base: str | Path) -> None:
    """Write BASE.svg, BASE.png (150 dpi), BASE.csv (exactly what is drawn) and BASE.caption.txt."""
    images = {}
    for kind, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
        images[f".{kind}"] = buffer.getvalue()
    text = {".csv": drawn.to_csv(index=False, float_format="%.6g"), ".caption.txt": f"{caption}\n"}
    output.write(base, {**images, **text})
