"""All algorithms over all scenarios at once, beside the paper's per-scenario medians.

Interquartile means with stratified bootstrap intervals and performance profiles (Agarwal et al., 2021), how often and
how far the safety bound is exceeded in training and at the end, and how likely MAFOCOPS is the better run when
feasibility comes first. Returns are divided by HAPPO's median, costs by the bound, to compare across scenarios.

    python -m analysis.comparison --metrics FILE ... --output BASE
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import captions, collect, output, panels, statistics, style, tables
from analysis.tables import ALL, Printed

# Column title and number of decimals of each quantity, in the order of the table.
QUANTITIES = {
    "return": ("Return / HAPPO", 2),
    "cost": ("Cost / bound", 2),
    "feasible": ("Feasible (share)", 2),
    "overshoot": ("Overshoot of violators", 2),
    "training_violation": ("Violation in training (share)", 2),
    "improvement": ("MAFOCOPS better (probability)", 2),
}
PROFILES = {"return": "Return / HAPPO's median", "cost": "Cost / bound"}


def scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the whole default runs with their scores.

    Returns:
        columns of `collect.runs`, `return` (divided by HAPPO's median; NaN where HAPPO did not run or has a median
        that is not positive), `cost` (divided by the bound), `feasible` (0 or 1) and `training_violation` (share of
        iterations above the bound).
    """
    frame = frame[frame["variant"].eq("default")]
    above = frame["episode_cost"].gt(frame["bound"]).where(frame["episode_cost"].notna()).astype(float)
    runs = collect.runs(frame).merge(above.groupby(frame["file"]).mean().rename("training_violation"), on="file")
    runs = runs[runs["whole"]]
    medians = runs[runs["algorithm"].eq("happo")].groupby("scenario")["final_return"].median()
    return runs.assign(
        **{"return": runs["final_return"] / runs["scenario"].map(medians.where(medians > 0))},
        cost=runs["final_cost"] / runs["bound"],
        feasible=runs["final_cost"].le(runs["bound"]).where(runs["final_cost"].notna()).astype(float),
    )


def _pooled(reduce: Callable[[np.ndarray], np.ndarray]) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Return a statistic of several strata (..., n_k) that pools their last axes."""
    return lambda samples: reduce(np.concatenate(samples, axis=-1))


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=-1)


def _aggregate(runs: pd.DataFrame, quantity: str) -> dict[str, float]:
    """Return one aggregate over all scenarios and seeds of one algorithm, with its interval."""
    known = runs.dropna(subset=quantity)
    strata = [part[quantity].to_numpy() for _, part in known.groupby("scenario")]
    if not strata:
        return dict.fromkeys(("ours", "low", "high"), float("nan"))
    statistic = _pooled(statistics.interquartile_mean if quantity in PROFILES else _mean)
    low, high = statistics.stratified_bootstrap(strata, statistic, np.random.default_rng(0))
    return {"ours": float(statistic(strata)), "low": low, "high": high}


def improvement(ours: pd.DataFrame, rival: pd.DataFrame) -> float:
    """Return the probability that a run of `ours` is the better one, feasibility first, averaged over scenarios.

    It is NaN if the two share no scenario.
    """
    final = ["final_return", "final_cost"]
    ours, rival = ours.dropna(subset=final), rival.dropna(subset=final)
    chances = []
    for scenario in sorted(set(ours["scenario"]) & set(rival["scenario"])):
        x, y = (runs[runs["scenario"] == scenario] for runs in (ours, rival))
        returns, costs = ((x[name].to_numpy(), y[name].to_numpy()) for name in final)
        chances.append(statistics.feasibility_first(returns, costs, x["bound"].iloc[0]))
    return float(np.mean(chances)) if chances else float("nan")


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison in the tidy form of all tables; there is no published number beside it."""
    rows = []
    ours = runs[runs["algorithm"] == "mafocops"]
    for algorithm in style.order(runs["algorithm"]):
        own = runs[runs["algorithm"] == algorithm]
        violators = own[own["feasible"] == 0]
        values = {name: _aggregate(own, name) for name in ("return", "cost", "feasible", "training_violation")}
        values["overshoot"] = {"ours": (violators["cost"] - 1).mean()}
        values["improvement"] = {"ours": improvement(ours, own) if algorithm != "mafocops" else float("nan")}
        common = {"setting": algorithm, "runs": len(own), "steps": own["steps"].min()}
        rows += [{"quantity": quantity, **values[quantity], **common} for quantity in QUANTITIES]
    frame = pd.DataFrame(rows).reindex(columns=tables.TIDY)
    return frame.assign(table="comparison", scenario=ALL, note="")


