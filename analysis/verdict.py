"""Reproduction against paper: does each number and sentence agree (pass), disagree (miss), or is that not known?

A sentence that too few seeds speak for or against is "undecided". Short runs are never compared with numbers of 10
million steps, nor runs that bootstrap time limits with numbers of the paper, which counts them as failures: they are
"not comparable". Sentences are judged under the suite's own conditions. `cells` judges numbers in print, `claims`
sentences. Every row names its tolerance, the reason for it, and its source; paper/claims.csv holds them all.

    python -m analysis verdict table1.csv table3.csv metrics.csv ... manifest.json --output BASE
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import pandas as pd

from analysis import artefact, cells, claims, files, manifest, results
from analysis.judging import COLUMNS, MISS, NOT_COMPARABLE, PASS, UNDECIDED
from envs.scenarios import SCENARIOS
from workflow.layout import DEFAULT

MANIFEST = "manifest.json"
NUMBERS = {"ours", "low", "high", "paper", "runs", "steps"}
HANDS = "The tasks of Safe MAIG ran on MuJoCo here: PhysX numbers are not comparable."
ARTEFACTS = ("table1", "table2", "table3", "table4", "figure2", "figure3", "figure4", "figure5", "figure6", "digitised")
LISTED = ["scenario", "setting", "quantity", "ours", "paper", "tolerance", "verdict", "reason", "source"]
DECIMALS = 3
VERDICTS = (PASS, MISS, UNDECIDED, NOT_COMPARABLE)
BOOTSTRAPPED = "time limits are bootstrapped here, failures in the paper"


def _read(path: str) -> pd.DataFrame:
    """Return one of Tables 1 to 4 as `artefact.save` wrote it, or raise ValueError with what is wrong with it."""
    frame = files.table(path, "a table of this package", artefact.TIDY)
    for column in NUMBERS & set(frame):
        frame[column] = files.numbers(path, frame[column])
    if frame["table"].nunique() != 1 or frame["table"].iloc[0] not in cells.STEPS:
        raise ValueError(f"{path} is none of {', '.join(cells.STEPS)}")
    return frame.fillna({"note": ""})


def time_limits(runs: Sequence[Mapping]) -> set[str]:
    """Return what default runs did at time limits, where their records say."""
    default = [run.get("settings") for run in runs if run.get("variant", DEFAULT) == DEFAULT]
    return set(filter(None, map(results.time_limit, default)))


def of_table(table: pd.DataFrame, conditions: str = "") -> list[dict[str, object]]:
    """Return the verdicts on the cells of one of Tables 1 to 4 in the tidy form, and on the sentences about it."""
    return cells.of_table(table, conditions) + claims.of_table(table)


def of_runs(frame: pd.DataFrame, conditions: str = "") -> list[dict[str, object]]:
    """Return the verdicts on the sentences about Figures 2 to 6, and on digitised curves, of rows of `results.read`."""
    return claims.of_figures(frame) + cells.of_curves(frame, conditions)


def title(artefact: str) -> str:
    """Return "Table 1", "Figure 2", "Digitised"."""
    return f"{artefact[:-1].capitalize()} {artefact[-1]}" if artefact[-1].isdigit() else artefact.capitalize()


def _summary(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return how many cells, statements and readings of each artefact were measured, and what became of them."""
    rows = []
    for (name, kind), group in verdicts.groupby(["artefact", "kind"], sort=False):
        counts = [str((group["verdict"] == verdict).sum()) for verdict in VERDICTS]
        rows.append([f"{title(name)}: {kind}", f"{group['ours'].notna().sum()} of {len(group)}", *counts])
    return pd.DataFrame(rows, columns=["what", "measured", *VERDICTS])


def _page(verdicts: pd.DataFrame) -> str:
    """Return what came out, what did not and what is open, in Markdown, for readers who know no more than the paper."""
    leaning = verdicts["verdict"] == UNDECIDED
    parts = {
        "Came out": verdicts["verdict"] == PASS,
        "Did not come out": verdicts["verdict"] == MISS,
        "Open, so far for the paper: too few seeds to decide": leaning & verdicts["holds"],
        "Open, so far against the paper: too few seeds to decide": leaning & ~verdicts["holds"],
    }
    lines = ["## On one page", "`(3)` behind a scenario: three values were compared there."]
    for head, chosen in parts.items():
        said = [f"- {plain}: {_where(own)}" for plain, own in verdicts[chosen].groupby("plain", sort=False)]
        lines.append("\n".join([f"### {head}\n", *(said or ["Nothing."])]))
    rest = verdicts[verdicts["verdict"] == NOT_COMPARABLE]
    reasons = rest["reason"].where(rest["ours"].notna(), "not run here").str.split(";").str[0].value_counts(sort=False)
    lines.append("\n".join(["### Not compared\n", *(f"- {number}: {reason}" for reason, number in reasons.items())]))
    return "\n\n".join(lines) + "\n"


