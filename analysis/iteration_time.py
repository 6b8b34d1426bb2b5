"""Where an iteration's time goes, from the runs of Tables 1 and 2: collecting experience, updating, and the rest.

python -m analysis.iteration_time --metrics FILE ... --output results/paper/figures/iteration_time
"""

import pandas as pd

from analysis import bars, captions, collect, efficiency, output, style
from envs.scenarios import SCENARIOS

# Parts of an iteration in the order of the bars: column and legend.
PARTS = {"collect_us": "collection", "update_us": "update", "rest_us": "rest"}
CAPTION = (
    "Iteration time. Time per environment step, summed over all worlds and agents, medians over repeats; behind each "
    "bar environment steps per second, end to end. Rest: files and bookkeeping between the two."
)


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per scenario and algorithm, in the usual order.

    Args:
        frame: rows from `collect.read(..., repeats=True)`.

    Returns:
        `scenario`, `algorithm`, `speed` (environment steps per second, end to end), PARTS (microseconds per step) and
        `repeats`. Runs that do not tell their parts apart, or have only the iteration that warms up, are left out.
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
    ranks = {"scenario": list(SCENARIOS), "algorithm": style.order(rows["algorithm"])}
    rows = rows.sort_values(list(ranks), key=lambda names: names.map(ranks[names.name].index), ignore_index=True)
    return rows[["scenario", "algorithm", "speed", *PARTS, "repeats"]]


def main() -> None:
    """Command line."""
    options = output.parser("Show where the time of an iteration goes.").parse_args()
    frame = collect.read(options.metrics, repeats=True)
    rows = tidy(frame)
    missing = collect.missing(options.metrics, frame)
    rests_on = captions.coverage(collect.runs(frame), options.expected, missing, "repeat", efficiency.PUBLISHED_STEPS)
    caption = " ".join(filter(None, [CAPTION, rests_on, efficiency.hardware(options.metrics), options.note]))
    style.save(bars.draw(rows, PARTS, caption), rows, caption, options.output)


if __name__ == "__main__":
    output.command(main)
