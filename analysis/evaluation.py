"""Final policies on seeded episodes: the table of all scenarios and algorithms.

Training sees a policy that explores and changes within an iteration; this table sees the final one, sampled as in
training (stochastic) and by its mean action (deterministic). Median and 25-75 % percentiles over seeds of each run's
mean over its episodes. The table of the hands holds both rules for a fallen object, with drops and successes.
"""

from collections.abc import Sequence

import pandas as pd

from analysis import artefact, results, statistics
from analysis.results import IDENTITY, MODES, PER_COST
from envs.scenarios import SCENARIOS
from workflow.layout import DEFAULT

# Column title and number of decimals of each quantity, in the order of the table.
QUANTITIES = {
    "episode_return": ("return", 0),
    "episode_cost": ("cost", 1),
    "above": ("above the bound", 2),
    "overshoot": ("overshoot", 2),
    "longest_unsafe": ("longest unsafe", 1),
    "episode_length": ("length", 0),
    "dropped": ("dropped", 2),
    "success": ("success", 2),
}
HANDS = "figure_hands_policies"  # the table that has a line for each variant as well


def means(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run and mode: the means of those QUANTITIES it has and of each cost over its episodes.

    `above` is the share of episodes above the bound; `overshoot` the mean of violation / bound over those episodes,
    NaN where there is none. The mean of `longest_unsafe` is the expected maximum consecutive cost (EMCC) of
    arXiv:2409.01245, the tail that a mean cost hides.
    """
    overshoot = (frame["violation"] / frame["bound"]).where(frame["violation"] > 0)
    frame = frame.assign(above=(frame["violation"] > 0).astype(float), overshoot=overshoot)
    shown = [name for name in QUANTITIES if name in frame]
    shown += [column for column in frame if column.startswith(PER_COST)]
    keys = [*IDENTITY, "mode"]
    return frame.groupby(keys, sort=False, observed=True)[[*shown, "bound", "steps"]].mean().reset_index()


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the table in the tidy form: median and 25-75 % percentiles over seeds; the paper has no such numbers.

    Args:
        runs: frame from `means`.
    """
    rows = []
    shown = [column for column in runs if column in QUANTITIES or column.startswith(PER_COST)]
    keys = ["scenario", "algorithm", "variant"]
    for (scenario, algorithm, variant), here in results.ordered(runs).groupby(keys, observed=True):
        for mode in MODES:
            own = here[here["mode"] == mode]
            summary = statistics.percentiles(own[shown].to_numpy())
            setting = algorithm if variant == DEFAULT else f"{algorithm} {variant}"
            common = {"scenario": scenario, "setting": setting, "runs": len(own), "steps": own["steps"].min()}
            rows += [
                {"quantity": f"{mode} {name}", "ours": row.median, "low": row.low, "high": row.high, **common}
                for name, row in zip(shown, summary.itertuples(), strict=True)
            ]
    frame = pd.DataFrame(rows).reindex(columns=artefact.TIDY)
    single = frame["runs"] < 2  # percentiles of one value say nothing
    return frame.assign(table="evaluation", note="", low=frame["low"].mask(single), high=frame["high"].mask(single))


def _cell(row: pd.Series, decimals: int) -> str:
    """Return a median as text; percentiles of return and cost in brackets, those of the rest stay in the CSV."""
    if row["column"] not in ("episode_return", "episode_cost"):
        return artefact.number(row["ours"], decimals)
    return artefact.interval(row["ours"], row["low"], row["high"], decimals)


def _printed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one line per scenario, algorithm and mode; columns of single costs where there are several."""
    split = rows["quantity"].astype(str).str.split(" ", n=1)
    rows = rows.assign(mode=split.str[0], column=split.str[1])
    costs = {name: (name.removeprefix("episode_"), 1) for name in rows["column"].unique() if name.startswith(PER_COST)}
    known = {name: column for name, column in QUANTITIES.items() if name in set(rows["column"])}
    shown = known | {name: (title.replace("_", " "), decimals) for name, (title, decimals) in costs.items()}
    lines = []
    for (scenario, setting, mode), own in rows.groupby(["scenario", "setting", "mode"], sort=False):
        cells = own.set_index("column", drop=False)
        finer = {"episode_return": 1} if SCENARIOS[scenario].figure == "hands" else {}  # it pays a few units in all
        values = [_cell(cells.loc[name], decimals + finer.get(name, 0)) for name, (_, decimals) in shown.items()]
        algorithm, _, variant = setting.partition(" ")
        policy = " ".join(filter(None, [results.label(algorithm), variant]))
        lines.append([f"{SCENARIOS[scenario].title}: {policy}", mode, *values])
    titles = ["Final policy of", "acting", *(title for title, _ in shown.values())]
    return pd.DataFrame(lines, columns=[title.capitalize() for title in titles])


def _says(frame: pd.DataFrame, found: pd.DataFrame) -> str:
    """Return what the table shows."""
    several = found.duplicated(["scenario", "algorithm", "variant"]).any()
    spread = "; median over seeds [25-75 % percentiles]" if several else ""
    episodes = frame.groupby(["file", "mode"]).size()
    means = (
        f", means over {artefact.span(episodes)} seeded episodes in each way of acting: stochastic as in training, "
        f"deterministic by the mean action{spread}"
        if len(episodes)
        else ""
    )
    outcomes = (
        " Dropped: share of episodes that end with an object fallen; success: with every object within 5 cm of its "
        "goal, a measure of ours."
        if "dropped" in frame
        else ""
    )
    return (
        f"Final policies{means}. Above the bound: share of episodes; overshoot: (cost - bound) / bound of those "
        "episodes; longest unsafe: most consecutive steps with a cost; length in steps." + outcomes
    )


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return the table of evaluation files."""
    frame = results.evaluations(paths)
    runs = means(frame if name == HANDS else results.default(frame))
    rows = tidy(runs)
    found = runs.drop_duplicates(IDENTITY)
    longest = found.groupby("scenario", observed=True)["steps"].transform("max")
    found = found.assign(whole=~(found["steps"] < results.WHOLE * longest))
    missing = results.missing(paths, frame)
    return artefact.Artefact(rows, _says(frame, found), found, missing, table=_printed(rows))
