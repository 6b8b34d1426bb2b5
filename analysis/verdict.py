"""Reproduction against paper: does each number and sentence agree (pass), disagree (miss), or do they not compare?

Short runs are never compared with numbers of 10 million steps: they are "not comparable". `cells` judges Tables 1 to 4,
`claims` what the supplement says of Figures 2 to 6, `digitised` HAPPO and MAPPO against curves of the MACPO repository.
Every row names its tolerance and source.

    python -m analysis.verdict --tables table1.csv table3.csv --metrics FILE ... --output BASE
"""

import json
from pathlib import Path

import pandas as pd

from analysis import cells, claims, digitised, files, results, tables
from analysis.judging import COLUMNS, MISS, NOT_COMPARABLE, PASS
from envs.scenarios import SCENARIOS

NUMBERS = {"ours", "low", "high", "paper", "runs", "steps"}
ARTEFACTS = ("table1", "table2", "table3", "table4", "figure2", "figure3", "figure4", "figure5", "figure6", "digitised")
LISTED = ["scenario", "setting", "quantity", "ours", "paper", "tolerance", "verdict", "reason", "source"]
DECIMALS = 3


def _read(path: str) -> pd.DataFrame:
    """Return one of Tables 1 to 4 as `tables.save` wrote it, or raise ValueError with what is wrong with it."""
    frame = files.table(path, "a table of this package", tables.TIDY)
    for column in NUMBERS & set(frame):
        frame[column] = files.numbers(path, frame[column])
    if frame["table"].nunique() != 1 or frame["table"].iloc[0] not in cells.STEPS:
        raise ValueError(f"{path} is none of {', '.join(cells.STEPS)}")
    return frame.fillna({"note": ""})


def check_manifest(path: str) -> None:
    """Raise ValueError, naming the runs, if a suite holds runs of different task versions."""
    try:
        listed = json.loads(Path(path).read_bytes())["runs"]
        records = {run["path"]: run if run["recorded"] else None for run in listed}
    except (ValueError, RecursionError, KeyError, TypeError):
        raise ValueError(f"{path} is not a manifest, as `python -m analysis.manifest` writes it") from None
    files.one_task_version(records)


def _title(artefact: str) -> str:
    """Return "Table 1", "Figure 2", "Digitised"."""
    return f"{artefact[:-1].capitalize()} {artefact[-1]}" if artefact[-1].isdigit() else artefact.capitalize()


def _scenario(name: str) -> str:
    return SCENARIOS[name].title if name in SCENARIOS else name


def _summary(verdicts: pd.DataFrame) -> str:
    """Return how many cells, statements and readings of each artefact were measured, and what became of them."""
    rows = []
    for (artefact, kind), group in verdicts.groupby(["artefact", "kind"], sort=False):
        counts = [str((group["verdict"] == verdict).sum()) for verdict in (PASS, MISS, NOT_COMPARABLE)]
        rows.append([f"{_title(artefact)}: {kind}", f"{group['ours'].notna().sum()} of {len(group)}", *counts])
    header = [("", name) for name in ("what", "measured", PASS, MISS, NOT_COMPARABLE)]
    totals = [f"{(verdicts['verdict'] == verdict).sum()} {verdict}" for verdict in (PASS, MISS, NOT_COMPARABLE)]
    caption = (
        f"Reproduction against paper, {len(verdicts)} comparisons: {', '.join(totals)}. Tolerances are ours: the paper "
        "prints no spread. Not comparable is what was not measured, not for long enough, or belongs to a machine."
    )
    absent = [_title(name) for name in ARTEFACTS if name not in set(verdicts["artefact"])]
    missing = f"\nNothing to judge here: {', '.join(absent)}.\n" if absent else ""
    return tables.markdown(tables.Printed(header, rows), caption) + missing


def _list(verdicts: pd.DataFrame, title: str) -> str:
    """Return a section that lists comparisons; those without a number of ours are only counted."""
    measured = verdicts[verdicts["ours"].notna()]
    numbers = {name: measured[name].map(lambda x: tables.number(x, DECIMALS)) for name in ("ours", "paper")}
    shown = measured.assign(scenario=measured["scenario"].map(_scenario), **numbers)[LISTED]
    rest = len(verdicts) - len(measured)
    more = f"{rest} more were not measured here: `verdict.csv` lists them." if rest else ""
    if measured.empty:
        return f"## {title}\n\n{more}\n"
    table = tables.Printed([("", name) for name in LISTED], [list(map(str, row)) for row in shown.to_numpy()])
    return "\n".join(filter(None, [tables.markdown(table, f"## {title}"), more and f"{more}\n"]))


def markdown(verdicts: pd.DataFrame) -> str:
    """Return the summary, then the misses, then every comparison by artefact, in Markdown."""
    misses = verdicts[verdicts["verdict"] == MISS]
    missed = [_list(misses.assign(quantity=misses["artefact"].map(_title) + ": " + misses["quantity"]), "Misses")]
    sections = [_list(group, _title(name)) for name, group in verdicts.groupby("artefact", sort=False)]
    return "\n".join([_summary(verdicts), *(missed if len(misses) else []), *sections])


def main() -> None:
    """Command line."""
    parser = files.Parser(
        description="Compare tables and runs with the paper, cell by cell.", fromfile_prefix_chars="@"
    )
    parser.add_argument("--tables", nargs="*", default=[], metavar="FILE", help="CSV files of Tables 1 to 4")
    parser.add_argument("--metrics", nargs="*", default=[], metavar="FILE", help="metrics.csv files of Figures 2 to 6")
    parser.add_argument("--output", required=True, metavar="BASE", help="path without suffix")
    parser.add_argument("--manifest", metavar="FILE", help="refuse if its runs are of different task versions")
    options = parser.parse_args()
    if not options.tables + options.metrics:
        parser.error("nothing to judge: give --tables, --metrics or both")
    if options.manifest:
        check_manifest(options.manifest)
    found = [verdict for path in options.tables for verdict in cells.judge(_read(path))]
    if options.metrics:
        frame = results.read(options.metrics)
        found += claims.judge(frame) + digitised.judge(frame)
    verdicts = pd.DataFrame(found)
    contents = {".csv": verdicts[COLUMNS].to_csv(index=False, float_format="%.6g"), ".md": markdown(verdicts)}
    files.write(options.output, contents)


if __name__ == "__main__":
    files.command(main)
