"""All algorithms over all scenarios at once, beside the paper's per-scenario medians.

Two tables: `comparison` has aggregates over all (scenario, seed), `comparison_pairs` every algorithm against every
other one, how probably its run is the better, and by how much on the same seed. All come with 95 % bootstrap
intervals, stratified by scenario.
"""

from collections.abc import Container, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import artefact, results, scores, statistics
from analysis.results import ALL, MODES, order
from workflow import layout

# Column title of each quantity, in the order of the table.
QUANTITIES = {
    "return": "Return / HAPPO (IQM)",
    "optimality_gap": "Optimality gap",
    "cost": "Cost / bound (IQM)",
    "feasible": "Feasible (share of runs)",
    "overshoot": "Overshoot D+ of violators",
    "feasible_from": "Feasible from (million steps)",
    "training_violation": "Violation in training (iterations)",
    "violation_stochastic": "Violation of final policy, stochastic (episodes)",
    "violation_deterministic": "Violation of final policy, deterministic (episodes)",
}
# The score a quantity rests on, where the names differ, and how it is reduced, where that is not a mean.
SCORES = {"optimality_gap": "return"}
REDUCE = {
    "return": statistics.interquartile_mean,
    "cost": statistics.interquartile_mean,
    "optimality_gap": statistics.optimality_gap,
    "feasible_from": statistics.median,
}
# Resamples may hold no violator, and runs that are never feasible have no number between others.
WITHOUT_INTERVAL = ("overshoot", "feasible_from")

OVER = " over "  # joins the two algorithms of a setting
# Score of the runs and column title of each quantity: the probability that X's score is higher, and by how much it is.
PROBABILITIES = {
    "improvement_feasibility_first": ("rank", "Better run, feasibility first (probability)"),
    "improvement_return": ("final_return", "Higher return (probability)"),
    "improvement_cost": ("negative_cost", "Lower cost (probability)"),
}
DIFFERENCES = {
    "difference_return": ("return", "Return / HAPPO, same seed (difference)"),
    "difference_cost": ("cost", "Cost / bound, same seed (difference)"),
}
OF_PAIRS = (
    "X over Y: probability that a run of X is better than one of Y on the same scenario, mean over scenarios, ties one "
    "half; Y over X has the complement. Feasibility first: a feasible run beats an infeasible one, two feasible ones "
    "compare by return, two infeasible ones by cost. Differences: median of X - Y over runs with the same seed: our "
    "algorithms start there from the same weights and states. In brackets 95 % bootstrap intervals, stratified by "
    "scenario: none if a scenario has a single run; one without width says that all seeds agree, not that the value is "
    "certain."
)


def _aggregate(runs: pd.DataFrame, quantity: str) -> dict[str, float]:
    """Return one aggregate over all scenarios and seeds of one algorithm, with its interval."""
    strata = scores.strata(runs, SCORES.get(quantity, quantity))
    statistic = statistics.pooled(REDUCE.get(quantity, statistics.mean))
    if quantity in WITHOUT_INTERVAL:
        return {"ours": float(statistic(strata)) if strata else np.nan, "low": np.nan, "high": np.nan}
    return statistics.estimate(strata, statistic)


