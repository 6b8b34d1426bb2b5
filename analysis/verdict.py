"""Cell by cell: does a number agree with the paper's (pass), disagree (miss), or are they not comparable?

Short runs are never compared with numbers of 10 million steps. Tables 1 and 2 compare only the ratio
MAFOCOPS / MACPO, because frames per second and bytes belong to a machine. Every row names its tolerance and source.

    python -m analysis.verdict --tables table1.csv table3.csv --figures figure2.csv --output BASE
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import captions, collect, efficiency, files, output, tables
from analysis.statistics import final_performance
from envs.scenarios import SCENARIOS

COLUMNS = ["artefact", "scenario", "setting", "quantity", "ours", "paper", "tolerance", "source", "verdict", "reason"]
PASS, MISS, NOT_COMPARABLE = "pass", "miss", "not comparable"
NUMBERS = {"ours", "low", "high", "paper", "runs", "steps", "step", "median", "bound"}
STEPS = {
    "table1": efficiency.PUBLISHED_STEPS,
    "table2": efficiency.PUBLISHED_STEPS,
    "table3": captions.PUBLISHED_STEPS,
    "table4": captions.PUBLISHED_STEPS,
}
NORMALISED = {"reward": 0.10, "cost": 0.05}  # tolerance of Tables 3 and 4, ours: the paper prints no spread

Rule = Callable[[pd.Series], tuple[str, bool]]  # a row of a tidy table to its tolerance in words and whether it holds


def _speed(row: pd.Series) -> tuple[str, bool]:
    """Hold the speed-up to the range of the paper's thirteen scenarios."""
    published = tables.paper("table1_fps")
    low, high = ((published["mafocops_fps"] / published["macpo_fps"]).agg(["min", "max"])).round(2)
    return f"the paper's range {low:.2f} to {high:.2f}", low <= row["ours"] <= high


def _memory(row: pd.Series) -> tuple[str, bool]:
    """Hold memory to the paper's direction: it saves in 11 of 13 scenarios and costs in two."""
    return "same side of 1", (row["ours"] < 1) == (row["paper"] < 1)


def _normalised(row: pd.Series) -> tuple[str, bool]:
    """Hold a normalised return or cost to the larger of a fixed tolerance and our bootstrap interval."""
    tolerance = NORMALISED[row["quantity"]]
    near = abs(row["ours"] - row["paper"]) <= tolerance
    return f"+-{tolerance:.2f}, or inside our 95 % interval", near or row["low"] <= row["paper"] <= row["high"]


RULES: dict[tuple[str, str], Rule] = {
    ("table1", "ratio"): _speed,
    ("table2", "ratio"): _memory,
    **{(table, quantity): _normalised for table in ("table3", "table4") for quantity in NORMALISED},
}


def _incomparable(row: pd.Series, steps: int) -> str:
    """Return why a number cannot be compared with one of the paper after `steps` steps; empty if it can."""
    if pd.isna(row["ours"]):
        return str(row["note"]) or "not measured"
    if row["steps"] < collect.WHOLE * steps:
        return f"{captions.steps(int(row['steps']))} here, {captions.steps(steps)} in the paper"
    return str(row["note"])


def _decide(row: pd.Series, tolerance: str, holds: bool, reason: str, source: str) -> dict[str, object]:
    verdict = NOT_COMPARABLE if reason else PASS if holds else MISS
    return row.to_dict() | {"tolerance": tolerance, "source": source, "verdict": verdict, "reason": reason}