def _where(rows: pd.DataFrame) -> str:
    """Return where something was compared: the scenarios, or the figure of a robot; more than once with how often."""
    places = (
        rows["scenario"].map(results.scenario_title).where(rows["scenario"] != results.ALL, rows["artefact"].map(title))
    )
    return ", ".join(
        f"{place} ({number})" if number > 1 else place for place, number in places.value_counts(sort=False).items()
    )


def _tolerances(verdicts: pd.DataFrame) -> str:
    """Return a section with what decides each kind of number and sentence, and why."""
    table = verdicts[["plain", "tolerance", "because"]].drop_duplicates().rename(columns={"plain": "what"})
    return artefact.markdown(table, "## Tolerances, and why")


def _list(verdicts: pd.DataFrame, head: str) -> str:
    """Return a section that lists comparisons; those without a number of ours are only counted."""
    measured = verdicts[verdicts["ours"].notna()]
    ours = [artefact.interval(*each, DECIMALS) for each in measured[["ours", "low", "high"]].to_numpy(float)]
    numbers = {"ours": ours, "paper": measured["paper"].map(lambda x: artefact.number(x, DECIMALS))}
    shown = measured.assign(scenario=measured["scenario"].map(results.scenario_title), **numbers)[LISTED]
    rest = len(verdicts) - len(measured)
    more = f"{rest} more were not measured here: `verdict.csv` lists them." if rest else ""
    if measured.empty:
        return f"## {head}\n\n{more}\n"
    return "\n".join(filter(None, [artefact.markdown(shown, f"## {head}"), more and f"{more}\n"]))


def _lists(verdicts: pd.DataFrame) -> Iterable[str]:
    """Yield one page, what had nothing to judge, misses, every comparison by artefact, tolerances, in Markdown."""
    yield _page(verdicts)
    absent = [title(name) for name in ARTEFACTS if name not in set(verdicts["artefact"])]
    if absent:
        yield f"Nothing to judge here: {', '.join(absent)}.\n"
    misses = verdicts[verdicts["verdict"] == MISS]
    if len(misses):
        yield _list(misses.assign(quantity=misses["artefact"].map(title) + ": " + misses["quantity"]), "Misses")
    for name, group in verdicts.groupby("artefact", sort=False):
        yield _list(group, title(name))
    yield _tolerances(verdicts)


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return the verdict on table1.csv to table4.csv and the metrics files of Figures 2 to 6.

    With a manifest.json among them, the runs it lists must be of one version of the task.

    Raises:
        ValueError: a file is damaged or no table, or runs do not belong together.
    """
    manifests = [path for path in paths if Path(path).name == MANIFEST]
    listed = [manifest.runs(path) for path in manifests]
    for runs in listed:
        results.one_task_version({run["path"]: run if run["recorded"] else None for run in runs})
    given = [path for path in paths if Path(path).stem in cells.STEPS]
    metrics = [path for path in paths if path not in {*given, *manifests}]
    if not given and not metrics:
        raise ValueError("nothing to judge: give CSV files of Tables 1 to 4, metrics.csv files, or both")
    limits = time_limits([*(results.record(path) or {} for path in metrics), *chain(*listed)])
    conditions = BOOTSTRAPPED if "bootstrap" in limits else ""
    found = [verdict for path in given for verdict in of_table(_read(path), conditions)]
    verdicts = pd.DataFrame(found + (of_runs(results.read(metrics), conditions) if metrics else []))
    totals = [f"{(verdicts['verdict'] == verdict).sum()} {verdict}" for verdict in VERDICTS]
    says = (
        f"Reproduction against paper, {len(verdicts)} comparisons: {', '.join(totals)}. Tolerances are ours: the paper "
        "prints no spread. Undecided is a sentence that too few seeds speak for or against. Not comparable is what was "
        "not measured, not for long enough or under other conditions, or belongs to a machine."
        + (f" {conditions.capitalize()}." if conditions else "")
        + (" Time limits count as failures, as in the paper." if limits == {"failure"} else "")
    )
    more = "\n".join(_lists(verdicts))
    remarks = [HANDS] * any(SCENARIOS[name].figure == "hands" for name in results.scenarios_of(metrics))
    return artefact.Artefact(verdicts[COLUMNS], says, None, remarks=remarks, table=_summary(verdicts), more=more)
