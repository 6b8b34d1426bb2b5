"""Tables 1 and 2: frames per second and memory of MACPO and MAFOCOPS, the paper's numbers beside ours.

Numbers come from short runs of their own (200 000 steps, as published) that had the machine to themselves. Absolute
frames per second depend on hardware, so the ratio MAFOCOPS / MACPO is what compares with the paper.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import artefact, results
from analysis.statistics import estimate, median, pooled
from envs.scenarios import PAPER, SCENARIOS
from workflow import layout
from workflow.layout import DEFAULT

SPEEDS = ["fps", "fps_collect", "fps_update"]
MEMORY = ["memory_update_mib", "memory_rss_mib"]
PAIR = ["macpo", "mafocops"]
RATIO = "mafocops/macpo"
MAIN = (
    " (main runs)"  # ends the name of an algorithm whose settings in the main runs are not those that the paper timed
)
KEYS = ["scenario", "setting", "quantity"]


def _ratio(pair: Sequence[np.ndarray]) -> np.ndarray:
    """Return median(MAFOCOPS) / median(MACPO)."""
    return median(pair[0]) / median(pair[1])


def _improvement(pair: Sequence[np.ndarray]) -> np.ndarray:
    return 100 * (_ratio(pair) - 1)


def _saved(pair: Sequence[np.ndarray]) -> np.ndarray:
    return median(pair[1]) - median(pair[0])


class Source(NamedTuple):
    """A table in print: its file, the unit in the names of its columns, what they measure, and what the gain is."""

    file: str
    unit: str
    quantity: str
    gain: str
    title: str
    statistic: Callable[[Sequence[np.ndarray]], np.ndarray]


SOURCES = {
    "table1": Source("table1_fps", "fps", "fps", "improvement_percent", "Improvement (%)", _improvement),
    "table2": Source("table2_memory_mib", "mib", "memory_update_mib", "saved_mib", "Saved", _saved),
}
CAPTIONS = {
    "table1": "Table 1. Environment steps per second, end to end, median over repeats{}; the first iteration "
    "(warm-up) and iterations slowed by memory tracing are left out. Only the improvement compares across hardware.",
    "table2": "Table 2. Memory in MiB: peak of the tensors alive during an update, and peak resident memory of the "
    "process; median over repeats{}.",
}
INTERVAL = " [95 % bootstrap interval]"


def _repeat(*columns: np.ndarray) -> list[float]:
    """Return the numbers of one repeat from its SPEEDS and MEMORY.

    FPS leaves out the first iteration (warm-up) and, where memory was traced on some rows only, those rows: tracing
    slows them down. A GPU reports its allocator's peak on every row at no cost, and then every row counts.
    """
    frame = pd.DataFrame(dict(zip([*SPEEDS, *MEMORY], columns, strict=True)))
    traced = frame[MEMORY[0]].notna()
    timed = frame.iloc[1:] if traced.all() else frame.iloc[1:][~traced.iloc[1:]]
    return [*timed[SPEEDS].mean(), *frame[MEMORY].max()]


def variants(frame: pd.DataFrame) -> dict[str, str]:
    """Return the settings of those algorithms that were timed with others than those of the main runs.

    Raises:
        ValueError: of one algorithm there are several.
    """
    found: dict[str, str] = {}
    for algorithm, variant in frame[["algorithm", "variant"]].astype(str).drop_duplicates().itertuples(index=False):
        if variant != DEFAULT and found.setdefault(algorithm, variant) != variant:
            raise ValueError(f"{algorithm} was timed as {found[algorithm]} and as {variant}: give one beside {DEFAULT}")
    return found


def repeats(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of all repeats, one per row.

    An algorithm that was timed with other settings beside those of the main runs is the paper's with the others.

    Returns:
        columns `scenario`, `setting` (algorithm, with MAIN or without), `steps`, `quantity` (fps, fps_collect,
        fps_update in environment steps per second; memory_update_mib, memory_rss_mib in MiB) and `value`.
    """
    names = [*SPEEDS, *MEMORY]
    found = pd.DataFrame([_repeat(*run) for run in results.by_run(frame, *names)], columns=names, dtype=float)
    heads = results.runs(frame)[["scenario", "algorithm", "steps", "variant"]].astype(
        {"scenario": str, "algorithm": str}
    )
    beside = heads["variant"].eq(DEFAULT) & heads["algorithm"].isin(variants(frame))
    heads = heads.assign(algorithm=heads["algorithm"] + np.where(beside, MAIN, ""))[["scenario", "algorithm", "steps"]]
    heads.columns = ["scenario", "setting", "steps"]
    return heads.join(found).melt(list(heads), var_name="quantity")


def _estimate(samples: Sequence[pd.DataFrame], statistic: Callable[[Sequence[np.ndarray]], np.ndarray]) -> dict:
    """Return a statistic of the known values of one or two samples from `repeats`, on how many runs and steps."""
    every = pd.concat(samples)
    fewest = min(map(len, filter(len, samples)), default=np.nan)
    values = [sample["value"].dropna().to_numpy() for sample in samples]
    return estimate(values, statistic) | {"runs": fewest, "steps": every["steps"].min()}


def measure(frame: pd.DataFrame) -> pd.DataFrame:
    """Return medians over repeats with their intervals.

    Args:
        frame: rows from `repeats`.

    Returns:
        columns KEYS, `ours`, `low`, `high`, `runs` (repeats), `steps`.
    """
    groups = frame.groupby(KEYS, sort=False)
    rows = [dict(zip(KEYS, key, strict=True)) | _estimate([own], pooled(median)) for key, own in groups]
    return pd.DataFrame(rows, columns=[*KEYS, "ours", "low", "high", "runs", "steps"])


