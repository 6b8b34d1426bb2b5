"""Two figures on all runs together: performance profiles, and what fewer seeds would have said.

A profile is the share of runs above every threshold of return and cost, with pointwise 95 % bands (Agarwal et al. 2021,
section 4.2): a curve that lies above another one everywhere dominates it stochastically.

For n seeds, subsets of the seeds that were run are drawn without replacement, the same subset for every algorithm and
scenario. Subsets of nearly all seeds hold nearly the same runs, so what is shown at the right end flatters: it says how
many seeds were enough to repeat this result, not how many would repeat the experiment.
"""

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from analysis import artefact, curves, results, scores, statistics, style

THRESHOLDS = {"return": "Return / HAPPO's median, threshold", "cost": "Cost / bound, threshold"}
PROFILE = ["line", "quantity", "threshold", "share", "low", "high"]
POINTS = 201
LAST = 3.0  # threshold; who keeps no bound may cost many times it, and a scale up to there would hide the others
OF_PROFILES = (
    "Performance profiles: share of all runs (scenarios and seeds together) above a threshold; bands: pointwise 95 % "
    "bootstrap intervals, stratified by scenario, if each has several runs. Return: further right is better; cost: "
    "further left. Thresholds end at 3. Dashed: safety bound."
)

COUNTS = (2, 3, 4, 5, 7, 10, 15, 20, 30, 50)  # numbers of seeds that are looked at, and all there are
SUBSETS = 50  # per number of seeds at the most
RESAMPLES = 500  # of each subset's interval
GAP = (0.55, 0.22)  # inches beside a panel and below it
DODGE = 0.045  # between the points of two algorithms
SCORES = {"return": "Return / HAPPO", "cost": "Cost / bound"}
MEASURES = {"width": "Width of interval", "coverage": "Interval holds mean", "agreement": "Same conclusion"}
AGREEMENT = ["line", "quantity", "seeds", "subsets", *MEASURES]
OF_SEEDS = (
    "What fewer seeds would have said: up to 50 subsets of the seeds for each number. Top: width of the 95 % interval "
    "of the interquartile mean, relative to the mean of all seeds. Middle: share of these intervals that hold the mean "
    "of all seeds (dotted: 95 %); below, intervals are too narrow. Bottom: share of subsets with the conclusion of all "
    "seeds: of return, the place among the algorithms; of cost, the side of the bound. Subsets share runs with the "
    "whole, which flatters the lower two."
)


