"""Tables 1 and 2: frames per second and memory of MACPO and MAFOCOPS, the paper's numbers beside ours.

Numbers come from short runs of their own (200 000 steps, as published) that had the machine to themselves. Absolute
frames per second depend on hardware, so the ratio MAFOCOPS / MACPO is what compares with the paper.

    python -m analysis.efficiency --table table1 --metrics FILE ... --output BASE
"""

from collections.abc import Sequence

import pandas as pd

from analysis import captions, collect, output, style, tables
from analysis.tables import Printed
from envs.scenarios import SCENARIOS

PUBLISHED_STEPS = 200_000
PAIR = ["macpo", "mafocops"]
RATIO = "mafocops/macpo"


def _repeat(run: pd.DataFrame) -> dict[str, float]:
    """Return the numbers of one repeat from its rows.

    FPS leaves out the first iteration (warm-up) and, where memory was traced on some rows only, those rows: tracing
    slows them down. A GPU reports its allocator's peak on every row at no cost, and then every row counts.
    """
    traced = run["memory_update_mib"].notna()
    timed = run.iloc[1:] if traced.all() else run.iloc[1:][~traced.iloc[1:]]
    speeds = {name: timed[name].mean() for name in ("fps", "fps_collect", "fps_update")}
    return speeds | {name: run[name].max() for name in ("memory_update_mib", "memory_rss_mib")}


def measure(frame: pd.DataFrame) -> pd.DataFrame:
    """Return median, minimum and maximum over repeats.

    Returns:
        columns `scenario`, `setting` (algorithm), `quantity` (fps, fps_collect, fps_update in environment steps per
        second; memory_update_mib, memory_rss_mib in MiB), `ours`, `low`, `high`, `runs` (repeats), `steps`.
    """
    repeats = [
        {"scenario": run["scenario"].iloc[0], "setting": run["algorithm"].iloc[0], "steps": run["step"].max()}
        | _repeat(run)
        for _, run in frame.groupby("file", sort=False)
    ]
    columns = ["scenario", "setting", "steps", "fps", "fps_collect", "fps_update"]
    columns += ["memory_update_mib", "memory_rss_mib"]
    wide = pd.DataFrame(repeats, columns=columns)
    tall = wide.melt(["scenario", "setting", "steps"], var_name="quantity", value_name="ours")
    groups = tall.groupby(["scenario", "setting", "quantity"], sort=False)
    aggregates = {"ours": ("ours", "median"), "low": ("ours", "min"), "high": ("ours", "max")}
    return groups.agg(**aggregates, runs=("ours", "size"), steps=("steps", "min")).reset_index()


