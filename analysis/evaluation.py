"""Final policies on seeded episodes: reads evaluation.csv files and makes the table of all scenarios and algorithms.

Training sees a policy that explores and changes within an iteration; this table sees the final one, sampled as in
training (stochastic) and by its mean action (deterministic). Median and 25-75 % percentiles over seeds of each run's
mean over its episodes.

    python -m analysis.evaluation --evaluations FILE ... --output BASE
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis import captions, collect, files, output, statistics, style, tables
from analysis.tables import Printed
from envs import scenarios

MODES = ("stochastic", "deterministic")
COUNTS = ("seed", "episode", "episode_length", "longest_unsafe")
NUMBERS = ("bound", "episode_return", "episode_cost", "violation")
NEEDED = [*collect.IDENTITY, "mode", *COUNTS[1:], *NUMBERS]
PER_COST = "episode_cost_"  # how the columns of several costs begin, beside their sum

# Column title and number of decimals of each quantity, in the order of the table.
QUANTITIES = {
    "episode_return": ("return", 0),
    "episode_cost": ("cost", 1),
    "above": ("above the bound", 2),
    "overshoot": ("overshoot", 2),
    "longest_unsafe": ("longest unsafe", 1),
    "episode_length": ("length", 0),
}


def _read_one(path: str | Path) -> pd.DataFrame:
    """Return the episodes of one file, checked."""
    frame = files.table(path, "an evaluation file", NEEDED)
    costs = [column for column in frame if column.startswith(PER_COST)]
    for column in (*COUNTS, *NUMBERS, *costs):
        frame[column] = files.numbers(path, frame[column], whole=column in COUNTS)
    if len(frame):
        collect.check_identity(path, frame)
    if wrong := set(frame["mode"].dropna()) - set(MODES):
        raise ValueError(f"{path} holds the mode {min(wrong)!r}: choose from {', '.join(MODES)}")
    if frame.duplicated(["mode", "episode"]).any():
        raise ValueError(f"{path} holds an episode twice")
    return frame[[*NEEDED, *costs]]


def _steps(record: dict | None) -> float:
    """Return the environment steps a policy was trained for; NaN where its record does not say."""
    steps = (record or {}).get("steps")
    return float(steps) if isinstance(steps, int) else float("nan")


def read(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return all rows of all files with a column `file` that tells the runs apart.

    A file with a header and no row belongs to a failed run, and adds none.

    Args:
        paths: evaluation.csv files.

    Returns:
        one row per episode and mode: IDENTITY, `mode`, `episode`, `bound`, `episode_return`, `episode_cost` (sums over
        the episode; of several costs the sum, and `episode_cost_<name>` each), `episode_length` (steps), `violation`
        (cost - bound, of several costs the worst), `longest_unsafe` (most consecutive steps with a cost), `steps` (of
        training, by the run's record).

    Raises:
        ValueError: a file is damaged, lacks a column or holds a wrong value, or two files hold the same run,
            or runs differ in the version of the task.
    """
    paths = list(dict.fromkeys(map(str, paths)))
    frames = [_read_one(path).assign(file=path) for path in paths]
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return frames[0].assign(steps=float("nan"))
    records = {path: files.record(path) for part in filled for path in part["file"].unique()}
    files.one_task_version(records)
    frame = pd.concat(filled, ignore_index=True)
    frame["steps"] = frame["file"].map({path: _steps(record) for path, record in records.items()})
    heads = frame.drop_duplicates("file")
    twice = heads.loc[heads.duplicated(collect.IDENTITY, keep=False), "file"]
    if len(twice):
        raise ValueError(f"{twice.iloc[0]} and {twice.iloc[1]} hold the same run")
    return frame


