"""Tables 1 and 2: frames per second and memory of MACPO and MAFOCOPS, the paper's numbers beside ours.

Numbers come from short runs of their own (200 000 steps, as published) that had the machine to themselves. Absolute
frames per second depend on hardware, so the ratio MAFOCOPS / MACPO is what compares with the paper.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis import artefact, results
from analysis.artefact import Printed
from analysis.statistics import estimate, median
from envs.scenarios import SCENARIOS

SPEEDS = ["fps", "fps_collect", "fps_update"]
MEMORY = ["memory_update_mib", "memory_rss_mib"]
PAIR = ["macpo", "mafocops"]
RATIO = "mafocops/macpo"


def _repeat(*columns: np.ndarray) -> list[float]:
    """Return the numbers of one repeat from its SPEEDS and MEMORY.

    FPS leaves out the first iteration (warm-up) and, where memory was traced on some rows only, those rows: tracing
    slows them down. A GPU reports its allocator's peak on every row at no cost, and then every row counts.
    """
    frame = pd.DataFrame(dict(zip([*SPEEDS, *MEMORY], columns, strict=True)))
    traced = frame[MEMORY[0]].notna()
    timed = frame.iloc[1:] if traced.all() else frame.iloc[1:][~traced.iloc[1:]]
    return [*timed[SPEEDS].mean(), *frame[MEMORY].max()]


def repeats(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of all repeats, one per row.

    Returns:
        columns `scenario`, `setting` (algorithm), `steps`, `quantity` (fps, fps_collect, fps_update in environment
        steps per second; memory_update_mib, memory_rss_mib in MiB) and `value`.
    """
    names = [*SPEEDS, *MEMORY]
    found = pd.DataFrame([_repeat(*run) for run in results.by_run(frame, *names)], columns=names, dtype=float)
    heads = results.runs(frame)[["scenario", "algorithm", "steps"]].astype({"scenario": str, "algorithm": str})
    heads.columns = ["scenario", "setting", "steps"]
    return heads.join(found).melt(list(heads), var_name="quantity")


def _values(sample: pd.Series) -> np.ndarray:
    return sample.dropna().to_numpy()


def _median(samples: Sequence[np.ndarray]) -> np.ndarray:
    return median(samples[0])


