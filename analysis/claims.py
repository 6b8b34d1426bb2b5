"""Verdicts on what the supplement says of Figures 2 to 6 in words; it prints no number of their curves.

Every sentence is decided by the seeds: by the share of runs, or of pairs of runs, for which it holds at the end of
training (mean over the last tenth of the steps). Sentences that no curve decides are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis import captions, results, statistics, style
from analysis.captions import PUBLISHED_STEPS
from analysis.judging import STATEMENTS, judged, too_short
from analysis.results import WHOLE
from analysis.tables import ALL
from envs.scenarios import SCENARIOS

NAMES = {"final_return": "final return", "final_cost": "final cost", "mean_return": "mean return of the whole training"}
SIMILAR = 0.25  # medians that differ by at most this share of the larger are "similar": the paper gives no number
BOUND_VARIANT = "safety_bound="
EVERYWHERE = ("figure2", "figure3", "figure4", "figure5")
HALF_CHEETAH = ("figure3",)
ANTS = ("figure2", "figure4", "figure5")
TABLE_3 = ("ant_2x4", "halfcheetah_2x3", "manyagent_ant_2x3", "manyagent_ant_2x4")


@dataclass(frozen=True)
class Claim:
    """A sentence on two algorithms in one panel.

    Attributes:
        kind: `above`, `similar` or `different` (medians within SIMILAR or not), or `better` (feasibility first).
        where: figures, or scenarios, it is made for.
        source: section and words of the supplement.
    """

    kind: str
    algorithm: str
    rival: str
    quantity: str
    where: tuple[str, ...]
    source: str


_OUTPERFORMS = 'Appendix G: "MAFOCOPS consistently outperforms MACPO"'
_SUPERIOR = 'Appendix G: "MAFOCOPS consistently demonstrates superior overall performance across all tasks"'
_FASTER = 'Appendix G: "similar performance compared to the other two algorithms in HalfCheetah [...] faster learning"'
_LIKE_MAPPO = 'Appendix G: "MAPPO-L algorithm always achieves the similar performance as MAPPO, except in HalfCheetah"'
_NORMALISED = "Table 3: at lambda 2.2 MAFOCOPS has less than HAPPO in all four scenarios"
_HARD = "Appendix G: MAFOCOPS and MACPO are hard constraint algorithms; bounds in the captions"
_UNAWARE = 'Appendix G: HAPPO and MAPPO are "safety-unaware MARL algorithms"'
_AGENTS = (
    'Appendix G: "hard constraint algorithm, their performance would degrade with the increasing number of agents"'
)
_LEVELS = 'Appendix I: "overall effectiveness remains consist across different safety levels"; bounds but 50 are ours'
_STRINGENT = 'Appendix I: "reward performance [...] diminishes as the safety constraints become more stringent"'

CLAIMS = (
    Claim("above", "mafocops", "macpo", "final_return", EVERYWHERE, _OUTPERFORMS),
    *(Claim("better", "mafocops", rival, "", EVERYWHERE, _SUPERIOR) for rival in ("macpo", "mappo_l")),
    *(Claim("similar", "mafocops", rival, "final_return", HALF_CHEETAH, _FASTER) for rival in ("macpo", "mappo_l")),
    *(Claim("above", "mafocops", rival, "mean_return", HALF_CHEETAH, _FASTER) for rival in ("macpo", "mappo_l")),
    *(Claim("similar", "mappo_l", "mappo", name, ANTS, _LIKE_MAPPO) for name in ("final_return", "final_cost")),
    Claim("different", "mappo_l", "mappo", "final_cost", HALF_CHEETAH, _LIKE_MAPPO),
    *(Claim("above", "happo", "mafocops", name, TABLE_3, _NORMALISED) for name in ("final_return", "final_cost")),
)
WITHIN = {"mafocops": (True, _HARD), "macpo": (True, _HARD), "happo": (False, _UNAWARE), "mappo": (False, _UNAWARE)}


def judge(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on the claims for all scenarios of Figures 2 to 5 and for those of Figure 6 that were run.

    Args:
        frame: rows from `results.read`.
    """
    runs = _summary(frame)
    default = runs[runs["variant"] == "default"]
    found = []
    for figure in EVERYWHERE:
        for scenario in (name for name, row in SCENARIOS.items() if row.figure == figure):
            panel = default[default["scenario"] == scenario]
            found += [_bound(figure, scenario, panel, algorithm) for algorithm in WITHIN]
            found += [_pair(figure, scenario, panel, claim) for claim in CLAIMS if {figure, scenario} & {*claim.where}]
        found += [_agents(figure, default, algorithm) for algorithm in ("mafocops", "macpo")]
    bounds = runs[(runs["algorithm"] == "mafocops") & _varies_bound(runs)]
    for scenario in bounds.loc[bounds["variant"] != "default", "scenario"].unique():
        found += _levels(scenario, bounds[bounds["scenario"] == scenario])
    return found