def means(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per default run and mode: the means of QUANTITIES and of each cost over its episodes.

    `above` is the share of episodes above the bound; `overshoot` the mean of violation / bound over those episodes,
    NaN where there is none. The mean of `longest_unsafe` is the expected maximum consecutive cost (EMCC) of
    arXiv:2409.01245, the tail that a mean cost hides.
    """
    frame = frame[frame["variant"].eq("default")]
    overshoot = (frame["violation"] / frame["bound"]).where(frame["violation"] > 0)
    frame = frame.assign(above=(frame["violation"] > 0).astype(float), overshoot=overshoot)
    shown = [*QUANTITIES, *(column for column in frame if column.startswith(PER_COST))]
    keys = [*collect.IDENTITY, "mode"]
    return frame.groupby(keys, sort=False)[[*shown, "bound", "steps"]].mean().reset_index()


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the table in the tidy form: median and 25-75 % percentiles over seeds; the paper has no such numbers.

    Args:
        runs: frame from `means`.
    """
    rows = []
    shown = [column for column in runs if column in QUANTITIES or column.startswith(PER_COST)]
    for scenario in [name for name in scenarios.SCENARIOS if name in set(runs["scenario"])]:
        here = runs[runs["scenario"] == scenario]
        for algorithm in style.order(here["algorithm"]):
            for mode in MODES:
                own = here[(here["algorithm"] == algorithm) & (here["mode"] == mode)]
                summary = statistics.percentiles(own[shown].to_numpy())
                common = {"scenario": scenario, "setting": algorithm, "runs": len(own), "steps": own["steps"].min()}
                rows += [
                    {"quantity": f"{mode} {name}", "ours": row.median, "low": row.low, "high": row.high, **common}
                    for name, row in zip(shown, summary.itertuples(), strict=True)
                ]
    frame = pd.DataFrame(rows).reindex(columns=tables.TIDY)
    single = frame["runs"] < 2  # percentiles of one value say nothing
    return frame.assign(table="evaluation", note="", low=frame["low"].mask(single), high=frame["high"].mask(single))


def _cell(row: pd.Series, decimals: int) -> str:
    """Return a median as text; percentiles of return and cost in brackets, those of the rest stay in the CSV."""
    if row["column"] not in ("episode_return", "episode_cost"):
        return tables.number(row["ours"], decimals)
    return tables.interval(row["ours"], row["low"], row["high"], decimals)


def _printed(rows: pd.DataFrame) -> Printed:
    """Return one line per scenario, algorithm and mode; columns of single costs where there are several."""
    split = rows["quantity"].astype(str).str.split(" ", n=1)
    rows = rows.assign(mode=split.str[0], column=split.str[1])
    costs = {name: (name.removeprefix("episode_"), 1) for name in rows["column"].unique() if name.startswith(PER_COST)}
    shown = QUANTITIES | {name: (title.replace("_", " "), decimals) for name, (title, decimals) in costs.items()}
    lines = []
    for (scenario, algorithm, mode), own in rows.groupby(["scenario", "setting", "mode"], sort=False):
        cells = own.set_index("column", drop=False)
        values = [_cell(cells.loc[name], decimals) for name, (_, decimals) in shown.items()]
        lines.append([f"{scenarios.get(scenario).title}: {style.label(algorithm)}", mode, *values])
    titles = ["Final policy of", "acting", *(title for title, _ in shown.values())]
    return Printed([("", title.capitalize()) for title in titles], lines)


def _caption(frame: pd.DataFrame, runs: pd.DataFrame, expected: int | None, missing: Sequence[str]) -> str:
    """Return what the table shows and rests on; failed and absent runs are counted."""
    found = runs.drop_duplicates(collect.IDENTITY)
    found = found.assign(whole=~(found["steps"] < collect.WHOLE * found.groupby("scenario")["steps"].transform("max")))
    several = found.duplicated(["scenario", "algorithm"]).any()
    spread = "; median over seeds [25-75 % percentiles]" if several else ""
    episodes = frame.groupby(["file", "mode"]).size()
    sentences = [
        f"Final policies, means over {captions.span(episodes)} seeded episodes in each way of acting: stochastic as in "
        f"training, deterministic by the mean action{spread}."
        if len(episodes)
        else "Final policies.",
        "Above the bound: share of episodes; overshoot: (cost - bound) / bound of those episodes; longest unsafe: most "
        "consecutive steps with a cost; length in steps.",
        captions.coverage(found, expected, missing),
    ]
    return " ".join(sentences)


def main() -> None:
    """Command line."""
    parser = output.Parser(description="Tabulate the episodes of final policies.", fromfile_prefix_chars="@")
    parser.add_argument(
        "--evaluations", nargs="+", required=True, metavar="FILE", help="evaluation.csv files, or @FILE"
    )
    parser.add_argument("--expected", type=int, help="number of runs that should be there (default: the files given)")
    parser.add_argument("--note", default="", help="sentence appended to the caption")
    parser.add_argument("--output", required=True, metavar="BASE", help="path without suffix")
    options = parser.parse_args()
    frame = read(options.evaluations)
    runs = means(frame)
    rows = tidy(runs)
    caption = _caption(frame, runs, options.expected, collect.missing(options.evaluations, frame))
    tables.save(rows, _printed(rows), f"{caption} {options.note}".strip(), "evaluation", options.output)


if __name__ == "__main__":
    output.command(main)
