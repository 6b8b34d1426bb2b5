"""How fast training runs beside the physics it needs, and where the time of an iteration goes.

Physics alone is the limit that no trainer on the same machine can pass. Steps per second turn into microseconds per
environment step, which add up: physics, the rest of the collection (observations, networks, bookkeeping), the update.

    python -m analysis.benchmark --measurements FILE ... --output BASE
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis import bars, captions, files, output, style, tables
from analysis.tables import Printed
from envs import scenarios
from envs.scenarios import SCENARIOS

SPEEDS = ["physics", "collect", "update", "end_to_end"]
NUMBERS = ["threads", *SPEEDS, "ratio", "peak_rss_mib"]
COLUMNS = ["scenario", "algorithm", *NUMBERS]
# Parts of an iteration in the order of the bars: column and legend.
PARTS = {"physics_us": "physics", "rest_us": "rest of the collection", "update_us": "update"}


def _read_one(path: str) -> pd.DataFrame:
    """Return the single row of one measurement, checked."""
    frame = files.table(path, "a measurement", COLUMNS)
    if len(frame) != 1:
        raise ValueError(f"{path} must hold one row, not {len(frame)}")
    for column in NUMBERS:
        text, frame[column] = frame[column].iloc[0], files.numbers(path, frame[column])
        if not (np.isfinite(frame[column].iloc[0]) and frame[column].iloc[0] > 0):
            raise ValueError(f"{path} holds {text!r} in column {column!r}, which should be above 0")
    try:
        scenarios.get(frame["scenario"].iloc[0])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return frame[COLUMNS].assign(file=path)


def read(paths: Sequence[str]) -> pd.DataFrame:
    """Return all measurements, scenarios and algorithms in the usual order, with what a step costs.

    Returns:
        one row per measurement: `scenario`, `algorithm`, `threads`; `physics`, `collect`, `update`, `end_to_end` in
        environment steps per second; `ratio` (end to end / physics); `peak_rss_mib`; and in microseconds per
        environment step the parts `physics_us`, `rest_us` (collection less physics) and `update_us`.

    Raises:
        ValueError: a file is no measurement, or two files measure the same algorithm on the same scenario.
    """
    frame = pd.concat([_read_one(str(path)) for path in paths], ignore_index=True)
    twice = frame[frame.duplicated(["scenario", "algorithm"], keep=False)]
    if len(twice):
        raise ValueError(f"{twice['file'].iloc[0]} and {twice['file'].iloc[1]} hold the same measurement")
    ranks = {"scenario": list(SCENARIOS), "algorithm": style.order(frame["algorithm"])}
    frame = frame.sort_values(list(ranks), key=lambda names: names.map(ranks[names.name].index), ignore_index=True)
    each = {speed: 1e6 / frame[speed] for speed in SPEEDS}
    parts = {"physics_us": each["physics"], "rest_us": each["collect"] - each["physics"], "update_us": each["update"]}
    return frame.drop(columns="file").assign(**parts)


def _speeds(frame: pd.DataFrame) -> Printed:
    """Return the layout of all measurements."""
    header = ["Scenario", "Algorithm", "Physics", "Collect", "Update", "End to end", "Ratio", "Peak RSS (MiB)"]
    decimals = dict.fromkeys(SPEEDS, 0) | {"ratio": 2, "peak_rss_mib": 0}
    rows = [
        [
            SCENARIOS[row["scenario"]].title,
            style.label(row["algorithm"]),
            *(tables.number(row[name], places) for name, places in decimals.items()),
        ]
        for _, row in frame.iterrows()
    ]
    return Printed([("", name) for name in header], rows)


def speed_up(frame: pd.DataFrame) -> pd.DataFrame:
    """Return MAFOCOPS / MACPO end to end, `ours` beside the `paper`'s (Table 1), indexed by measured scenario."""
    wide = frame.pivot(index="scenario", columns="algorithm", values="end_to_end")
    wide = wide.reindex(index=frame["scenario"].unique(), columns=["mafocops", "macpo"])
    published = tables.paper("table1_fps").set_index("scenario")
    ratios = {"ours": wide["mafocops"] / wide["macpo"], "paper": published["mafocops_fps"] / published["macpo_fps"]}
    return pd.DataFrame(ratios).loc[wide.index]


def markdown(frame: pd.DataFrame, caption: str) -> str:
    """Return all measurements and the speed-ups in Markdown."""
    ratios = speed_up(frame)
    rows = [
        [SCENARIOS[name].title, *(tables.number(value, 2) for value in row)]
        for name, row in zip(ratios.index, ratios.to_numpy(), strict=True)
    ]
    second = Printed([("", "Scenario"), ("", "Measured"), ("Paper,", "Table 1")], rows)
    what = "End-to-end speed of MAFOCOPS divided by MACPO's:"
    return f"{tables.markdown(_speeds(frame), caption)}\n{tables.markdown(second, what)}"


def _caption(frame: pd.DataFrame, note: str) -> str:
    """Return what was measured and how."""
    threads = " or ".join(map(str, sorted(frame["threads"].unique())))
    sentences = [
        "Benchmark. Environment steps per second of physics alone, collection, update and training end to end, medians "
        "over rounds of one iteration after a warm-up; ratio: end to end / physics.",
        "Bars: the same numbers as time per environment step, summed over all worlds and agents; behind them steps per "
        "second end to end.",
        f"{captions.count(len(frame), 'measurement')}, {threads} thread{'s'[: threads != '1']} for the physics.",
        note,
    ]
    return " ".join(filter(None, sentences))


def main() -> None:
    """Command line."""
    parser = output.Parser(description="Show speeds, and where the time of an iteration goes.")
    parser.add_argument(
        "--measurements", nargs="+", required=True, metavar="FILE", help="files from `python -m algorithms.benchmark`"
    )
    parser.add_argument("--note", default="", help="sentence appended to the caption")
    parser.add_argument("--output", required=True, metavar="BASE", help="path without suffix")
    options = parser.parse_args()
    frame = read(options.measurements)
    caption = _caption(frame, options.note)
    figure = bars.draw(frame.assign(speed=frame["end_to_end"]), PARTS, caption)
    style.save(figure, frame, caption, options.output)
    output.write(options.output, {".md": markdown(frame, caption)})


if __name__ == "__main__":
    output.command(main)