def aggregates(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the aggregates in the tidy form of all tables, steps in environment steps; the paper has none of them."""
    rows = []
    for algorithm in order(runs["algorithm"]):
        own = runs[runs["algorithm"] == algorithm]
        common = {"setting": algorithm, "runs": len(own), "steps": own["steps"].min()}
        rows += [{"quantity": quantity, **_aggregate(own, quantity), **common} for quantity in QUANTITIES]
    frame = pd.DataFrame(rows).reindex(columns=artefact.TIDY)
    return frame.assign(table="comparison", scenario=ALL, note="")


def _cell(row: pd.Series) -> str:
    """Return a number as text, its interval in brackets."""
    value, low, high = row[["ours", "low", "high"]] / (1e6 if row["quantity"] == "feasible_from" else 1)
    return "never" if np.isinf(value) else artefact.interval(value, low, high, decimals=2)


def _printed(rows: pd.DataFrame, head: str, titles: Mapping[str, str]) -> pd.DataFrame:
    """Return one line per algorithm or pair, one column per quantity with a title."""
    lines = []
    for setting, own in rows.groupby("setting", sort=False):
        cells = own.set_index("quantity", drop=False)
        name = OVER.join(map(results.label, setting.split(OVER)))
        lines.append([name, *(_cell(cells.loc[quantity]) for quantity in titles)])
    return pd.DataFrame(lines, columns=[head, *titles.values()])


def _says(runs: pd.DataFrame, known: Container[str]) -> str:
    """Return what the columns of the table are; `known`: the quantities that it has."""
    evaluated = any(f"violation_{mode}" in known for mode in MODES)
    return (
        f"All scenarios ({runs['scenario'].nunique()}) and seeds together; in brackets 95 % bootstrap intervals, "
        "stratified by scenario: none if a scenario has a single run; one without width says that all seeds agree, "
        "not that the value is certain. "
        "IQM: mean of the middle half of the runs; HAPPO: its median return on the scenario; optimality gap: mean "
        "shortfall below HAPPO, which has no bound to keep; D+: (cost - bound) / bound, mean over the runs that end "
        "above the bound; feasible from: median over the runs of the step from which the mean cost over a tenth of the "
        "run stays within the bound. Violation: share of iterations above the bound"
        + (", and of episodes of the final policy." if evaluated else ".")
    )


def improvement(x: pd.DataFrame, y: pd.DataFrame, score: str) -> dict[str, float]:
    """Return the mean over their common scenarios of the probability that X's score is the higher one."""
    x, y = x.dropna(subset=score), y.dropna(subset=score)
    shared = set(x["scenario"]) & set(y["scenario"])
    strata = [part for runs in (x, y) for part in scores.strata(runs[runs["scenario"].isin(shared)], score)]
    return statistics.estimate(strata, statistics.mean_improvement) | {"runs": sum(map(len, strata))}


def paired(x: pd.DataFrame, y: pd.DataFrame, score: str) -> dict[str, float]:
    """Return the median of X - Y over the runs that have scenario and seed in common; pairs are resampled whole.

    The same seed means the same initial weights and the same states after resets, as far as both algorithms draw them
    alike: a difference within a pair is free of what these do to both.
    """
    both = x.merge(y, on=["scenario", "seed"], suffixes=("_x", "_y"))
    both = both.assign(difference=both[f"{score}_x"] - both[f"{score}_y"])
    strata = scores.strata(both, "difference")
    found = statistics.estimate(strata, statistics.pooled(statistics.median))
    return found | {"runs": sum(map(len, strata))}


def pairs(runs: pd.DataFrame) -> pd.DataFrame:
    """Return every pair over all scenarios and on each of them, in the tidy form of all tables.

    `runs` counts the runs of both algorithms for a probability, and pairs of runs for a difference.
    """
    runs = runs.assign(negative_cost=-runs["cost"])
    places = {ALL: runs} | dict(list(runs.groupby("scenario")))
    rows = []
    for first, second in combinations(order(runs["algorithm"]), 2):
        for scenario, here in places.items():
            x, y = (here[here["algorithm"] == name] for name in (first, second))
            found = {quantity: improvement(x, y, score) for quantity, (score, _) in PROBABILITIES.items()}
            found |= {quantity: paired(x, y, score) for quantity, (score, _) in DIFFERENCES.items()}
            common = {"scenario": scenario, "setting": f"{first}{OVER}{second}", "steps": here["steps"].min()}
            rows += [{"quantity": quantity, **values, **common} for quantity, values in found.items()]
    return pd.DataFrame(rows).reindex(columns=artefact.TIDY).assign(table="comparison_pairs", note="")


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return one of the two tables of metrics files; `comparison` takes evaluation files among them as well."""
    evaluations = [path for path in paths if Path(path).name.endswith(layout.EVALUATION)]
    metrics = [path for path in paths if path not in set(evaluations)]
    frame = results.read(metrics)
    every, missing = results.runs(results.default(frame)), results.missing(metrics, frame)
    runs = scores.of_runs(frame, every, results.evaluations(evaluations) if evaluations else None)
    if name == "comparison_pairs":
        rows = pairs(runs)
        titles = {quantity: title for quantity, (_, title) in (PROBABILITIES | DIFFERENCES).items()}
        table = _printed(rows[rows["scenario"] == ALL], "X over Y", titles)
        return artefact.Artefact(rows, OF_PAIRS, every, missing, table=table)
    rows = aggregates(runs)
    known = set(rows.loc[rows["ours"].notna(), "quantity"])  # what no run has gets no column
    table = _printed(rows, "Algorithm", {name: title for name, title in QUANTITIES.items() if name in known})
    return artefact.Artefact(rows, _says(runs, known), every, missing, table=table)
