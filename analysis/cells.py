"""Verdicts on Tables 1 to 4: every printed cell, and what Appendices H and I say of the tables in words.

Frames per second and bytes belong to a machine, so Tables 1 and 2 are judged by MAFOCOPS against MACPO on ours. Their
tolerances are the paper's own noise: in the original code Ant 2x4 and Ant 2x4d are one computation (the declared
partition is never read), yet their improvements differ by 15.54 points and their memory ratios by 0.08.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis import captions, efficiency, judging, tables
from analysis.judging import CELLS, STATEMENTS, judged, too_short
from analysis.tables import ALL
from envs.scenarios import SCENARIOS

STEPS = {
    "table1": efficiency.PUBLISHED_STEPS,
    "table2": efficiency.PUBLISHED_STEPS,
    "table3": captions.PUBLISHED_STEPS,
    "table4": captions.PUBLISHED_STEPS,
}
KEYS = ["scenario", "setting", "quantity"]
MACHINE = "frames per second belong to a machine, and the paper does not name its own"
MONITOR = "the paper does not say what its memory monitor counts"


def _near(tolerance: float, unit: str = "") -> Callable[[pd.Series], tuple[str, bool]]:
    """Return a rule: within a fixed distance of the paper's value, or that inside our interval where there is one."""

    def rule(row: pd.Series) -> tuple[str, bool]:
        near = abs(row["ours"] - row["paper"]) <= tolerance
        return f"+-{tolerance:g}{unit}, or inside our interval", near or row["low"] <= row["paper"] <= row["high"]

    return rule


def _speed(row: pd.Series) -> tuple[str, bool]:
    """Hold the speed-up to the range of the paper's thirteen scenarios."""
    published = tables.paper("table1_fps")
    low, high = ((published["mafocops_fps"] / published["macpo_fps"]).agg(["min", "max"])).round(2)
    return f"the paper's range {low:.2f} to {high:.2f}", low <= row["ours"] <= high


def _same_sign(row: pd.Series) -> tuple[str, bool]:
    """Hold memory to the paper's direction: MAFOCOPS saves in 11 of 13 scenarios and costs in two."""
    return "same sign", (row["ours"] > 0) == (row["paper"] > 0)


def _none(row: pd.Series) -> tuple[str, bool]:
    return "none", False


# What decides a cell, by table and quantity; tolerances are ours because the paper prints no spread.
RULES = {
    ("table1", "fps"): _none,
    ("table1", "improvement_percent"): _near(16, " points"),
    ("table1", "ratio"): _speed,
    ("table2", "memory_update_mib"): _none,
    ("table2", "saved_mib"): _same_sign,
    ("table2", "ratio"): _near(0.10),
    **{(table, "reward"): _near(0.10) for table in ("table3", "table4")},
    **{(table, "cost"): _near(0.05) for table in ("table3", "table4")},
}
ABSOLUTE = {"fps": MACHINE, "memory_update_mib": MONITOR}


def published(name: str) -> pd.DataFrame:
    """Return every printed cell of a table: columns `scenario`, `setting`, `quantity`, `paper`; ratios are ours."""
    if name in efficiency.SOURCES:
        file, columns, quantity = efficiency.SOURCES[name]
        macpo, mafocops, gain = columns
        wide = tables.paper(file).assign(ratio=lambda frame: frame[mafocops] / frame[macpo])
        names = {macpo: ("macpo", quantity), mafocops: ("mafocops", quantity)}
        names |= {gain: (efficiency.RATIO, gain), "ratio": (efficiency.RATIO, "ratio")}
        tall = wide.melt("scenario", list(names), var_name="column", value_name="paper")
        split = pd.DataFrame(tall["column"].map(names).tolist(), columns=["setting", "quantity"])
        return tall.join(split)[[*KEYS, "paper"]]
    file, parameter = {"table3": ("table3_lambda", "lambda"), "table4": ("table4_nu_max", "nu_max")}[name]
    wide = tables.paper(file).rename(columns={parameter: "setting"})
    wide["setting"] = wide["setting"].map("{:g}".format)
    return wide.melt(["setting", "scenario"], ["reward", "cost"], var_name="quantity", value_name="paper")


