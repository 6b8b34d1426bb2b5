"""Tables 3 and 4: final return and cost of MAFOCOPS divided by HAPPO's on the same scenario.

Rows are the values of lambda (Table 3) or nu_max (Table 4); the published value is the default run. "All envs" is the
mean over the scenarios that have a value. A ratio to a return or cost that is not positive has no meaning: it is n/a.

    python -m analysis.sensitivity --table table3 --parameter lam --published 2.2 --scenarios ant_2x4 ... --metrics ...
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis import captions, collect, output, tables
from analysis.statistics import stratified_bootstrap
from analysis.tables import ALL, Printed
from envs import scenarios

TABLES = {"table3": ("table3_lambda", "lambda", "λ"), "table4": ("table4_nu_max", "nu_max", tables.NU_MAX)}
QUANTITIES = {"reward": "final_return", "cost": "final_cost"}
PUBLISHED_SCENARIOS = 4
# Below this many units per episode (at most 1000 steps long) a normaliser is too small for a ratio to mean much.
SMALL = 10.0


def text(value: float | str) -> str:
    """Return a grid value in its shortest form: "2.2", "1", "inf"."""
    return f"{float(value):g}"


def select(runs: pd.DataFrame, parameter: str, published: float, columns: Sequence[str]) -> pd.DataFrame:
    """Return the runs a table rests on, with `value`: the grid value of MAFOCOPS, "happo" for the normaliser.

    Args:
        runs: one row per run, as from `collect.runs`.
        parameter: name of the setting, as in the variant `lam=1`.
        published: value of the default run.
        columns: scenario identifiers.
    """
    runs = runs[runs["scenario"].isin(columns)]
    given = pd.to_numeric(
        runs["variant"].astype(str).str.extract(rf"^{parameter}=(.+)$", expand=False), errors="coerce"
    )
    value = given.where(runs["variant"].ne("default"), float(published)).map(text, na_action="ignore")
    value = value.where(runs["algorithm"].eq("mafocops"))
    value = value.mask(runs["algorithm"].eq("happo") & runs["variant"].eq("default"), "happo")
    return runs.assign(value=value)[value.notna()]


def ratio(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over scenarios of median(MAFOCOPS) / median(HAPPO), medians over the last axis (seeds).

    Args:
        samples: MAFOCOPS and HAPPO by turns, two arrays (..., n) per scenario.
    """
    medians = [np.median(sample, axis=-1) for sample in samples]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.mean([x / y for x, y in zip(medians[::2], medians[1::2], strict=True)], axis=0)


def _cell(ours: np.ndarray, happo: np.ndarray) -> tuple[list[np.ndarray], str]:
    """Return the samples of one cell and its note; no samples where the ratio is undefined."""
    if not len(ours):
        return [], "no finished run"
    if not len(happo):
        return [], "no finished run of HAPPO to normalise by"
    normaliser = np.median(happo)
    if normaliser <= 0:
        return [], f"HAPPO's value is {normaliser:.3g}: normalising by it has no meaning"
    return [ours, happo], f"HAPPO's value is only {normaliser:.3g}" if normaliser < SMALL else ""


def _numbers(samples: list[np.ndarray]) -> dict[str, float]:
    """Return the ratio and its bootstrap interval; the generator starts anew so that no cell depends on another."""
    if not samples:
        return dict.fromkeys(("ours", "low", "high"), float("nan"))
    low, high = stratified_bootstrap(samples, ratio, np.random.default_rng(0))
    return {"ours": float(ratio(samples)), "low": low, "high": high}


def _row(runs: pd.DataFrame, value: str, quantity: str, columns: Sequence[str]) -> list[dict[str, object]]:
    """Return the cells of one grid value and quantity: one per scenario, then their mean."""
    whole = runs[runs["whole"]].dropna(subset=QUANTITIES[quantity])
    cells, every = [], []
    for scenario in columns:
        here = whole[whole["scenario"] == scenario]
        ours, happo = here[here["value"] == value], here[here["value"] == "happo"]
        samples, note = _cell(*(part[QUANTITIES[quantity]].to_numpy() for part in (ours, happo)))
        steps = pd.concat([ours, happo])["steps"].min()
        cells.append({"scenario": scenario, **_numbers(samples), "runs": len(ours), "steps": steps, "note": note})
        every += samples
    used, steps = len(every) // 2, min((cell["steps"] for cell in cells if pd.notna(cell["ours"])), default=np.nan)
    note = "" if used == PUBLISHED_SCENARIOS else f"mean over {used} of the paper's {PUBLISHED_SCENARIOS} scenarios"
    fewest = min(cell["runs"] for cell in cells)
    mean = {"scenario": ALL, **_numbers(every), "runs": fewest, "steps": steps, "note": note}
    return [{"setting": value, "quantity": quantity, **cell} for cell in [*cells, mean]]


