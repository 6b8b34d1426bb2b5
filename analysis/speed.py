"""Where an iteration's time goes: stacked bars of time per environment step, one column per family of robots.

`iteration_time` takes them from the runs of Tables 1 and 2: collecting experience, updating, and the rest. `benchmark`
sets training beside the physics it needs, the limit that no trainer on the same machine can pass. Steps per second turn
into microseconds per environment step, which add up.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import artefact, efficiency, results, style
from analysis.results import SPEEDS
from envs.scenarios import SCENARIOS

FAMILIES = {"ant": "Ant", "halfcheetah": "HalfCheetah", "manyagent_ant": "ManyAgent Ant", "shadowhand": "Shadow hands"}
# Parts of an iteration in the order of the bars: column and legend.
ITERATION = {"collect_us": "collection", "update_us": "update", "rest_us": "rest"}
BENCHMARK = {"physics_us": "physics", "rest_us": "rest of the collection", "update_us": "update"}
CAPTION = (
    "Iteration time. Time per environment step, summed over all worlds and agents, medians over repeats; behind each "
    "bar environment steps per second, end to end. Rest: files and bookkeeping between the two."
)

BAR, TITLE_ROWS = 0.165, 1.4  # inches from one bar to the next; room above a scenario's bars for its name, in bars
COLUMN, HEAD, NARROWEST = 3.4, 1.07, 4.8  # inches: width of a family; above and below its bars; of the legend
ROOM = 1.25  # length of the axis in longest bars: the speed stands behind each bar


def _positions(panel: pd.DataFrame) -> np.ndarray:
    """Return the vertical position of each bar, in bars from the top: a gap for a name above each scenario."""
    group = panel["scenario"].astype(str)
    return np.arange(len(panel)) + TITLE_ROWS * group.ne(group.shift()).cumsum().to_numpy()


def _draw_family(axis: Axes, panel: pd.DataFrame, parts: Mapping[str, str]) -> None:
    """Draw the stacked bars of one family, scenario by scenario, each with its speed behind it."""
    y, left = _positions(panel), np.zeros(len(panel))
    for (part, label), colour in zip(parts.items(), style.graded(len(parts)), strict=True):
        bars = axis.barh(y, panel[part], left=left, height=0.78, color=colour, linewidth=0, label=label)
        left += panel[part].to_numpy()
    axis.bar_label(bars, [f"{speed:,.0f} /s" for speed in panel["speed"]], padding=3, fontsize=6.5)
    axis.set_yticks(y, [results.label(name) for name in panel["algorithm"]], fontsize=7.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    for scenario, first in panel.assign(y=y).groupby("scenario", sort=False, observed=True)["y"].first().items():
        look = {"transform": axis.get_yaxis_transform(), "va": "bottom", "fontsize": 8, "color": style.INK}
        axis.text(0, first - 0.55, SCENARIOS[scenario].title, fontweight="bold", **look)
    axis.set_title(FAMILIES[SCENARIOS[panel["scenario"].iloc[0]].family])
    axis.set_xlabel("Microseconds per environment step")


def draw(frame: pd.DataFrame, parts: Mapping[str, str]) -> Figure:
    """Draw one column of stacked bars per family, on a common axis of microseconds per environment step.

    Args:
        frame: rows in the order of the bars: `scenario`, `algorithm`, `speed` (environment steps per second, written
            behind the bar) and one column per part, in microseconds per environment step.
        parts: column and legend of each part, from the left.
    """
    style.use()
    family = frame["scenario"].astype(str).map(lambda name: SCENARIOS[name].family)
    columns = [frame[family == name] for name in FAMILIES if (family == name).any()]
    bars = max((_positions(panel)[-1] + 0.7 for panel in columns), default=0)
    size = (max(len(columns) * COLUMN, NARROWEST), HEAD + BAR * bars)
    figure, axes = plt.subplots(1, max(len(columns), 1), figsize=size, squeeze=False, layout="constrained")
    for axis, panel in zip(axes[0], columns, strict=False):
        _draw_family(axis, panel, parts)
        axis.set(xlim=(0, ROOM * frame[list(parts)].sum(axis=1).max()), ylim=(bars, 0))  # from the top down
    handles, _ = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles=handles, loc="outside upper center", ncols=len(parts), frameon=False, handlelength=1.2)
    return figure


def iterations(frame: pd.DataFrame) -> pd.DataFrame:
    """Return where the time of an iteration goes, one row per scenario and algorithm in the usual order.

    Args:
        frame: rows from `results.read(..., repeats=True)`.

    Returns:
        `scenario`, `algorithm`, `speed` (environment steps per second, end to end), ITERATION (microseconds per step)
        and `repeats`. Runs that do not tell their parts apart, or have only the iteration that warms up, are left out.
    """
    measured = efficiency.measure(efficiency.repeats(frame)).set_index(["scenario", "setting", "quantity"])
    wide = measured["ours"].unstack().reindex(columns=efficiency.SPEEDS).dropna()
    each = 1e6 / wide
    parts = {
        "collect_us": each["fps_collect"],
        "update_us": each["fps_update"],
        "rest_us": (each["fps"] - each["fps_collect"] - each["fps_update"]).clip(lower=0),  # medians need not add up
    }
    repeats = measured["runs"].unstack().reindex(index=wide.index, columns=["fps"])["fps"]
    rows = wide.assign(speed=wide["fps"], **parts, repeats=repeats).reset_index(names=["scenario", "algorithm"])
    rows = results.ordered(rows).sort_values(["scenario", "algorithm"], ignore_index=True)
    return rows[["scenario", "algorithm", "speed", *ITERATION, "repeats"]]


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Return measurements, as from `results.measurements`, with BENCHMARK: what a step costs in microseconds."""
    each = {speed: 1e6 / frame[speed] for speed in SPEEDS}
    parts = {"physics_us": each["physics"], "rest_us": each["collect"] - each["physics"], "update_us": each["update"]}
    return frame.drop(columns="file").assign(**parts)