def _varies_bound(runs: pd.DataFrame) -> pd.Series:
    return runs["variant"].eq("default") | runs["variant"].astype(str).str.startswith(BOUND_VARIANT)


def _summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `results.runs` with `mean_return`, the mean over all iterations."""
    runs = results.runs(frame)
    means = frame.groupby("file")["episode_return"].mean().rename("mean_return")
    return runs.merge(means, on="file").dropna(subset=["final_return", "final_cost"])


def _runs_of(panel: pd.DataFrame, algorithm: str) -> pd.DataFrame:
    """Return the runs of an algorithm: those as long as the paper's if there are any, else the whole ones."""
    own = panel[panel["algorithm"] == algorithm]
    long = own["steps"] >= WHOLE * PUBLISHED_STEPS
    return own[long if long.any() else own["whole"]]


def _obstacle(*samples: tuple[str, pd.DataFrame]) -> str:
    """Return why named samples of runs cannot decide a claim; empty if they can."""
    for name, runs in samples:
        if runs.empty:
            return f"no finished run of {name} here"
    return too_short(min(runs["steps"].min() for _, runs in samples), PUBLISHED_STEPS)


def _statement(artefact: str, scenario: str, setting: str, quantity: str, ours: float) -> dict[str, object]:
    what = {"kind": STATEMENTS, "artefact": artefact, "scenario": scenario, "setting": setting}
    return what | {"quantity": quantity, "ours": ours}


def _bound(figure: str, scenario: str, panel: pd.DataFrame, algorithm: str) -> dict[str, object]:
    """Return the verdict on an algorithm's final cost: within the bound, or above it."""
    runs, (within, source) = _runs_of(panel, algorithm), WITHIN[algorithm]
    return _within(figure, scenario, algorithm, runs, SCENARIOS[scenario].bound, within, source)


def _within(
    artefact: str, scenario: str, setting: str, runs: pd.DataFrame, bound: float, within: bool, source: str
) -> dict[str, object]:
    share = runs["final_cost"].le(bound).mean() if within else runs["final_cost"].gt(bound).mean()
    quantity = f"share of runs {'within' if within else 'above'} the bound {bound:g}"
    what = _statement(artefact, scenario, setting, quantity, share)
    detail = f"median cost {runs['final_cost'].median():.4g}, {_seeds(runs)}" if len(runs) else ""
    obstacle = _obstacle((style.label(setting), runs))
    return judged(what, share >= 0.5, "at least half", f"supplement, {source}", obstacle, detail)


def _above(x: pd.Series, y: pd.Series) -> float:
    """Return the share of pairs in which x is above y; a tie counts one half."""
    return float(statistics.probability_of_improvement(x.to_numpy(), y.to_numpy()))


def _better(ours: pd.DataFrame, rival: pd.DataFrame, bound: float) -> float:
    """Return the share of pairs in which our run is better, feasibility first."""
    runs = pd.concat([ours, rival])
    returns, costs = runs["final_return"].to_numpy(), runs["final_cost"].to_numpy()
    ranks = pd.Series(statistics.feasibility_first(returns, costs, costs <= bound))
    return _above(ranks[: len(ours)], ranks[len(ours) :])


def _difference(x: float, y: float) -> float:
    """Return the distance of two numbers as a share of the larger in size; 0 where they are equal."""
    return abs(x - y) / max(abs(x), abs(y)) if x != y else 0.0