def judge_table(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return one verdict per comparable kind of cell of a tidy table that has a number of the paper beside it."""
    verdicts = []
    for _, row in table[table["paper"].notna()].iterrows():
        name = row["table"]
        rule = RULES.get((name, row["quantity"]))
        if rule is None:  # absolute numbers of Tables 1 and 2
            continue
        tolerance, holds = rule(row)
        reason = _incomparable(row, STEPS[name])
        source = f"supplement, Table {name[-1]}"
        verdicts.append(_decide(row.rename({"table": "artefact"}), tolerance, holds, reason, source))
    return verdicts


def judge_growth(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdict on Appendix H's claim that the speed-up grows with the number of agents."""
    ratios = table[(table["table"] == "table1") & (table["quantity"] == "ratio")]
    measured = ratios.dropna(subset=["ours"])
    agents = measured["scenario"].map(lambda name: SCENARIOS[name].agents).rank()
    if agents.nunique() < 2:
        return []
    everywhere = ratios["scenario"].map(lambda name: SCENARIOS[name].agents).rank()
    row = pd.Series(
        {
            "artefact": "table1",
            "scenario": tables.ALL,
            "setting": efficiency.RATIO,
            "quantity": "rank correlation of the ratio with the number of agents",
            # A ratio that is the same everywhere has no rank correlation: it does not grow.
            "ours": np.nan_to_num(measured["ours"].rank().corr(agents)),
            "paper": ratios["paper"].rank().corr(everywhere),
            "steps": measured["steps"].min(),
            "note": "",
        }
    )
    reason = _incomparable(row, efficiency.PUBLISHED_STEPS)
    return [_decide(row, "above 0", row["ours"] > 0, reason, "supplement, Appendix H")]


def judge_figure(figure: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on what the paper says of its curves: MAFOCOPS keeps the bound and outperforms MACPO.

    Args:
        figure: CSV of one of Figures 2 to 5; Figure 6 is held to the bounds alone.
    """
    final = {
        key: (final_performance(curve["step"].to_numpy(), curve["median"].to_numpy()), curve.iloc[-1])
        for key, curve in figure.groupby(["scenario", "line", "quantity"], sort=False)
    }
    verdicts, source = [], "supplement, Appendix G"
    for (scenario, line, quantity), (value, last) in final.items():
        row = {"artefact": last["figure"], "scenario": scenario, "setting": line, "ours": value, "note": ""}
        row |= {"steps": last["step"], "quantity": f"final {quantity}"}
        reason = _incomparable(pd.Series(row), captions.PUBLISHED_STEPS)
        ours = line == "mafocops" or last["figure"] == "figure6"
        if ours and quantity == "cost":
            claim = f"at most the bound {last['bound']:g}"
            verdicts.append(_decide(pd.Series(row), claim, value <= last["bound"], reason, source))
        rival = final.get((scenario, "macpo", quantity), (float("nan"), None))[0]
        if line == "mafocops" and quantity == "return" and not np.isnan(rival):
            claim = f"above MACPO's {rival:.0f}"
            verdicts.append(_decide(pd.Series(row), claim, value > rival, reason, source))
    return verdicts


def _read(path: str, needed: Sequence[str]) -> pd.DataFrame:
    """Return a CSV written by this package, or raise ValueError with what is wrong with it."""
    frame = files.table(path, "a table of this package", needed)
    for column in NUMBERS & set(frame):
        frame[column] = files.numbers(path, frame[column])
    return frame.fillna({"note": ""}) if "note" in frame else frame


def check_manifest(path: str) -> None:
    """Raise ValueError, naming the runs, if a suite holds runs of different task versions."""
    try:
        listed = json.loads(Path(path).read_bytes())["runs"]
        records = {run["path"]: run if run["recorded"] else None for run in listed}
    except (ValueError, RecursionError, KeyError, TypeError):
        raise ValueError(f"{path} is not a manifest, as `python -m analysis.manifest` writes it") from None
    files.one_task_version(records)


def markdown(verdicts: pd.DataFrame) -> str:
    """Return the counts and the full list in Markdown."""
    counts = verdicts.groupby("artefact", sort=False)["verdict"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=[PASS, MISS, NOT_COMPARABLE], fill_value=0)
    summary = [[name, *map(str, row)] for name, row in zip(counts.index, counts.to_numpy(), strict=True)]
    listed = verdicts.assign(**{name: verdicts[name].map("{:.3f}".format) for name in ("ours", "paper")})
    listed = listed.replace("nan", tables.MISSING)
    rows = [list(map(str, row)) for row in listed[COLUMNS].to_numpy()]
    head = tables.Printed([("", name) for name in ("artefact", *counts.columns)], summary)
    body = tables.Printed([("", name) for name in COLUMNS], rows)
    caption = "Agreement with the published numbers. Tolerances are ours: the paper prints no spread."
    return f"{tables.markdown(head, caption)}\n{tables.markdown(body, 'Every comparison:')}"


def main() -> None:
    """Command line."""
    parser = output.Parser(description="Compare tables and figures with the paper, cell by cell.")
    parser.add_argument("--tables", nargs="+", required=True, metavar="FILE", help="CSV files of Tables 1 to 4")
    parser.add_argument("--figures", nargs="*", default=[], metavar="FILE", help="CSV files of Figures 2 to 6")
    parser.add_argument("--output", required=True, metavar="BASE", help="path without suffix")
    parser.add_argument("--manifest", metavar="FILE", help="refuse if its runs are of different task versions")
    options = parser.parse_args()
    if options.manifest:
        check_manifest(options.manifest)
    found = []
    for path in options.tables:
        table = _read(path, tables.TIDY)
        found += judge_table(table) + judge_growth(table)
    for path in options.figures:
        found += judge_figure(_read(path, ["figure", "scenario", "line", "quantity", "step", "median", "bound"]))
    verdicts = pd.DataFrame(found).reindex(columns=COLUMNS)
    contents = {".csv": verdicts.to_csv(index=False, float_format="%.6g"), ".md": markdown(verdicts)}
    output.write(options.output, contents)


if __name__ == "__main__":
    output.command(main)