def _speeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the layout of all measurements."""
    header = ["Scenario", "Algorithm", "Physics", "Collect", "Update", "End to end", "Ratio", "Peak RSS (MiB)"]
    decimals = dict.fromkeys(SPEEDS, 0) | {"ratio": 2, "peak_rss_mib": 0}
    rows = []
    for row in frame.to_dict("records"):
        names = [SCENARIOS[row["scenario"]].title, results.label(row["algorithm"])]
        rows.append([*names, *(artefact.number(row[name], places) for name, places in decimals.items())])
    return pd.DataFrame(rows, columns=header)


def speed_up(frame: pd.DataFrame) -> pd.DataFrame:
    """Return MAFOCOPS / MACPO end to end, `ours` beside the `paper`'s (Table 1), indexed by measured scenario."""
    wide = frame.astype({"scenario": str, "algorithm": str}).pivot(
        index="scenario", columns="algorithm", values="end_to_end"
    )
    wide = wide.reindex(index=list(dict.fromkeys(frame["scenario"])), columns=["mafocops", "macpo"])
    published = results.paper("table1_fps").set_index("scenario")
    ratios = {"ours": wide["mafocops"] / wide["macpo"], "paper": published["mafocops_fps"] / published["macpo_fps"]}
    return pd.DataFrame(ratios).loc[wide.index]


def _speed_ups(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the layout of `speed_up`."""
    texts = (
        speed_up(frame).map(lambda value: artefact.number(value, 2)).set_axis(["Measured", "Paper, Table 1"], axis=1)
    )
    return texts.rename(lambda name: SCENARIOS[name].title).reset_index(names="Scenario")


def _says(frame: pd.DataFrame) -> str:
    """Return what was measured and how."""
    threads = " or ".join(f"{number:g}" for number in sorted(frame["threads"].unique()))
    return (
        "Benchmark. Environment steps per second of physics alone, collection, update and training end to end, "
        "medians over rounds of one iteration after a warm-up; ratio: end to end / physics. "
        "Bars: the same numbers as time per environment step, summed over all worlds and agents; behind them steps "
        "per second end to end. "
        f"{artefact.count(len(frame), 'measurement')}, {threads} thread{'s'[: threads != '1']} for the physics."
    )


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return `iteration_time` of metrics files, or `benchmark` of measurements."""
    if name == "benchmark":
        frame = measured(results.measurements(paths))
        below = artefact.markdown(_speed_ups(frame), "End-to-end speed of MAFOCOPS divided by MACPO's:")
        figure = draw(frame.assign(speed=frame["end_to_end"]), BENCHMARK)
        return artefact.Artefact(frame, _says(frame), None, figure=figure, table=_speeds(frame), more=below)
    frame = results.read(paths, repeats=True)
    rows = iterations(frame)
    return artefact.Artefact(
        rows,
        CAPTION,
        results.runs(frame),
        results.missing(paths, frame),
        [efficiency.hardware(paths)],
        figure=draw(rows, ITERATION),
        noun="repeat",
        published=results.TIMED_STEPS,
    )
