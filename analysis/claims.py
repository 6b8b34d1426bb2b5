"""Verdicts on what the supplement says in words of Tables 1 to 4 and Figures 2 to 6; it prints no number of the curves.

The sentences are rows of paper/claims.csv; here stands how they are measured. A sentence on a figure is decided by the
seeds: by their mean cost, or the share of pairs of runs for which it holds, at the end of training (mean over the last
tenth of the steps), and only where both ends of the number's interval say the same. Sentences that nothing of ours
decides are left out.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis import artefact, cells, judging, results, statistics
from analysis.judging import NAN, Claim, judged, too_short
from analysis.results import ALL, PUBLISHED_STEPS, WHOLE
from envs.scenarios import SAFETY_BOUND, SCENARIOS

FIGURES = ("figure2", "figure3", "figure4", "figure5")  # Figure 6 has levels of the bound instead of algorithms
TREND = "trend"  # the measure that needs all scenarios of a robot
DECISIVE = 3  # seeds of each algorithm, the fewest that could decide an ordering, without which resampling says little
UNBOUNDED, PUBLISHED = "inf", "1.3"  # values of nu_max

Sample = tuple[str, pd.DataFrame]  # a name for readers, and runs


def _level(runs: pd.DataFrame, quantity: str, bound: float) -> float:
    """Return the mean over the seeds, as a share of the bound."""
    return runs[quantity].mean() / bound


def _larger(ours: pd.DataFrame, rival: pd.DataFrame, quantity: str, _: float) -> float:
    """Return the share of pairs in which ours has the larger quantity; a tie counts one half."""
    return float(statistics.probability_of_improvement(ours[quantity].to_numpy(), rival[quantity].to_numpy()))


def _better(ours: pd.DataFrame, rival: pd.DataFrame, _: str, bound: float) -> float:
    """Return the share of pairs in which our run is better, feasibility first."""
    runs = pd.concat([ours, rival])
    returns, costs = runs["final_return"].to_numpy(), runs["final_cost"].to_numpy()
    ranks = statistics.feasibility_first(returns, costs, costs <= bound)
    return float(statistics.probability_of_improvement(ranks[: len(ours)], ranks[len(ours) :]))


def _difference(ours: pd.DataFrame, rival: pd.DataFrame, quantity: str, _: float) -> float:
    """Return the distance of the medians as a share of the larger in size; 0 where they are equal."""
    return float(_distances([ours[quantity].to_numpy(), rival[quantity].to_numpy()]))


MEASURES = {"level": _level, "larger": _larger, "better": _better, "difference": _difference}


def _interval(claim: Claim, ours: float, samples: Sequence[pd.DataFrame], bound: float) -> tuple[float, float]:
    """Return the interval of a measure of one or two samples of runs; NaN where there are too few."""
    sizes = [len(runs) for runs in samples]
    if claim.measure == "level":
        return statistics.mean_interval(samples[0][claim.quantity].to_numpy() / bound)
    if claim.measure in ("larger", "better"):
        return statistics.improvement_interval(ours, *sizes)
    if min(sizes) < DECISIVE:
        return NAN, NAN
    values = [runs[claim.quantity].to_numpy() for runs in samples]
    return statistics.stratified_bootstrap(values, _distances, np.random.default_rng(0))


def _distances(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Return `_difference` of many pairs of samples, (..., n) and (..., m) to (...)."""
    x, y = map(statistics.median, samples)
    larger = np.maximum(np.abs(x), np.abs(y))
    return np.divide(np.abs(x - y), larger, out=np.zeros_like(larger), where=larger > 0)