def _compare(measured: pd.DataFrame, published: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return the measured rows with the paper's numbers, and rows that compare MAFOCOPS with MACPO.

    Args:
        measured: frame from `measure`.
        published: indexed by scenario, columns `macpo`, `mafocops` and `gain` as printed.
        quantity: fps or memory_update_mib.
    """
    shown = measured[measured["quantity"] == quantity]
    ours = shown.pivot_table(index="scenario", columns="setting", values="ours", sort=False).reindex(columns=PAIR)
    ours = ours.reindex(published.index)
    context = shown.groupby("scenario")[["runs", "steps"]].min().reindex(published.index)
    difference = {"fps": ("improvement_percent", _improvement), "memory_update_mib": ("saved_mib", _saved)}
    gain, function = difference[quantity]
    parts = [
        context.assign(quantity=gain, ours=function(ours), paper=published["gain"], setting=RATIO),
        context.assign(
            quantity="ratio",
            ours=ours["mafocops"] / ours["macpo"],
            paper=published["mafocops"] / published["macpo"],
            setting=RATIO,
        ),
    ]
    rows = pd.concat([part.reset_index(names="scenario") for part in parts], ignore_index=True)
    printed = published[PAIR].stack().rename("paper").rename_axis(["scenario", "setting"]).reset_index()
    printed = printed.assign(quantity=quantity)
    return pd.concat([measured.merge(printed, how="outer"), rows], ignore_index=True)


def _improvement(pair: pd.DataFrame) -> pd.Series:
    return 100 * (pair["mafocops"] / pair["macpo"] - 1)


def _saved(pair: pd.DataFrame) -> pd.Series:
    return pair["macpo"] - pair["mafocops"]


SOURCES = {
    "table1": ("table1_fps", ["macpo_fps", "mafocops_fps", "improvement_percent"], "fps"),
    "table2": ("table2_memory_mib", ["macpo_mib", "mafocops_mib", "saved_mib"], "memory_update_mib"),
}


def tidy(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return Table 1 or 2 in the tidy form, one number per row for all thirteen scenarios.

    Args:
        table: table1 or table2.
        frame: rows from `collect.read(..., repeats=True)`.
    """
    name, columns, quantity = SOURCES[table]
    published = tables.paper(name).set_index("scenario")[columns].set_axis([*PAIR, "gain"], axis=1)
    measured = measure(frame)
    kept = measured["quantity"].str.startswith(quantity.split("_")[0])
    rows = _compare(measured[kept], published, quantity)
    rows = rows.assign(table=table, note="").reindex(columns=tables.TIDY)
    rank = list(published.index)
    return rows.sort_values("scenario", key=lambda names: names.map(rank.index), kind="stable", ignore_index=True)


def _printed(table: str, rows: pd.DataFrame) -> Printed:
    """Return the printed layout; scenarios without any measurement are left to the caption."""
    quantity = SOURCES[table][2]
    gain, title = ("improvement_percent", "Improvement (%)") if table == "table1" else ("saved_mib", "Saved")
    others = [name for name in style.order(rows["setting"]) if name not in [*PAIR, RATIO]]
    columns = [("Measured", style.label(name), name, quantity, "ours") for name in PAIR]
    columns += [("Measured", title, RATIO, gain, "ours")]
    columns += [("Paper", style.label(name), name, quantity, "paper") for name in PAIR]
    columns += [("Paper", title, RATIO, gain, "paper")]
    columns += [("Ours only", style.label(name), name, quantity, "ours") for name in others]
    if table == "table2":
        columns += [("Process peak", style.label(name), name, "memory_rss_mib", "ours") for name in [*PAIR, *others]]
    cells = rows.set_index(["scenario", "setting", "quantity"])
    lines = []
    for scenario in measured_scenarios(rows) or list(dict.fromkeys(rows["scenario"])):
        keys = [((scenario, setting, what), kind) for _, _, setting, what, kind in columns]
        values = [(cells.at[key, kind] if key in cells.index else float("nan"), key[2]) for key, kind in keys]
        texts = (tables.number(value, 0 if what == "fps" else 2) for value, what in values)
        lines.append([SCENARIOS[scenario].title, *texts])
    return Printed([("", "Scenario"), *(column[:2] for column in columns)], lines)


def measured_scenarios(rows: pd.DataFrame) -> list[str]:
    """Return the scenarios that have at least one measured number, in table order."""
    return list(dict.fromkeys(rows.loc[rows["ours"].notna(), "scenario"]))


CAPTIONS = {
    "table1": "Table 1. Environment steps per second, end to end, median over repeats; the first iteration (warm-up) "
    "and iterations slowed by memory tracing are left out. Only the improvement compares across hardware.",
    "table2": "Table 2. Memory in MiB: peak of the tensors alive during an update, and peak resident memory of the "
    "process; median over repeats.",
}


def make(table: str, metrics: Sequence[str], expected: int | None, note: str, base: str) -> None:
    """Write BASE.csv, BASE.md, BASE.tex and BASE.caption.txt of Table 1 or 2.

    Raises:
        ValueError: bad metrics file.
    """
    frame = collect.read(metrics, repeats=True)
    rows = tidy(table, frame)
    present = measured_scenarios(rows)
    absent = [SCENARIOS[name].title for name in dict.fromkeys(rows["scenario"]) if name not in present]
    missing = collect.missing(metrics, frame)
    sentences = [
        CAPTIONS[table],
        captions.coverage(collect.runs(frame), expected, missing, "repeat", PUBLISHED_STEPS),
        f"Not measured: {', '.join(absent)}." if absent else "",
        note,
    ]
    tables.save(rows, _printed(table, rows), " ".join(filter(None, sentences)), table, base)


def main() -> None:
    """Command line."""
    parser = output.parser("Make Table 1 (frames per second) or Table 2 (memory).")
    parser.add_argument("--table", required=True, choices=sorted(SOURCES))
    options = parser.parse_args()
    make(options.table, options.metrics, options.expected, options.note, options.output)


if __name__ == "__main__":
    output.command(main)