def _pair(figure: str, scenario: str, panel: pd.DataFrame, claim: Claim) -> dict[str, object]:
    """Return the verdict on a claim about two algorithms."""
    names = [style.label(claim.algorithm), style.label(claim.rival)]
    ours, rival = (_runs_of(panel, name) for name in (claim.algorithm, claim.rival))
    obstacle = _obstacle(*zip(names, (ours, rival), strict=True))
    quantity, value, detail = _comparison(claim, names, ours, rival, SCENARIOS[scenario].bound)
    what = _statement(figure, scenario, f"{claim.algorithm}/{claim.rival}", quantity, value)
    if claim.kind in ("above", "better"):
        holds, tolerance = value > 0.5, "more than half"
    else:
        holds = (value <= SIMILAR) == (claim.kind == "similar")
        tolerance = f"{'at most' if claim.kind == 'similar' else 'above'} {SIMILAR:g}"
    return judged(what, holds, tolerance, f"supplement, {claim.source}", obstacle, detail)


def _comparison(
    claim: Claim, names: Sequence[str], ours: pd.DataFrame, rival: pd.DataFrame, bound: float
) -> tuple[str, float, str]:
    """Return what decides a claim in words, its value (NaN without runs of both), and the numbers behind it."""
    if claim.kind == "better":
        quantity = f"share of pairs in which {names[0]} is better, feasibility first"
    elif claim.kind == "above":
        quantity = f"share of pairs in which {names[0]} has the larger {NAMES[claim.quantity]}"
    else:
        quantity = f"difference of the medians of the {NAMES[claim.quantity]}, as a share of the larger"
    if ours.empty or rival.empty:
        return quantity, float("nan"), ""
    if claim.kind == "better":
        return quantity, _better(ours, rival, bound), " and ".join(_seeds(runs) for runs in (ours, rival))
    x, y = ours[claim.quantity], rival[claim.quantity]
    return quantity, _above(x, y) if claim.kind == "above" else _difference(x.median(), y.median()), _medians(x, y)


def _medians(x: pd.Series, y: pd.Series) -> str:
    return f"medians {x.median():.4g} and {y.median():.4g}, {_seeds(x)} and {_seeds(y)}"


def _seeds(runs: pd.DataFrame | pd.Series) -> str:
    return captions.count(len(runs), "seed")


def _agents(figure: str, default: pd.DataFrame, algorithm: str) -> dict[str, object]:
    """Return the verdict on a return that falls with the number of agents that share a robot."""
    names = [name for name, row in SCENARIOS.items() if row.figure == figure]
    each = {name: _runs_of(default[default["scenario"] == name], algorithm) for name in names}
    present = pd.concat([runs for runs in each.values() if len(runs)] or [default.head(0)])
    agents = present["scenario"].map(lambda name: SCENARIOS[name].agents)
    # Returns that are all the same have no rank correlation: they do not fall.
    trend = np.nan_to_num(present["final_return"].rank().corr(agents.rank())) if agents.nunique() > 1 else float("nan")
    missing = [SCENARIOS[name].title for name, runs in each.items() if runs.empty]
    obstacle = (
        f"no finished run of {', '.join(missing)} here" if missing else _obstacle((style.label(algorithm), present))
    )
    what = _statement(figure, ALL, algorithm, "rank correlation of final return with the number of agents", trend)
    return judged(what, trend < 0, "below 0", f"supplement, {_AGENTS}", obstacle)


def _levels(scenario: str, runs: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on Figure 6: each bound is kept, and return and cost grow with it."""
    each = {bound: _runs_of(own, "mafocops") for bound, own in runs.groupby("bound")}
    found = [_within("figure6", scenario, f"bound {bound:g}", own, bound, True, _LEVELS) for bound, own in each.items()]
    for low, high in pairwise(sorted(each)):
        for quantity in ("final_return", "final_cost"):
            x, y = each[high][quantity], each[low][quantity]
            what = _statement("figure6", scenario, f"bound {high:g}/{low:g}", "", _above(x, y))
            what["quantity"] = f"share of pairs in which the looser bound has the larger {NAMES[quantity]}"
            obstacle = _obstacle(("MAFOCOPS", each[high]), ("MAFOCOPS", each[low]))
            source = f"supplement, {_STRINGENT if quantity == 'final_return' else _LEVELS}"
            found.append(judged(what, what["ours"] > 0.5, "more than half", source, obstacle, _medians(x, y)))
    return found