def _compare(frame: pd.DataFrame, published: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Return the rows that compare MAFOCOPS with MACPO, ours beside the paper's.

    Args:
        frame: rows from `repeats`.
        published: indexed by scenario, columns `macpo`, `mafocops` and `gain` as printed.
        source: of `published`.
    """
    shown = frame[frame["quantity"] == source.quantity]
    rows = []
    for scenario, printed in published.iterrows():
        pair = [shown[(shown["scenario"] == scenario) & (shown["setting"] == name)] for name in ("mafocops", "macpo")]
        paper = {source.gain: printed["gain"], "ratio": printed["mafocops"] / printed["macpo"]}
        for quantity, statistic in ((source.gain, source.statistic), ("ratio", _ratio)):
            key = dict(zip(KEYS, (scenario, RATIO, quantity), strict=True))
            rows.append({**key, **_estimate(pair, statistic), "paper": paper[quantity]})
    return pd.DataFrame(rows)


def tidy(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return Table 1 or 2 in the tidy form, one number per row for all scenarios of the paper and those measured.

    Args:
        table: table1 or table2.
        frame: rows from `results.read(..., repeats=True)`.
    """
    source = SOURCES[table]
    columns = [*(f"{name}_{source.unit}" for name in PAIR), source.gain]
    each = repeats(frame)
    published = results.paper(source.file).set_index("scenario")[columns].set_axis([*PAIR, "gain"], axis=1)
    ours = [name for name in SCENARIOS if name in set(each["scenario"]) - set(published.index)]
    published = published.reindex([*published.index, *ours])  # what the paper has no numbers of comes last
    each = each[each["quantity"].str.startswith(source.quantity.split("_")[0])]
    printed = published[PAIR].stack().rename("paper").rename_axis(KEYS[:2]).reset_index()
    rows = measure(each).merge(printed.assign(quantity=source.quantity), how="outer")
    rows = pd.concat([rows, _compare(each, published, source)], ignore_index=True)
    rows = rows.assign(table=table, note="").reindex(columns=artefact.TIDY)
    rank = [*published.index, *(name for name in SCENARIOS if name not in published.index)]
    return rows.sort_values("scenario", key=lambda names: names.map(rank.index), kind="stable", ignore_index=True)


def _printed(table: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the printed layout; scenarios without any measurement are left to the caption."""
    source, ours, paper = SOURCES[table], {}, {}
    for row in rows.itertuples():
        key, decimals = (row.scenario, row.setting, row.quantity), 0 if row.quantity == "fps" else 2
        ours[key] = artefact.interval(row.ours, row.low, row.high, decimals)
        paper[key] = artefact.number(row.paper, decimals)
    others = [name for name in results.order(rows["setting"]) if name not in [*PAIR, RATIO]]
    both = [*((name, source.quantity) for name in PAIR), (RATIO, source.gain)]
    columns = [(group, *column) for group in ("Measured", "Paper") for column in both]
    columns += [("Ours only", name, source.quantity) for name in others]
    if table == "table2":
        columns += [("Process peak", name, "memory_rss_mib") for name in [*PAIR, *others]]
    lines = []
    for scenario in measured_scenarios(rows) or list(dict.fromkeys(rows["scenario"])):
        cells = (
            (paper if group == "Paper" else ours).get((scenario, *key), artefact.MISSING) for group, *key in columns
        )
        lines.append([SCENARIOS[scenario].title, *cells])
    titles = [(group, source.title if name == RATIO else results.label(name)) for group, name, _ in columns]
    return pd.DataFrame(lines, columns=[("", "Scenario"), *titles])


def hardware(paths: Sequence[str]) -> str:
    """Return the sentence on the machines that the runs' records name; empty without any record."""
    known = [
        found["hardware"] for found in map(results.record, paths) if found and isinstance(found.get("hardware"), dict)
    ]
    names = {f"{entry.get('gpu') or entry.get('cpu')} ({entry.get('cores')} cores)" for entry in known}
    return f"Measured on {', '.join(sorted(names))}." if names else ""


def _settings(variant: str) -> str:
    """Return the settings of a variant as a reader would write them: `trust_region=minibatch, fraction_coef=0.3`."""
    return ", ".join(f"{name}={value}" for name, value in layout.settings_in(variant).items()) or variant


def _says(frame: pd.DataFrame) -> list[str]:
    """Return a sentence on each algorithm that was timed with two settings."""
    return [
        f"{results.label(name)} as the paper timed it: {_settings(variant)}; "
        f"with the settings of the main runs: {results.label(name)}{MAIN}."
        for name, variant in variants(frame).items()
    ]


def measured_scenarios(rows: pd.DataFrame) -> list[str]:
    """Return the scenarios that have at least one measured number, in table order."""
    return list(dict.fromkeys(rows.loc[rows["ours"].notna(), "scenario"]))


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return Table 1 or 2 of metrics files."""
    frame = results.read(paths, repeats=True)
    rows = tidy(name, frame)
    present = measured_scenarios(rows)
    absent = [SCENARIOS[scenario].title for scenario in dict.fromkeys(rows["scenario"]) if scenario not in present]
    if present and not set(PAPER) & set(present):  # a suite of other tasks
        absent = []
    return artefact.Artefact(
        rows,
        CAPTIONS[name].format(INTERVAL if rows["low"].notna().any() else ""),
        results.runs(frame),
        results.missing(paths, frame),
        [hardware(paths), f"Not measured: {', '.join(absent)}." if absent else "", *_says(frame)],
        table=_printed(name, rows),
        noun="repeat",
        published=results.TIMED_STEPS,
    )
