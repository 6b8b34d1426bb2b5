"""Verdicts on numbers in print: every cell of Tables 1 to 4, and curves that were digitised from other figures.

Frames per second and bytes belong to a machine, so Tables 1 and 2 are judged by MAFOCOPS against MACPO on ours.

The curves are HAPPO's and MAPPO's of the MACPO repository, read at 2, 5 and 9.8 million steps. A run is judged at every
one of these steps that it reached, so a run of 2 million steps is judged at 2 million. MACPO and MAPPO-L were trained
there under other bounds and do not compare. Of its two corridors for ManyAgent Ant, `t2` is folded as in the paper's
Figure 1 and as ours is.
"""

import numpy as np
import pandas as pd

from analysis import artefact, judging, results
from analysis.judging import judged, too_short
from analysis.results import WHOLE
from envs.scenarios import SCENARIOS

STEPS = dict.fromkeys(("table1", "table2"), results.TIMED_STEPS)
STEPS |= dict.fromkeys(("table3", "table4"), results.PUBLISHED_STEPS)
KEYS = ["scenario", "setting", "quantity"]
READINGS = {"value_2M": 2_000_000, "value_5M": 5_000_000, "value_9p8M": 9_800_000}
WINDOW = 1 - WHOLE  # share of the steps on either side of a reading over which our curve is averaged
QUANTITIES = {"reward": ("episode_return", "return"), "cost": ("episode_cost", "cost")}
OTHER_BOUNDS = {"ant": 0.2, "halfcheetah": 5.0, "manyagent_ant": 1.0}  # README of the repository
COMPARABLE = ("happo", "mappo")


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a tidy table that the paper prints, in the order of its columns."""
    rows = table[table["paper"].notna()]
    columns = KEYS[1:] if STEPS[table["table"].iloc[0]] == results.TIMED_STEPS else KEYS[2:]
    return rows.iloc[np.argsort(rows.groupby(columns, sort=False).ngroup(), kind="stable")]


def obstacle(name: str, row: pd.Series) -> str:
    """Return why a cell of a table cannot be compared; empty if it can."""
    if pd.isna(row["ours"]):
        return row["note"] or judging.NOT_MEASURED
    claim = _claim(name, row["quantity"])
    never = claim.because if claim.tolerance == "none" else ""
    return never or too_short(row["steps"], STEPS[name]) or row["note"]


def of_table(table: pd.DataFrame, conditions: str = "") -> list[dict[str, object]]:
    """Return the verdicts on every cell the paper prints of one table, given in the tidy form.

    `conditions` is why what was learned here compares with no number in print; empty if it does.
    """
    name, found = table["table"].iloc[0], []
    learned = conditions if STEPS[name] == results.PUBLISHED_STEPS else ""
    for _, row in printed(table).iterrows():
        claim, where, interval = _claim(name, row["quantity"]), (name, *row[KEYS]), (row["low"], row["high"])
        found.append(judged(claim, where, row["ours"], row["paper"], interval, obstacle(name, row) or learned))
    return found


def _claim(artefact: str, quantity: str) -> judging.Claim:
    """Return the claim that decides a number in print."""
    return next(row for row in judging.claims(artefact) if row.quantity == quantity and row.measure in judging.KINDS)


def readings() -> pd.DataFrame:
    """Return the digitised values of our scenarios: columns `scenario`, `algorithm`, `quantity`, `step`, `value`."""
    curves = results.paper("macpo_repository_curves")
    titles = {row.title.replace("ManyAgent Ant", "ManyAgentAnt(t2)"): name for name, row in SCENARIOS.items()}
    curves["scenario"] = curves["figure_task"].map(titles)
    curves["algorithm"] = curves["algorithm"].map({label: name for name, label in results.LABELS.items()})
    keys = ["scenario", "algorithm", "quantity"]
    tall = curves.dropna(subset=keys).melt(keys, list(READINGS), var_name="step")
    return tall.assign(step=tall["step"].map(READINGS)).dropna(subset=["value"])


def of_curves(frame: pd.DataFrame, conditions: str = "") -> list[dict[str, object]]:
    """Return the verdicts on digitised values of what was run, rows from `results.read`; `conditions` as above."""
    groups = dict(list(results.default(frame).groupby(["scenario", "algorithm"], observed=True)))
    return [
        _reading(groups[key], row, conditions)
        for key, values in readings().groupby(["scenario", "algorithm"], sort=False)
        if key in groups
        for _, row in values.iterrows()
    ]


def _reading(runs: pd.DataFrame, reading: pd.Series, conditions: str) -> dict[str, object]:
    """Return the verdict of one algorithm's runs at one digitised point: their median over seeds."""
    column, name = QUANTITIES[reading["quantity"]]
    step, scenario = reading["step"], SCENARIOS[reading["scenario"]]
    near = runs[(runs["step"] - step).abs() <= WINDOW * step]
    means = near.groupby("file", sort=False, observed=True)[column].mean()
    reached = means.dropna()  # a run that ended before has no mean
    if reading["algorithm"] not in COMPARABLE:
        why = f"trained there under the bound {OTHER_BOUNDS[scenario.family]:g}"
    else:
        why = conditions if len(reached) else too_short(runs["step"].max(), step).replace("in the paper", "there")
    where = ("digitised", scenario.name, reading["algorithm"], f"{name} at {artefact.steps(step)}")
    detail = f"median of {artefact.count(len(reached), 'seed')}" if len(reached) else ""
    claim = _claim("digitised", name)
    return judged(claim, where, reached.median(), reading["value"], obstacle=why, detail=detail)