def _printed(rows: pd.DataFrame) -> Printed:
    """Return one line per algorithm, intervals in brackets."""
    cells = rows.set_index(["setting", "quantity"])
    lines = []
    for algorithm in dict.fromkeys(rows["setting"]):
        line = [style.label(algorithm)]
        for quantity, (_, decimals) in QUANTITIES.items():
            value, low, high = cells.loc[(algorithm, quantity), ["ours", "low", "high"]]
            between = f" [{tables.number(low, decimals)}, {tables.number(high, decimals)}]" if pd.notna(low) else ""
            line.append(tables.number(value, decimals) + between)
        lines.append(line)
    return Printed([("", "Algorithm"), *(("", title) for title, _ in QUANTITIES.values())], lines)


def profiles(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the share of runs above each threshold: columns `line`, `quantity`, `threshold`, `share`."""
    parts = []
    for algorithm in style.order(runs["algorithm"]):
        for quantity in PROFILES:
            values = runs.loc[runs["algorithm"] == algorithm, quantity].dropna().to_numpy()
            thresholds = np.linspace(0, max(1.5, runs[quantity].max()), 201)
            if len(values):
                share = statistics.performance_profile(values, thresholds)
                part = pd.DataFrame({"quantity": quantity, "threshold": thresholds, "share": share})
                # Beyond the best run the share stays at zero: nothing to draw there.
                parts.append(part[part["share"].shift(fill_value=1) > 0].assign(line=algorithm))
    columns = ["line", "quantity", "threshold", "share"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def draw(drawn: pd.DataFrame, caption: str) -> Figure:
    """Draw the performance profiles of return and cost side by side."""
    style.use()
    lines = panels.algorithm_lines(drawn["line"])
    figure, axes = panels.frame_axes(1, len(PROFILES), lines, caption)
    for axis, (quantity, title) in zip(axes[0], PROFILES.items(), strict=True):
        for line in reversed(lines):
            curve = drawn[(drawn["quantity"] == quantity) & (drawn["line"] == line.key)]
            axis.step(curve["threshold"], curve["share"], color=line.colour, linewidth=line.width, where="post")
        axis.set(xlabel=f"{title}, threshold", ylim=(0, 1.02), ylabel="Share of runs above")
        axis.set_xlim(left=0)
        if quantity == "cost":
            axis.axvline(1, color=style.INK, linestyle=(0, (4, 2)), linewidth=1.1)
    return figure


def main() -> None:
    """Command line."""
    options = output.parser("Compare all algorithms over all scenarios.").parse_args()
    frame = collect.read(options.metrics)
    every = collect.runs(frame[frame["variant"].eq("default")])
    runs = scores(frame)
    rests_on = captions.coverage(every, options.expected, collect.missing(options.metrics, frame))
    caption = (
        f"All scenarios ({runs['scenario'].nunique()}) and seeds together: interquartile mean of return and cost, "
        f"means of the rest, 95 % stratified bootstrap intervals in brackets. {rests_on} {options.note}"
    ).strip()
    rows, drawn = tidy(runs), profiles(runs)
    tables.save(rows, _printed(rows), caption, "comparison", options.output)
    what = f"Performance profiles: share of runs above a threshold. Dashed: safety bound. {rests_on} {options.note}"
    style.save(draw(drawn, what.strip()), drawn, what.strip(), f"{options.output}_profile")


if __name__ == "__main__":
    output.command(main)
