"""Tables 3 and 4: final return and cost of MAFOCOPS divided by HAPPO's on the same scenario.

Rows are the values of lambda (Table 3) or nu_max (Table 4); the published value is the default run. "All envs" is the
mean over the scenarios that have a value. A ratio to a return or cost that is not positive has no meaning: it is n/a.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis import artefact, results
from analysis.results import ALL
from analysis.statistics import estimate, median
from envs.scenarios import SCENARIOS

# Published numbers, their column and its title; the setting that is varied, and its value in the supplement's runs.
TABLES = {
    "table3": ("table3_lambda", "lambda", "λ", "lam", 2.2),
    "table4": ("table4_nu_max", "nu_max", artefact.NU_MAX, "nu_max", 1.3),
}
QUANTITIES = {"reward": "final_return", "cost": "final_cost"}
# Below this many units per episode (at most 1000 steps long) a normaliser is too small for a ratio to mean much.
SMALL = 10.0


def text(value: float | str) -> str:
    """Return a grid value in its shortest form: "2.2", "1", "inf"."""
    return f"{float(value):g}"


def select(runs: pd.DataFrame, parameter: str, published: float) -> pd.DataFrame:
    """Return the runs a table rests on, with `value`: the grid value of MAFOCOPS, "happo" for the normaliser.

    Args:
        runs: one row per run, as from `results.runs`.
        parameter: name of the setting, as in the variant `lam=1`.
        published: value of the default run.
    """
    texts = runs["variant"].astype(str).str.extract(rf"^{parameter}=(.+)$", expand=False)
    given = pd.to_numeric(texts, errors="coerce")
    value = given.where(runs["variant"].ne("default"), float(published)).map(text, na_action="ignore")
    value = value.where(runs["algorithm"].eq("mafocops"))
    value = value.mask(runs["algorithm"].eq("happo") & runs["variant"].eq("default"), "happo")
    return runs.assign(value=value)[value.notna()]


def ratio(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over scenarios of median(MAFOCOPS) / median(HAPPO), medians over the last axis (seeds).

    Args:
        samples: MAFOCOPS and HAPPO by turns, two arrays (..., n) per scenario.
    """
    medians = [median(sample) for sample in samples]
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


def _of_mean(used: Sequence[str], papers: set[str]) -> str:
    """Return the note of a mean over the scenarios `used`; empty if they are the paper's."""
    theirs, others = papers.intersection(used), {*used} - papers
    if theirs == papers and not others:
        return ""
    return f"mean over {len(theirs)} of the paper's {len(papers)} scenarios" + f" and {len(others)} more" * bool(others)


def _row(
    runs: pd.DataFrame, value: str, quantity: str, columns: Sequence[str], papers: set[str]
) -> list[dict[str, object]]:
    """Return the cells of one grid value and quantity: one per scenario, then their mean, in print over `papers`."""
    whole = runs[runs["whole"]].dropna(subset=QUANTITIES[quantity])
    cells, every, used = [], [], []
    for scenario in columns:
        here = whole[whole["scenario"] == scenario]
        ours, happo = here[here["value"] == value], here[here["value"] == "happo"]
        samples, note = _cell(*(part[QUANTITIES[quantity]].to_numpy() for part in (ours, happo)))
        steps = pd.concat([ours, happo])["steps"].min()
        common = {"scenario": scenario, "runs": len(ours), "steps": steps, "note": note}
        cells.append(common | estimate(samples, ratio))
        every, used = every + samples, used + [scenario] * bool(samples)
    steps = min((cell["steps"] for cell in cells if pd.notna(cell["ours"])), default=np.nan)
    fewest = min((cell["runs"] for cell in cells), default=0)
    mean = {"scenario": ALL, **estimate(every, ratio), "runs": fewest, "steps": steps, "note": _of_mean(used, papers)}
    return [{"setting": value, "quantity": quantity, **cell} for cell in [*cells, mean]]