def tidy(table: str, runs: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return Table 3 or 4 in the tidy form: the values of the paper and those that were run, in growing order.

    Args:
        table: table3 or table4.
        runs: frame from `select`.
        columns: scenario identifiers.
    """
    name, column, _ = TABLES[table]
    published = tables.paper(name)
    published["setting"] = published[column].map(text)
    values = sorted({*published["setting"], *runs["value"]} - {"happo"}, key=float)
    rows = [cell for value in values for quantity in QUANTITIES for cell in _row(runs, value, quantity, columns)]
    printed = published.melt(["setting", "scenario"], list(QUANTITIES), var_name="quantity", value_name="paper")
    frame = pd.DataFrame(rows).merge(printed, how="left", on=["setting", "scenario", "quantity"])
    return frame.assign(table=table)[tables.TIDY]


def _text_of(cell: pd.Series) -> str:
    """Return "0.964 (0.950)": ours, a dagger if noted, and the paper's in parentheses."""
    flag = "†" if cell["note"] and pd.notna(cell["ours"]) else ""
    return f"{tables.number(cell['ours'], 3)}{flag} ({tables.number(cell['paper'], 3)})"


def _printed(table: str, rows: pd.DataFrame, columns: Sequence[str]) -> Printed:
    """Return the layout of the paper: one line per value, return and cost of every scenario."""
    titles = {name: scenarios.get(name).title for name in columns} | {ALL: "All envs"}
    cells = rows.set_index(["setting", "scenario", "quantity"])
    keys = [(scenario, quantity) for scenario in titles for quantity in QUANTITIES]
    header = [("", TABLES[table][2]), *((titles[scenario], quantity.capitalize()) for scenario, quantity in keys)]
    values = list(dict.fromkeys(rows["setting"]))
    lines = [[value.replace("inf", "∞"), *(_text_of(cells.loc[value, *key]) for key in keys)] for value in values]
    return Printed(header, lines)


def _caption(table: str, rows: pd.DataFrame, rests_on: str) -> str:
    """Return what the table shows, what it rests on (from `captions.coverage`), and which cells are undefined."""
    noted = rows[(rows["note"] != "") & (rows["scenario"] != ALL)]
    undefined = noted["ours"].isna().any()
    doubtful = noted["ours"].notna().any()
    partial = ((rows["scenario"] == ALL) & (rows["note"] != "") & rows["ours"].notna()).any()
    sentences = [
        f"Table {table[-1]}. Final return and cost (mean over the last tenth of the steps, median over seeds) of "
        f"MAFOCOPS for several values of {TABLES[table][2]}, divided by HAPPO's; the paper's value in parentheses.",
        rests_on,
        "n/a: no finished run, or HAPPO's value is not positive: dividing by it has no meaning." if undefined else "",
        f"† in a scenario: HAPPO's value is below {SMALL:g}, so the ratio means little." if doubtful else "",
        "† in the last columns: mean over fewer than the paper's four scenarios." if partial else "",
    ]
    return " ".join(filter(None, sentences))


def main() -> None:
    """Command line."""
    parser = output.parser("Make Table 3 (lambda) or Table 4 (nu_max).")
    parser.add_argument("--table", required=True, choices=sorted(TABLES))
    parser.add_argument("--parameter", required=True, help="setting in the variants, e.g. lam")
    parser.add_argument("--published", required=True, type=float, help="value of the default run")
    parser.add_argument("--scenarios", nargs="+", required=True, metavar="SCENARIO")
    options = parser.parse_args()
    columns = [scenarios.get(name).name for name in options.scenarios]
    frame = collect.read(options.metrics)
    runs = select(collect.runs(frame), options.parameter, options.published, columns)
    rows = tidy(options.table, runs, columns)
    rests_on = captions.coverage(runs, options.expected, collect.missing(options.metrics, frame))
    caption = f"{_caption(options.table, rows, rests_on)} {options.note}".strip()
    tables.save(rows, _printed(options.table, rows, columns), caption, options.table, options.output)


if __name__ == "__main__":
    output.command(main)