def measure(frame: pd.DataFrame) -> pd.DataFrame:
    """Return medians over repeats with their intervals.

    Args:
        frame: rows from `repeats`.

    Returns:
        columns `scenario`, `setting`, `quantity`, `ours`, `low`, `high`, `runs` (repeats), `steps`.
    """
    rows = [
        dict(zip(("scenario", "setting", "quantity"), key, strict=True))
        | estimate([_values(group["value"])], _median)
        | {"runs": len(group), "steps": group["steps"].min()}
        for key, group in frame.groupby(["scenario", "setting", "quantity"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["scenario", "setting", "quantity", "ours", "low", "high", "runs", "steps"])


def _ratio(pair: Sequence[np.ndarray]) -> np.ndarray:
    """Return median(MAFOCOPS) / median(MACPO)."""
    return median(pair[0]) / median(pair[1])


def _improvement(pair: Sequence[np.ndarray]) -> np.ndarray:
    return 100 * (_ratio(pair) - 1)


def _saved(pair: Sequence[np.ndarray]) -> np.ndarray:
    return median(pair[1]) - median(pair[0])


def _compare(frame: pd.DataFrame, published: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return the rows that compare MAFOCOPS with MACPO, ours beside the paper's.

    Args:
        frame: rows from `repeats`.
        published: indexed by scenario, columns `macpo`, `mafocops` and `gain` as printed.
        quantity: fps or memory_update_mib.
    """
    gain, difference = {"fps": ("improvement_percent", _improvement), "memory_update_mib": ("saved_mib", _saved)}[
        quantity
    ]
    shown = frame[frame["quantity"] == quantity]
    rows = []
    for scenario, printed in published.iterrows():
        here = shown[shown["scenario"] == scenario]
        pair = [_values(here.loc[here["setting"] == name, "value"]) for name in ("mafocops", "macpo")]
        fewest = here.groupby("setting").size().min() if len(here) else float("nan")
        common = {"scenario": scenario, "setting": RATIO, "runs": fewest, "steps": here["steps"].min()}
        paper = {gain: printed["gain"], "ratio": printed["mafocops"] / printed["macpo"]}
        for name, statistic in ((gain, difference), ("ratio", _ratio)):
            rows.append({**common, "quantity": name, **estimate(pair, statistic), "paper": paper[name]})
    return pd.DataFrame(rows)


SOURCES = {
    "table1": ("table1_fps", ["macpo_fps", "mafocops_fps", "improvement_percent"], "fps"),
    "table2": ("table2_memory_mib", ["macpo_mib", "mafocops_mib", "saved_mib"], "memory_update_mib"),
}


def tidy(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return Table 1 or 2 in the tidy form, one number per row for all scenarios of the paper and those measured.

    Args:
        table: table1 or table2.
        frame: rows from `results.read(..., repeats=True)`.
    """
    name, columns, quantity = SOURCES[table]
    each = repeats(frame)
    published = results.paper(name).set_index("scenario")[columns].set_axis([*PAIR, "gain"], axis=1)
    ours = [name for name in SCENARIOS if name in set(each["scenario"]) - set(published.index)]
    published = published.reindex([*published.index, *ours])  # what the paper has no numbers of comes last
    each = each[each["quantity"].str.startswith(quantity.split("_")[0])]
    printed = published[PAIR].stack().rename("paper").rename_axis(["scenario", "setting"]).reset_index()
    rows = measure(each).merge(printed.assign(quantity=quantity), how="outer")
    rows = pd.concat([rows, _compare(each, published, quantity)], ignore_index=True)
    rows = rows.assign(table=table, note="").reindex(columns=artefact.TIDY)
    rank = [*published.index, *(name for name in SCENARIOS if name not in published.index)]
    return rows.sort_values("scenario", key=lambda names: names.map(rank.index), kind="stable", ignore_index=True)


def _cell(row: pd.Series, kind: str) -> str:
    """Return our number with its interval, or the paper's, as text."""
    decimals = 0 if row.name[2] == "fps" else 2
    if kind == "paper":
        return artefact.number(row["paper"], decimals)
    return artefact.interval(row["ours"], row["low"], row["high"], decimals)


def _printed(table: str, rows: pd.DataFrame) -> Printed:
    """Return the printed layout; scenarios without any measurement are left to the caption."""
    quantity = SOURCES[table][2]
    gain, title = ("improvement_percent", "Improvement (%)") if table == "table1" else ("saved_mib", "Saved")
    others = [name for name in results.order(rows["setting"]) if name not in [*PAIR, RATIO]]
    columns = [("Measured", results.label(name), name, quantity, "ours") for name in PAIR]
    columns += [("Measured", title, RATIO, gain, "ours")]
    columns += [("Paper", results.label(name), name, quantity, "paper") for name in PAIR]
    columns += [("Paper", title, RATIO, gain, "paper")]
    columns += [("Ours only", results.label(name), name, quantity, "ours") for name in others]
    if table == "table2":
        columns += [("Process peak", results.label(name), name, "memory_rss_mib", "ours") for name in [*PAIR, *others]]
    cells = rows.set_index(["scenario", "setting", "quantity"])
    lines = []
    for scenario in measured_scenarios(rows) or list(dict.fromkeys(rows["scenario"])):
        keys = [((scenario, setting, what), kind) for _, _, setting, what, kind in columns]
        texts = [_cell(cells.loc[key], kind) if key in cells.index else artefact.MISSING for key, kind in keys]
        lines.append([SCENARIOS[scenario].title, *texts])
    return Printed([("", "Scenario"), *(column[:2] for column in columns)], lines)


def hardware(paths: Sequence[str]) -> str:
    """Return the sentence on the machines that the runs' records name; empty without any record."""
    known = [
        found["hardware"] for found in map(results.record, paths) if found and isinstance(found.get("hardware"), dict)
    ]
    names = {f"{entry.get('gpu') or entry.get('cpu')} ({entry.get('cores')} cores)" for entry in known}
    return f"Measured on {', '.join(sorted(names))}." if names else ""


def measured_scenarios(rows: pd.DataFrame) -> list[str]:
    """Return the scenarios that have at least one measured number, in table order."""
    return list(dict.fromkeys(rows.loc[rows["ours"].notna(), "scenario"]))


CAPTIONS = {
    "table1": "Table 1. Environment steps per second, end to end, median over repeats{}; the first iteration "
    "(warm-up) and iterations slowed by memory tracing are left out. Only the improvement compares across hardware.",
    "table2": "Table 2. Memory in MiB: peak of the tensors alive during an update, and peak resident memory of the "
    "process; median over repeats{}.",
}
INTERVAL = " [95 % bootstrap interval]"


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return Table 1 or 2 of metrics files."""
    frame = results.read(paths, repeats=True)
    rows = tidy(name, frame)
    present = measured_scenarios(rows)
    absent = [SCENARIOS[scenario].title for scenario in dict.fromkeys(rows["scenario"]) if scenario not in present]
    return artefact.Artefact(
        rows,
        CAPTIONS[name].format(INTERVAL if rows["low"].notna().any() else ""),
        results.runs(frame),
        results.missing(paths, frame),
        [hardware(paths), f"Not measured: {', '.join(absent)}." if absent else ""],
        table=_printed(name, rows),
        noun="repeat",
        published=results.TIMED_STEPS,
    )