def tidy(table: str, runs: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return Table 3 or 4 of runs from `select`: all cells of the paper and those run, values in growing order."""
    name, column, *_ = TABLES[table]
    published = results.paper(name)
    published["setting"] = published[column].map(text)
    values = sorted({*published["setting"], *runs["value"]} - {"happo"}, key=float)
    papers = {*published["scenario"]} - {ALL}
    rows = [cell for value in values for name in QUANTITIES for cell in _row(runs, value, name, columns, papers)]
    printed = published.melt(["setting", "scenario"], list(QUANTITIES), var_name="quantity", value_name="paper")
    ranks = {"setting": values, "quantity": list(QUANTITIES), "scenario": [*SCENARIOS, ALL]}
    frame = pd.DataFrame(rows).merge(printed, how="outer", on=list(ranks)).fillna({"note": ""})
    frame = frame.sort_values(list(ranks), key=lambda column: column.map(ranks[column.name].index), ignore_index=True)
    return frame.assign(table=table)[artefact.TIDY]


def _text_of(cell: pd.Series) -> str:
    """Return "0.964 (0.950)": ours, a dagger if noted, and the paper's in parentheses."""
    flag = "†" if cell["note"] and pd.notna(cell["ours"]) else ""
    return f"{artefact.number(cell['ours'], 3)}{flag} ({artefact.number(cell['paper'], 3)})"


def _printed(table: str, rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the layout of the paper: one line per value, return and cost of every scenario."""
    titles = {name: SCENARIOS[name].title for name in columns} | {ALL: "All envs"}
    cells = rows.set_index(["setting", "scenario", "quantity"])
    keys = [(scenario, quantity) for scenario in titles for quantity in QUANTITIES]
    header = [("", TABLES[table][2]), *((titles[scenario], quantity.capitalize()) for scenario, quantity in keys)]
    values = list(dict.fromkeys(rows["setting"]))
    lines = [[value.replace("inf", "∞"), *(_text_of(cells.loc[value, *key]) for key in keys)] for value in values]
    return pd.DataFrame(lines, columns=header)


def _remarks(rows: pd.DataFrame) -> list[str]:
    """Return which cells are undefined or doubtful."""
    noted = rows[(rows["note"] != "") & (rows["scenario"] != ALL)]
    means = rows[(rows["note"] != "") & (rows["scenario"] == ALL)]
    other = means["note"].str.endswith("more")
    said = {
        "n/a: no finished run, or HAPPO's value is not positive: dividing by it has no meaning.": noted["ours"].isna(),
        f"† in a scenario: HAPPO's value is below {SMALL:g}, so the ratio means little.": noted["ours"].notna(),
        "† in the last columns: mean over fewer than the paper's four scenarios.": means["ours"].notna() & ~other,
        "† in the last columns: mean over other scenarios than the paper's four.": means["ours"].notna() & other,
    }
    return [text for text, which in said.items() if which.any()]


def _published(runs: pd.DataFrame, parameter: str, usual: float) -> float:
    """Return the value of the default runs of MAFOCOPS: by their records, else the supplement's."""
    default = runs[runs["algorithm"].eq("mafocops") & runs["variant"].eq("default")]
    found = ((results.record(str(path)) or {}).get("settings", {}).get(parameter) for path in default["file"])
    return float(next((value for value in found if value is not None), usual))


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return Table 3 or 4 of metrics files."""
    _, _, title, parameter, usual = TABLES[name]
    frame = results.read(paths)
    runs, missing = results.runs(frame), results.missing(paths, frame)
    runs = select(runs, parameter, _published(runs, parameter, usual))
    named = {*runs["scenario"], *results.scenarios_of(missing)}
    columns = [scenario for scenario in SCENARIOS if scenario in named]
    rows = tidy(name, runs, columns)
    says = (
        f"Table {name[-1]}. Final return and cost (mean over the last tenth of the steps, median over seeds) of "
        f"MAFOCOPS for several values of {title}, divided by HAPPO's; the paper's value in parentheses."
    )
    return artefact.Artefact(rows, says, runs, missing, _remarks(rows), table=_printed(name, rows, columns))
