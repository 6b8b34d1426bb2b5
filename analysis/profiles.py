"""Performance profiles: the share of runs above every threshold of return and cost, with pointwise 95 % bands.

Agarwal et al. (2021), section 4.2: a curve that lies above another one everywhere dominates it stochastically.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import panels, scores, statistics, style

NAME = "profile"
SCORES = {"return": "Return / HAPPO's median, threshold", "cost": "Cost / bound, threshold"}
COLUMNS = ["line", "quantity", "threshold", "share", "low", "high"]
POINTS = 201
LAST = 3.0  # threshold; who keeps no bound may cost many times it, and a scale up to there would hide the others
CAPTION = (
    "Performance profiles: share of all runs (scenarios and seeds together) above a threshold; bands: pointwise 95 % "
    "bootstrap intervals, stratified by scenario, if each has several runs. Return: further right is better; cost: "
    "further left. Thresholds end at 3. Dashed: safety bound."
)


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the profiles and their bands, columns COLUMNS; without a second seed there are no bands."""
    parts = []
    for quantity in SCORES:
        last = min(max(1.5, runs[quantity].max()), LAST)
        thresholds = np.linspace(min(0, runs[quantity].min()), last, POINTS)
        for algorithm in style.order(runs.dropna(subset=quantity)["algorithm"]):
            strata = scores.strata(runs[runs["algorithm"] == algorithm], quantity)
            profile = statistics.pooled(lambda values, at=thresholds: statistics.performance_profile(values, at))
            low, high = statistics.stratified_bootstrap(strata, profile, np.random.default_rng(0))
            part = pd.DataFrame({"threshold": thresholds, "share": profile(strata), "low": low, "high": high})
            # Beyond the best run the share stays at zero: nothing to draw there.
            parts.append(part[part["share"].shift(fill_value=1) > 0].assign(line=algorithm, quantity=quantity))
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def draw(drawn: pd.DataFrame, caption: str) -> Figure:
    """Draw the performance profiles of return and cost side by side."""
    style.use()
    lines = panels.algorithm_lines(drawn["line"])
    figure, axes = panels.frame_axes(1, len(SCORES), lines, caption)
    for axis, (quantity, title) in zip(axes[0], SCORES.items(), strict=True):
        for line in reversed(lines):
            curve = drawn[(drawn["quantity"] == quantity) & (drawn["line"] == line.key)]
            x = curve["threshold"]
            axis.step(x, curve["share"], color=line.colour, linewidth=line.width, where="post")
            axis.fill_between(x, curve["low"], curve["high"], color=line.colour, alpha=0.13, linewidth=0, step="post")
        axis.set(xlabel=title, ylim=(0, 1.02), ylabel="Share of runs above", title=quantity.capitalize())
        axis.margins(x=0)
        if quantity == "cost":
            axis.axvline(1, color=style.INK, linestyle=(0, (4, 2)), linewidth=1.1)
    return figure