def judge(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on every cell the paper prints of one table, and on its sentences about it.

    Args:
        table: Table 1, 2, 3 or 4 in the tidy form; cells it lacks are not comparable.
    """
    name = table["table"].iloc[0]
    cells = published(name).merge(table.drop(columns="paper"), how="left", on=KEYS).fillna({"note": ""})
    verdicts = [_cell(name, row) for _, row in cells.iterrows()]
    return verdicts + {"table1": _speeds, "table2": _memory}.get(name, _insensitivity)(name, cells)


def _cell(name: str, row: pd.Series) -> dict[str, object]:
    tolerance, holds = RULES[name, row["quantity"]](row)
    what = {"kind": CELLS, "artefact": name, "paper": row["paper"], **row[[*KEYS, "ours"]]}
    obstacle = _obstacle(row, STEPS[name])
    return judged(what, holds, tolerance, f"supplement, Table {name[-1]}", obstacle)


def _obstacle(row: pd.Series, steps: int) -> str:
    """Return why a cell cannot be compared; empty if it can."""
    if pd.isna(row["ours"]):
        return row["note"] or judging.NOT_MEASURED
    return ABSOLUTE.get(row["quantity"]) or too_short(row["steps"], steps) or row["note"]


def _growth(
    name: str, cells: pd.DataFrame, setting: str, quantity: str, sign: int, claim: str, sentence: str
) -> dict[str, object]:
    """Return the verdict on a number that grows (sign 1) or falls (-1) with the agents of the same robot.

    Ours is the mean rank correlation with the number of agents over the robots measured with several splits.
    """
    chosen = cells[(cells["setting"] == setting) & (cells["quantity"] == quantity)]
    measured = chosen.dropna(subset=["ours"])
    what = {"kind": STATEMENTS, "artefact": name, "scenario": ALL, "setting": setting, "quantity": claim}
    what |= {"ours": _correlation(measured, "ours"), "paper": _correlation(chosen, "paper")}
    obstacle = too_short(measured["steps"].min(), STEPS[name]) if len(measured) else judging.NOT_MEASURED
    source = f'supplement, Appendix H: "{sentence}"'
    detail = f"mean rank correlation with the agents of one robot, {captions.count(len(measured), 'scenario')}"
    return judged(what, sign * what["ours"] > 0, "above 0" if sign > 0 else "below 0", source, obstacle, detail)


def _correlation(rows: pd.DataFrame, column: str) -> float:
    """Return the mean over robots of the rank correlation with the number of agents; NaN if none has two splits."""
    agents = rows["scenario"].map(lambda name: SCENARIOS[name].agents)
    robot = rows["scenario"].map(lambda name: SCENARIOS[name].figure)
    found = [
        # A number that is the same everywhere has no rank correlation: it does not grow.
        np.nan_to_num(rows.loc[own.index, column].rank().corr(own.rank())) if own.nunique() > 1 else np.nan
        for _, own in agents.groupby(robot)
    ]
    return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")


DEARER = "an increase in the number of agents leads to a noticeable escalation in computational cost for MACPO"
FASTER = (
    "substantial improvement in computational efficiency [...] especially in scenarios involving a larger number of "
    "agents"
)
SAVING = "effectively conserve memory resources, especially in scenarios involving a larger number of agents"


def _speeds(name: str, cells: pd.DataFrame) -> list[dict[str, object]]:
    return [
        _growth(name, cells, "macpo", "fps", -1, "MACPO's frames per second fall with the agents", DEARER),
        _growth(name, cells, efficiency.RATIO, "ratio", 1, "the speed-up grows with the agents", FASTER),
    ]


def _memory(name: str, cells: pd.DataFrame) -> list[dict[str, object]]:
    memory = "memory_update_mib"
    return [
        _growth(name, cells, "macpo", memory, 1, "MACPO's memory grows with the agents", DEARER),
        _growth(name, cells, efficiency.RATIO, "saved_mib", 1, "the saving grows with the agents", SAVING),
    ]


def _insensitivity(name: str, cells: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on how little the mean reward depends on lambda (Table 3) or nu_max (Table 4)."""
    rows = cells[(cells["scenario"] == ALL) & (cells["quantity"] == "reward")].set_index("setting")
    spread = {column: rows[column].max() - rows[column].min() for column in ("ours", "paper")}
    if rows["ours"].isna().any():
        spread["ours"] = float("nan")
    sentence = "our approach's effectiveness is relatively insensitive to variations in these hyperparameter values"
    found = [_statement(name, rows, "reward, largest less smallest", spread, 0.20, sentence)]
    if name == "table4":
        loss = {column: 1 - rows.at["inf", column] / rows.at["1.3", column] for column in ("ours", "paper")}
        ends = rows.loc[["1.3", "inf"]]
        sentence = "setting nu_max = inf [...] only resulting in an average degradation of less than 10%"
        found.append(_statement(name, ends, "reward lost at inf against 1.3", loss, 0.10, sentence))
    return found


def _statement(
    name: str, rows: pd.DataFrame, quantity: str, values: dict[str, float], limit: float, sentence: str
) -> dict[str, object]:
    """Return the verdict on a statement about several cells: the value is at most the limit."""
    obstacle = next(filter(None, (_obstacle(row, STEPS[name]) for _, row in rows.iterrows())), "")
    setting = "all values" if len(rows) > 2 else "inf"
    what = {"kind": STATEMENTS, "artefact": name, "scenario": ALL, "setting": setting, "quantity": quantity, **values}
    source = f'supplement, Appendix I: "{sentence}"'
    return judged(what, values["ours"] <= limit, f"at most {limit:.2f}", source, obstacle)
