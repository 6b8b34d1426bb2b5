"""All algorithms over all scenarios at once, beside the paper's per-scenario medians.

Four artefacts from one reading of the runs: a table of aggregates (here), every pair of algorithms (`pairs`),
performance profiles (`profiles`) and what fewer seeds would have said (`seeds`). Each aggregate comes with its 95 %
bootstrap interval, stratified by scenario, over all (scenario, seed).

    python -m analysis.comparison --metrics FILE ... [--evaluations FILE ...] --output BASE
"""

import numpy as np
import pandas as pd

from analysis import captions, collect, evaluation, output, pairs, profiles, scores, seeds, statistics, style, tables
from analysis.tables import ALL, Printed

# Column title and number of decimals of each quantity, in the order of the table.
QUANTITIES = {
    "return": ("Return / HAPPO (IQM)", 2),
    "optimality_gap": ("Optimality gap", 2),
    "cost": ("Cost / bound (IQM)", 2),
    "feasible": ("Feasible (share of runs)", 2),
    "overshoot": ("Overshoot D+ of violators", 2),
    "feasible_from": ("Feasible from (million steps)", 2),
    "training_violation": ("Violation in training (iterations)", 2),
    "violation_stochastic": ("Violation of final policy, stochastic (episodes)", 2),
    "violation_deterministic": ("Violation of final policy, deterministic (episodes)", 2),
}
# The score a quantity rests on, where the names differ, and how it is reduced, where that is not a mean.
SCORES = {"optimality_gap": "return"}
REDUCE = {
    "return": statistics.interquartile_mean,
    "cost": statistics.interquartile_mean,
    "optimality_gap": statistics.optimality_gap,
    "feasible_from": lambda values: np.median(values, axis=-1),
}
# Resamples may hold no violator, and runs that are never feasible have no number between others.
WITHOUT_INTERVAL = ("overshoot", "feasible_from")


def _aggregate(runs: pd.DataFrame, quantity: str) -> dict[str, float]:
    """Return one aggregate over all scenarios and seeds of one algorithm, with its interval."""
    strata = scores.strata(runs, SCORES.get(quantity, quantity))
    if not strata:
        return dict.fromkeys(("ours", "low", "high"), float("nan"))
    statistic = statistics.pooled(REDUCE.get(quantity, statistics.mean))
    low, high = float("nan"), float("nan")
    if quantity not in WITHOUT_INTERVAL:
        low, high = statistics.stratified_bootstrap(strata, statistic, np.random.default_rng(0))
    return {"ours": float(statistic(strata)), "low": low, "high": high}


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the aggregates in the tidy form of all tables, steps in environment steps; the paper has none of them."""
    rows = []
    for algorithm in style.order(runs["algorithm"]):
        own = runs[runs["algorithm"] == algorithm]
        common = {"setting": algorithm, "runs": len(own), "steps": own["steps"].min()}
        rows += [{"quantity": quantity, **_aggregate(own, quantity), **common} for quantity in QUANTITIES]
    frame = pd.DataFrame(rows).reindex(columns=tables.TIDY)
    return frame.assign(table="comparison", scenario=ALL, note="")


def _cell(row: pd.Series, decimals: int) -> str:
    """Return an aggregate as text, its interval in brackets."""
    value, low, high = row[["ours", "low", "high"]] / (1e6 if row["quantity"] == "feasible_from" else 1)
    return "never" if np.isinf(value) else tables.interval(value, low, high, decimals)


def _printed(rows: pd.DataFrame) -> Printed:
    """Return one line per algorithm; quantities that no run has are left out."""
    known = [name for name in QUANTITIES if rows.loc[rows["quantity"] == name, "ours"].notna().any()]
    lines = []
    for algorithm, own in rows.groupby("setting", sort=False):
        cells = own.set_index("quantity", drop=False)
        lines.append([style.label(algorithm), *(_cell(cells.loc[name], QUANTITIES[name][1]) for name in known)])
    return Printed([("", "Algorithm"), *(("", QUANTITIES[name][0]) for name in known)], lines)


def _caption(runs: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Return what the columns of the table are."""
    evaluated = rows.loc[rows["quantity"].isin([f"violation_{mode}" for mode in scores.MODES]), "ours"].notna().any()
    sentences = [
        f"All scenarios ({runs['scenario'].nunique()}) and seeds together; in brackets 95 % bootstrap intervals, "
        "stratified by scenario: none if a scenario has a single run; one without width says that all seeds agree, "
        "not that the value is certain.",
        "IQM: mean of the middle half of the runs; HAPPO: its median return on the scenario; optimality gap: mean "
        "shortfall below HAPPO, which has no bound to keep; D+: (cost - bound) / bound, mean over the runs that end "
        "above the bound; feasible from: median over the runs of the step from which the mean cost over a tenth of the "
        "run stays within the bound.",
        "Violation: share of iterations above the bound"
        + (", and of episodes of the final policy." if evaluated else "."),
    ]
    return " ".join(filter(None, sentences))


def main() -> None:
    """Command line."""
    parser = output.parser("Compare all algorithms over all scenarios.")
    parser.add_argument("--evaluations", nargs="*", metavar="FILE", help="evaluation.csv files, or @FILE")
    options = parser.parse_args()
    frame = collect.read(options.metrics)
    evaluated = evaluation.read(options.evaluations) if options.evaluations else None
    runs = scores.of_runs(frame, evaluated)
    every = collect.runs(frame[frame["variant"].eq("default")])
    rests_on = captions.coverage(every, options.expected, collect.missing(options.metrics, frame))
    foot = f"{rests_on} {options.note}".strip()
    rows = tidy(runs)
    # All is computed before the first file is written.
    figures = [(part, part.tidy(runs)) for part in (profiles, seeds)]
    both = pairs.tidy(runs)
    tables.save(rows, _printed(rows), f"{_caption(runs, rows)} {foot}", "comparison", options.output)
    tables.save(both, pairs.printed(both), f"{pairs.CAPTION} {foot}", "comparison_pairs", f"{options.output}_pairs")
    for part, drawn in figures:
        caption = f"{part.CAPTION} {foot}"
        style.save(part.draw(drawn, caption), drawn, caption, f"{options.output}_{part.NAME}")


if __name__ == "__main__":
    output.command(main)