def of_figures(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts for all scenarios of Figures 2 to 5, and for those of Figure 6 that are in `results.read`."""
    means = frame.groupby("file", observed=True)["episode_return"].mean().rename("mean_return")  # of all iterations
    runs = results.runs(frame).merge(means, on="file").dropna(subset=["final_return", "final_cost"])
    default = results.default(runs)
    found = []
    for figure in FIGURES:
        for scenario in (name for name, row in SCENARIOS.items() if row.figure == figure):
            panel = default[default["scenario"] == scenario]
            each = [row for row in judging.claims(figure, scenario) if row.measure != TREND]
            found += [_on_panel(row, figure, scenario, panel) for row in each]
        found += [_on_robot(row, figure, default) for row in judging.claims(figure) if row.measure == TREND]
    named = runs["variant"].astype(str).str.startswith(f"{SAFETY_BOUND}=")
    levels = runs[(runs["algorithm"] == "mafocops") & (named | runs["variant"].eq("default"))]
    for scenario in runs.loc[named & runs["algorithm"].eq("mafocops"), "scenario"].unique():
        found += _on_levels(scenario, levels[levels["scenario"] == scenario])
    return found


def _runs_of(panel: pd.DataFrame, algorithm: str) -> pd.DataFrame:
    """Return the runs of an algorithm: those as long as the paper's if there are any, else the whole ones."""
    own = panel[panel["algorithm"] == algorithm]
    long = own["steps"] >= WHOLE * PUBLISHED_STEPS
    return own[long if long.any() else own["whole"]]


def _obstacle(samples: Sequence[Sample]) -> str:
    """Return why samples of runs cannot decide a claim; empty if they can."""
    for name, runs in samples:
        if runs.empty:
            return f"no finished run of {name} here"
    return too_short(min(runs["steps"].min() for _, runs in samples), PUBLISHED_STEPS)


def _decided(
    claim: Claim, where: tuple[str, str, str], samples: Sequence[Sample], bound: float = NAN
) -> dict[str, object]:
    """Return the verdict on a claim about one or two samples of runs; `where`: artefact, scenario, setting."""
    each, where = [runs for _, runs in samples], (*where, claim.shown.format(bound=bound))
    if not all(map(len, each)):
        return judged(claim, where, NAN, obstacle=_obstacle(samples))
    ours = MEASURES[claim.measure](*each, claim.quantity, bound)
    interval, detail = _interval(claim, ours, each, bound), _detail(each, claim.quantity)
    return judged(claim, where, ours, interval=interval, obstacle=_obstacle(samples), detail=detail)


def _detail(samples: Sequence[pd.DataFrame], quantity: str) -> str:
    """Return the medians that a claim rests on, and the number of seeds."""
    seeds = " and ".join(artefact.count(len(runs), "seed") for runs in samples)
    if not quantity:
        return seeds
    medians = " and ".join(f"{runs[quantity].median():.4g}" for runs in samples)
    return f"{'medians' if len(samples) > 1 else 'median cost'} {medians}, {seeds}"


def _on_panel(claim: Claim, figure: str, scenario: str, panel: pd.DataFrame) -> dict[str, object]:
    """Return the verdict on a claim about one algorithm or two, in one scenario."""
    samples = [(results.label(name), _runs_of(panel, name)) for name in claim.subject.split("/")]
    return _decided(claim, (figure, scenario, claim.subject), samples, SCENARIOS[scenario].bound)


def _on_robot(claim: Claim, figure: str, default: pd.DataFrame) -> dict[str, object]:
    """Return the verdict on a number that changes with how many agents share a robot."""
    names = [name for name, row in SCENARIOS.items() if row.figure == figure]
    each = {name: _runs_of(default[default["scenario"] == name], claim.subject) for name in names}
    present = pd.concat([runs for runs in each.values() if len(runs)] or [default.head(0)])
    missing = [SCENARIOS[name].title for name, runs in each.items() if runs.empty]
    none = f"no finished run of {', '.join(missing)} here" if missing else ""
    obstacle = none or _obstacle([(results.label(claim.subject), present)])
    where = (figure, ALL, claim.subject, claim.shown)
    ours = _correlation(present[claim.quantity], _agents(present))
    interval = statistics.correlation_interval(ours, len(present))
    return judged(claim, where, ours, interval=interval, obstacle=obstacle)


def _on_levels(scenario: str, runs: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on Figure 6: each bound is kept, and return and cost grow with it."""
    each = {bound: _runs_of(own, "mafocops") for bound, own in runs.groupby("bound")}
    keeps, *grow = judging.claims("figure6")
    found = []
    for bound, own in each.items():
        setting = f"bound {bound:g}"
        found.append(_decided(keeps, ("figure6", scenario, setting), [(setting, own)], bound))
    for low, high in pairwise(sorted(each)):
        where = ("figure6", scenario, f"bound {high:g}/{low:g}")
        found += [_decided(row, where, [("MAFOCOPS", each[high]), ("MAFOCOPS", each[low])]) for row in grow]
    return found


def _agents(rows: pd.DataFrame) -> pd.Series:
    """Return the number of agents of each row's scenario."""
    return rows["scenario"].astype(object).map(lambda name: SCENARIOS[name].agents).astype(float)


def _correlation(values: pd.Series, agents: pd.Series) -> float:
    """Return the rank correlation with the number of agents; values that are all the same do not change: 0."""
    return float(np.nan_to_num(values.rank().corr(agents.rank()))) if agents.nunique() > 1 else NAN


def of_table(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on what Appendices H and I say of one of Tables 1 to 4, given in the tidy form."""
    name, rows, found = table["table"].iloc[0], cells.printed(table), []
    for claim in judging.claims(name):
        own = rows[rows["quantity"] == claim.quantity]
        here = own[own["scenario"] != ALL]
        places = [scenario for scenario in SCENARIOS if scenario in set(here["scenario"])]
        match claim.measure:
            case "trend":
                found.append(_on_robots(claim, name, own[own["setting"] == claim.subject]))
            case "spread":
                found.append(_on_values(claim, name, ALL, own[own["scenario"] == ALL]))
            case "loss":
                ends = own["setting"].isin([PUBLISHED, UNBOUNDED])
                found.append(_on_values(claim, name, ALL, own[ends & own["scenario"].eq(ALL)]))
            case "pattern":
                found += [_on_values(claim, name, place, here[here["scenario"] == place]) for place in places]
    return found


def _on_robots(claim: Claim, name: str, rows: pd.DataFrame) -> dict[str, object]:
    """Return the verdict on the mean rank correlation with the agents, over the robots with several splits."""
    measured, means = rows.dropna(subset=["ours"]), []
    for part, column in ((measured, "ours"), (rows, "paper")):
        robots = part["scenario"].map(lambda scenario: SCENARIOS[scenario].figure)
        found = pd.Series([_correlation(own[column], _agents(own)) for _, own in part.groupby(robots)], dtype=float)
        means.append(found.mean())
    obstacle = too_short(measured["steps"].min(), cells.STEPS[name]) if len(measured) else judging.NOT_MEASURED
    detail = f"mean rank correlation with the agents of one robot, {artefact.count(len(measured), 'scenario')}"
    # These rest on repeated measurements of one machine, which hardly differ: the number itself decides.
    exact = (means[0], means[0])
    return judged(claim, (name, ALL, claim.subject, claim.shown), *means, exact, obstacle=obstacle, detail=detail)


def _on_values(claim: Claim, name: str, scenario: str, rows: pd.DataFrame) -> dict[str, object]:
    """Return the verdict on how little one number depends on lambda (Table 3) or nu_max (Table 4)."""
    values = rows.set_index("setting")
    ours, paper = (_change(claim.measure, values[column]) for column in ("ours", "paper"))
    if claim.measure == "loss":
        interval = tuple(
            1 - values[end].get(UNBOUNDED, NAN) / values[other].get(PUBLISHED, NAN)
            for end, other in (("high", "low"), ("low", "high"))
        )
    else:  # the noise of seeds only adds to a spread
        interval = (np.maximum(values["low"].max(skipna=False) - values["high"].min(skipna=False), 0), ours)
    obstacle = next(filter(None, (cells.obstacle(name, row) for _, row in rows.iterrows())), "")
    return judged(claim, (name, scenario, claim.subject, claim.shown), ours, paper, interval, obstacle)


def _change(measure: str, values: pd.Series) -> float:
    """Return the largest value less the smallest, or the share lost without a bound on nu; NaN if one is missing."""
    if measure == "loss":
        return 1 - values.get(UNBOUNDED, NAN) / values.get(PUBLISHED, NAN)
    return values.max() - values.min() if values.notna().all() and len(values) > 1 else NAN
