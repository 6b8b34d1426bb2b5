"""One row per run with its scores: what the comparison of all algorithms aggregates.

Returns are divided by HAPPO's median final return on the scenario and costs by the bound, so that scenarios can be
pooled. The divisor counts as known: intervals do not hold its own uncertainty.
"""

import numpy as np
import pandas as pd

from analysis import results, statistics
from analysis.results import IDENTITY, MODES


def _final_policy(evaluated: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run with its share of violating episodes in each mode, e.g. `violation_stochastic`."""
    above = evaluated.assign(above=evaluated["violation"] > 0)
    above = above.astype({"scenario": str, "algorithm": str})
    shares = above.groupby([*IDENTITY, "mode"])["above"].mean().unstack("mode")
    return shares.reindex(columns=list(MODES)).add_prefix("violation_").reset_index()


def of_runs(frame: pd.DataFrame, runs: pd.DataFrame, evaluated: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the scores of the default runs that are whole.

    A violation is the episode cost minus the bound, of several costs the worst: positive means violated.

    Args:
        frame: rows of metrics files as from `results.read`.
        runs: the default ones among them, as from `results.runs`.
        evaluated: rows of evaluation files as from `results.evaluations`; None: no policy was evaluated.

    Returns:
        columns of `results.runs`, scenario and algorithm as text, and
        `return`: final return / HAPPO's median; NaN where HAPPO did not run or has a median that is not positive.
        `cost`: final cost / bound, which is D + 1 of the normalised violation D = (cost - bound) / bound.
        `feasible`: 1 if the final violation is not positive, else 0.
        `overshoot`: D+, the final violation / bound of a run that violates; NaN of one that does not.
        `training_violation`: share of iterations above the bound.
        `feasible_from`: environment steps to lasting feasibility, infinity if never.
        `violation_stochastic`, `violation_deterministic`: share of evaluated episodes above the bound.
        `rank`: rank within the scenario, feasibility first.
    """
    trained = results.by_run(results.default(frame), "step", "violation")
    measured = {"final_violation": statistics.final_performance, "feasible_from": statistics.lasting_feasibility}
    runs = runs.assign(**{name: [measure(*run) for run in trained] for name, measure in measured.items()})
    above = frame["violation"].gt(0).where(frame["violation"].notna()).astype(float)
    runs["training_violation"] = runs["file"].map(above.groupby(frame["file"], observed=True).mean()).astype(float)
    runs = runs[runs["whole"]].reset_index(drop=True).astype({"scenario": str, "algorithm": str})
    medians = runs[runs["algorithm"].eq("happo")].groupby("scenario")["final_return"].median()
    violation = runs["final_violation"]
    runs = runs.assign(
        **{"return": runs["final_return"] / runs["scenario"].map(medians.where(medians > 0))},
        cost=runs["final_cost"] / runs["bound"],
        feasible=violation.le(0).where(violation.notna()).astype(float),
        overshoot=(violation / runs["bound"]).where(violation > 0),
        rank=_ranks(runs),
    )
    if evaluated is None:
        return runs.assign(**{f"violation_{mode}": np.nan for mode in MODES})
    return runs.merge(_final_policy(evaluated), on=IDENTITY, how="left")


def _ranks(runs: pd.DataFrame) -> pd.Series:
    """Return the rank of each run within its scenario, feasibility first; NaN of a run without any episode."""
    ranks = pd.Series(np.nan, runs.index)
    for _, part in runs.dropna(subset=["final_return", "final_violation"]).groupby("scenario"):
        values = part["final_return"].to_numpy(), part["final_violation"].to_numpy()
        ranks[part.index] = statistics.feasibility_first(*values, values[1] <= 0)
    return ranks


def strata(runs: pd.DataFrame, score: str) -> list[np.ndarray]:
    """Return the known values of a score, one array per scenario in order of name."""
    return [part[score].to_numpy() for _, part in runs.dropna(subset=score).groupby("scenario")]
