"""Verdicts on HAPPO and MAPPO against the curves of the MACPO repository, digitised at 2, 5 and 9.8 million steps.

A run is judged at every one of these steps that it reached, so a run of 2 million steps is judged at 2 million. The
tolerance is 25 % beside the error of reading (5 in cost, 40 in return): in those figures the splits of one robot lie
within 25 % of their middle in 42 of 48 places, and the shading is no spread over seeds. MACPO and MAPPO-L were trained
there under other bounds and do not compare. Of its two corridors for ManyAgent Ant, `t2` is folded as in the paper's
Figure 1 and as ours is.
"""

import pandas as pd

from analysis import captions, style, tables
from analysis.judging import READINGS, judged, too_short
from analysis.results import WHOLE
from envs.scenarios import SCENARIOS

STEPS = {"value_2M": 2_000_000, "value_5M": 5_000_000, "value_9p8M": 9_800_000}
WINDOW = 1 - WHOLE  # share of the steps on either side of a reading over which our curve is averaged
TOLERANCE = 0.25
QUANTITIES = {"reward": ("episode_return", "return", 40.0), "cost": ("episode_cost", "cost", 5.0)}
OTHER_BOUNDS = {"ant": 0.2, "halfcheetah": 5.0, "manyagent_ant": 1.0}  # README of the repository
COMPARABLE = ("happo", "mappo")


def readings() -> pd.DataFrame:
    """Return the digitised values of our scenarios: columns `scenario`, `algorithm`, `quantity`, `step`, `value`."""
    curves = tables.paper("macpo_repository_curves")
    titles = {row.title.replace("ManyAgent Ant", "ManyAgentAnt(t2)"): name for name, row in SCENARIOS.items()}
    curves["scenario"] = curves["figure_task"].map(titles)
    curves["algorithm"] = curves["algorithm"].map({label: name for name, label in style.LABELS.items()})
    keys = ["scenario", "algorithm", "quantity"]
    tall = curves.dropna(subset=keys).melt(keys, list(STEPS), var_name="step", value_name="value")
    return tall.assign(step=tall["step"].map(STEPS)).dropna(subset=["value"])


def judge(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on the digitised values of all scenarios and algorithms that were run.

    Args:
        frame: rows from `results.read`.
    """
    default = frame[frame["variant"].eq("default")]
    groups = dict(list(default.groupby(["scenario", "algorithm"])))
    found = []
    for (scenario, algorithm), values in readings().groupby(["scenario", "algorithm"], sort=False):
        if (scenario, algorithm) in groups:
            each = [run for _, run in groups[scenario, algorithm].groupby("file", sort=False)]
            found += [_reading(each, row) for _, row in values.iterrows()]
    return found


def _reading(each: list[pd.DataFrame], reading: pd.Series) -> dict[str, object]:
    """Return the verdict of one algorithm's runs at one digitised point: their median over seeds."""
    column, name, error = QUANTITIES[reading["quantity"]]
    step, value = reading["step"], reading["value"]
    at_step = [run.loc[(run["step"] - step).abs() <= WINDOW * step, column].mean() for run in each]
    reached = pd.Series(at_step, dtype=float).dropna()  # a run that ended before the window has no mean
    scenario = SCENARIOS[reading["scenario"]]
    what = {"kind": READINGS, "artefact": "digitised", "scenario": scenario.name, "setting": reading["algorithm"]}
    what |= {"quantity": f"{name} at {captions.steps(step)}", "ours": reached.median(), "paper": value}
    if reading["algorithm"] not in COMPARABLE:
        obstacle = f"trained there under the bound {OTHER_BOUNDS[scenario.family]:g}"
    elif reached.empty:
        obstacle = too_short(max(run["step"].max() for run in each), step).replace("in the paper", "there")
    else:
        obstacle = ""
    near = abs(what["ours"] - value) <= TOLERANCE * abs(value) + error
    source = "figures of the MACPO repository, digitised"
    detail = f"median of {captions.count(len(reached), 'seed')}" if len(reached) else ""
    return judged(what, near, f"+-{TOLERANCE:.0%} and +-{error:g} of reading", source, obstacle, detail)
