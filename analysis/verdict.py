"""Reproduction against paper: does each number and sentence agree (pass), disagree (miss), or do they not compare?

Short runs are never compared with numbers of 10 million steps: they are "not comparable". `cells` judges numbers in
print, `claims` sentences. Every row names its tolerance and source; paper/claims.csv holds them all, with reasons.

    python -m analysis verdict table1.csv table3.csv metrics.csv ... manifest.json --output BASE
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from analysis import artefact, cells, claims, files, manifest, results
from analysis.judging import COLUMNS, MISS, NOT_COMPARABLE, PASS
from envs.scenarios import SCENARIOS

MANIFEST = "manifest.json"
NUMBERS = {"ours", "low", "high", "paper", "runs", "steps"}
HANDS = "The tasks of Safe MAIG ran on MuJoCo here: PhysX numbers are not comparable."
ARTEFACTS = ("table1", "table2", "table3", "table4", "figure2", "figure3", "figure4", "figure5", "figure6", "digitised")
LISTED = ["scenario", "setting", "quantity", "ours", "paper", "tolerance", "verdict", "reason", "source"]
DECIMALS = 3


def _read(path: str) -> pd.DataFrame:
    """Return one of Tables 1 to 4 as `artefact.save` wrote it, or raise ValueError with what is wrong with it."""
    frame = files.table(path, "a table of this package", artefact.TIDY)
    for column in NUMBERS & set(frame):
        frame[column] = files.numbers(path, frame[column])
    if frame["table"].nunique() != 1 or frame["table"].iloc[0] not in cells.STEPS:
        raise ValueError(f"{path} is none of {', '.join(cells.STEPS)}")
    return frame.fillna({"note": ""})


def check_manifest(path: str) -> None:
    """Raise ValueError, naming the runs, if a suite holds runs of different task versions."""
    results.one_task_version({run["path"]: run if run["recorded"] else None for run in manifest.runs(path)})


def of_table(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on the cells of one of Tables 1 to 4 in the tidy form, and on the sentences about it."""
    return cells.of_table(table) + claims.of_table(table)


def of_runs(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on the sentences about Figures 2 to 6, and on digitised curves.

    Args:
        frame: rows from `results.read`.
    """
    return claims.of_figures(frame) + cells.of_curves(frame)


def title(artefact: str) -> str:
    """Return "Table 1", "Figure 2", "Digitised"."""
    return f"{artefact[:-1].capitalize()} {artefact[-1]}" if artefact[-1].isdigit() else artefact.capitalize()


def _scenario(name: str) -> str:
    return SCENARIOS[name].title if name in SCENARIOS else name


def _summary(verdicts: pd.DataFrame) -> artefact.Printed:
    """Return how many cells, statements and readings of each artefact were measured, and what became of them."""
    rows = []
    for (name, kind), group in verdicts.groupby(["artefact", "kind"], sort=False):
        counts = [str((group["verdict"] == verdict).sum()) for verdict in (PASS, MISS, NOT_COMPARABLE)]
        rows.append([f"{title(name)}: {kind}", f"{group['ours'].notna().sum()} of {len(group)}", *counts])
    return artefact.Printed([("", name) for name in ("what", "measured", PASS, MISS, NOT_COMPARABLE)], rows)


def _list(verdicts: pd.DataFrame, head: str) -> str:
    """Return a section that lists comparisons; those without a number of ours are only counted."""
    measured = verdicts[verdicts["ours"].notna()]
    numbers = {name: measured[name].map(lambda x: artefact.number(x, DECIMALS)) for name in ("ours", "paper")}
    shown = measured.assign(scenario=measured["scenario"].map(_scenario), **numbers)[LISTED]
    rest = len(verdicts) - len(measured)
    more = f"{rest} more were not measured here: `verdict.csv` lists them." if rest else ""
    if measured.empty:
        return f"## {head}\n\n{more}\n"
    table = artefact.Printed([("", name) for name in LISTED], [list(map(str, row)) for row in shown.to_numpy()])
    return "\n".join(filter(None, [artefact.markdown(table, f"## {head}"), more and f"{more}\n"]))


def _lists(verdicts: pd.DataFrame) -> Iterable[str]:
    """Yield what had nothing to judge, then the misses, then every comparison by artefact, in Markdown."""
    absent = [title(name) for name in ARTEFACTS if name not in set(verdicts["artefact"])]
    if absent:
        yield f"Nothing to judge here: {', '.join(absent)}.\n"
    misses = verdicts[verdicts["verdict"] == MISS]
    if len(misses):
        yield _list(misses.assign(quantity=misses["artefact"].map(title) + ": " + misses["quantity"]), "Misses")
    for name, group in verdicts.groupby("artefact", sort=False):
        yield _list(group, title(name))


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return the verdict on tables and runs.

    Args:
        name: of the artefact.
        paths: table1.csv to table4.csv, metrics files of Figures 2 to 6, and manifest.json, whose runs must be of one
            version of the task.

    Raises:
        ValueError: a file is damaged or no table, or runs do not belong together.
    """
    manifests = [path for path in paths if Path(path).name == MANIFEST]
    for path in manifests:
        check_manifest(path)
    given = [path for path in paths if Path(path).stem in cells.STEPS]
    metrics = [path for path in paths if path not in {*given, *manifests}]
    if not given and not metrics:
        raise ValueError("nothing to judge: give CSV files of Tables 1 to 4, metrics.csv files, or both")
    found = [verdict for path in given for verdict in of_table(_read(path))]
    verdicts = pd.DataFrame(found + (of_runs(results.read(metrics)) if metrics else []))
    totals = [f"{(verdicts['verdict'] == verdict).sum()} {verdict}" for verdict in (PASS, MISS, NOT_COMPARABLE)]
    says = (
        f"Reproduction against paper, {len(verdicts)} comparisons: {', '.join(totals)}. Tolerances are ours: the paper "
        "prints no spread. Not comparable is what was not measured, not for long enough, or belongs to a machine."
    )
    more = "\n".join(_lists(verdicts))
    hands = any(SCENARIOS[name].figure == "hands" for name in results.scenarios_of(metrics))
    remarks = [HANDS] if hands else []
    return artefact.Artefact(verdicts[COLUMNS], says, None, remarks=remarks, table=_summary(verdicts), more=more)