def profiles(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the profiles and their bands, columns PROFILE; without a second seed there are no bands."""
    parts = []
    for quantity in THRESHOLDS:
        last = min(max(1.5, runs[quantity].max()), LAST)
        thresholds = np.linspace(min(0, runs[quantity].min()), last, POINTS)
        for algorithm in results.order(runs.dropna(subset=quantity)["algorithm"]):
            strata = scores.strata(runs[runs["algorithm"] == algorithm], quantity)
            profile = statistics.pooled(lambda values, at=thresholds: statistics.performance_profile(values, at))
            low, high = statistics.stratified_bootstrap(strata, profile, np.random.default_rng(0))
            part = pd.DataFrame({"threshold": thresholds, "share": profile(strata), "low": low, "high": high})
            # Beyond the best run the share stays at zero: nothing to draw there.
            parts.append(part[part["share"].shift(fill_value=1) > 0].assign(line=algorithm, quantity=quantity))
    return pd.concat(parts, ignore_index=True)[PROFILE] if parts else pd.DataFrame(columns=PROFILE)


def draw_profiles(drawn: pd.DataFrame) -> Figure:
    """Draw the performance profiles of return and cost side by side."""
    lines = curves.algorithm_lines(drawn["line"])
    figure, axes = style.panels(1, len(THRESHOLDS), curves.PANEL, GAP)
    style.legend(figure, {line.label: {"color": line.colour} for line in lines} | {"safety bound": style.DASHED})
    for axis, (quantity, title) in zip(axes[0], THRESHOLDS.items(), strict=True):
        for line in reversed(lines):
            curve = drawn[(drawn["quantity"] == quantity) & (drawn["line"] == line.key)]
            x = curve["threshold"]
            axis.step(x, curve["share"], color=line.colour, linewidth=line.width, where="post")
            axis.fill_between(x, curve["low"], curve["high"], color=line.colour, alpha=0.13, linewidth=0, step="post")
        axis.set(xlabel=title, ylim=(0, 1.02), ylabel="Share of runs above", title=quantity.capitalize())
        axis.margins(x=0)
        if quantity == "cost":
            axis.axvline(1, **style.DASHED)
    return figure


def subsets(seeds: np.ndarray, size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Return all subsets of a size, or SUBSETS random ones where there are more."""
    if comb(len(seeds), size) <= SUBSETS:
        return [np.array(subset) for subset in combinations(seeds, size)]
    return [generator.choice(seeds, size, replace=False) for _ in range(SUBSETS)]


def complete(part: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a part of the runs of those algorithms that have all their scenarios in it."""
    here, there = (frame.groupby("algorithm")["scenario"].nunique() for frame in (part, runs))
    return part[part["algorithm"].map(here) == part["algorithm"].map(there)]


def means(runs: pd.DataFrame, quantity: str) -> pd.Series:
    """Return the interquartile mean of each algorithm."""
    return runs.groupby("algorithm")[quantity].agg(
        lambda values: float(statistics.interquartile_mean(values.to_numpy()))
    )


def conclusions(found: pd.Series, quantity: str) -> pd.Series:
    """Return what interquartile means say: an algorithm's place by return, or whether its cost is within the bound."""
    return found.le(1) if quantity == "cost" else found.rank(ascending=False)


def _subset(runs: pd.DataFrame, quantity: str, full: pd.Series, generator: np.random.Generator) -> pd.DataFrame:
    """Return the MEASURES of each algorithm that has runs in a subset of the runs.

    Args:
        runs: the runs of the subset.
        quantity: a key of SCORES.
        full: interquartile means of all runs by algorithm.
        generator: of the bootstrap.
    """
    found, iqm = means(runs, quantity), statistics.pooled(statistics.interquartile_mean)
    # Places are counted among the algorithms that are there: one whose runs failed moves no other.
    agrees = conclusions(found, quantity) == conclusions(full[found.index], quantity)
    rows = []
    for name in found.index:
        own = scores.strata(runs[runs["algorithm"] == name], quantity)
        low, high = statistics.stratified_bootstrap(own, iqm, generator, RESAMPLES)
        covered = float(low <= full[name] <= high) if np.isfinite(low) else np.nan
        rows.append((name, (high - low) / abs(full[name]), covered, float(agrees[name])))
    return pd.DataFrame(rows, columns=["line", *MEASURES])


def agreement(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of the MEASURES over the subsets of each size, columns AGREEMENT; empty with a single seed.

    An algorithm enters with those subsets that leave it a run on each of its scenarios; `subsets` counts them.
    """
    generator, rows = np.random.default_rng(0), []
    seeds = np.sort(runs["seed"].unique())
    for size in [*(count for count in COUNTS if count < len(seeds)), len(seeds)]:
        chosen = subsets(seeds, size, generator) if size > 1 else []
        for quantity in SCORES:
            known = runs.dropna(subset=quantity)
            full = means(known, quantity)
            for subset in chosen:
                part = complete(known[known["seed"].isin(subset)], known)
                rows.append(_subset(part, quantity, full, generator).assign(quantity=quantity, seeds=size, subsets=1))
    if not rows:
        return pd.DataFrame(columns=AGREEMENT)
    how = dict.fromkeys(MEASURES, "mean") | {"subsets": "sum"}
    return pd.concat(rows).groupby(["quantity", "seeds", "line"], as_index=False).agg(how)[AGREEMENT]


def draw_seeds(drawn: pd.DataFrame) -> Figure:
    """Draw the MEASURES against the number of seeds, of return and cost side by side."""
    colours = style.colours(drawn["line"])
    figure, axes = style.panels(len(MEASURES), len(SCORES), curves.PANEL, GAP)
    style.legend(figure, {results.label(name): {"color": colour} for name, colour in colours.items()})
    # Side by side, so that equal values do not hide each other.
    look = {"hue": "line", "palette": colours, "hue_order": list(colours), "dodge": DODGE * (len(colours) - 1)}
    look |= {"errorbar": None, "linewidth": 1.4, "markersize": 4, "legend": False, "clip_on": False}
    for column, (quantity, title) in enumerate(SCORES.items()):
        panel = drawn[drawn["quantity"] == quantity]
        for axis, (measure, name) in zip(axes[:, column], MEASURES.items(), strict=True):
            if panel.empty:
                style.say(axis, "needs several seeds" if drawn.empty else "nothing to show")
            else:
                sns.pointplot(panel, x="seeds", y=measure, ax=axis, **look)
            axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axis.set(xlabel="", ylabel=name if column == 0 else "", ylim=(0, None if measure == "width" else 1.06))
            if measure == "coverage":
                axis.axhline(0.95, color=style.INK, linewidth=0.8, linestyle=":")
        axes[0, column].set_title(title)
        axes[-1, column].set_xlabel("Number of seeds")
    figure.align_ylabels(axes[:, 0])
    return figure


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return one of the two figures of metrics files."""
    frame = results.read(paths)
    every, missing = results.runs(results.default(frame)), results.missing(paths, frame)
    runs = scores.of_runs(frame, every)
    if name == "comparison_seeds":
        drawn = agreement(runs)
        return artefact.Artefact(drawn, OF_SEEDS, every, missing, figure=draw_seeds(drawn))
    drawn = profiles(runs)
    return artefact.Artefact(drawn, OF_PROFILES, every, missing, figure=draw_profiles(drawn))
