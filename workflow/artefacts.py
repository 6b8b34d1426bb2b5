"""The figures and tables of a suite: who draws each, and from which runs. A new one is a row of ROWS.

A variant is the word `default` or `legacy`, or `name=value`; the published value of a grid is the main run, so it is
trained once.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from envs.scenarios import SAFETY_BOUND, SCENARIOS
from workflow import opengl
from workflow.layout import BENCHMARK, EVALUATION, MEASUREMENT, TIMING, TRAINING, Place, place_of
from workflow.suite import DEFAULT, EITHER, LEGACY, Suite

FIGURE, TABLE = "figure", "table"
SHOWN = {FIGURE: "figures/{}.svg", TABLE: "tables/{}.md"}  # in the suite's folder: the file that stands for an artefact
PAIR = ("mafocops", "macpo")  # filmed side by side
REFERENCE = "happo"  # Tables 3 and 4 are normalised by its runs


@dataclass(frozen=True)
class Artefact:
    """A figure or a table.

    Attributes:
        name: of its files and of the target that makes it.
        kind: FIGURE or TABLE.
        module: of `analysis`, with a function `make(name, paths)`.
        title: heading in the report.
        section: of the report.
        needs: returns the files it is made from; none if the suite leaves it out.
    """

    name: str
    kind: str
    module: str
    title: str
    section: str
    needs: Callable[[Suite], list[str]]


def metrics(suite: Suite, scenarios: Sequence[str], algorithms: Sequence[str], variant: str = DEFAULT) -> list[str]:
    """Return the training runs of all combinations, one per seed."""
    return [
        Place(TRAINING, scenario, algorithm, variant, seed).file(suite.folder)
        for scenario in scenarios
        for algorithm in algorithms
        for seed in suite.seeds
    ]


def _in_order(scenarios: Iterable[str]) -> list[str]:
    chosen = set(scenarios)
    return [name for name in SCENARIOS if name in chosen]


def main_runs(suite: Suite) -> list[str]:
    """Return the metrics files of Figures 2 to 5 together, which the comparison of all algorithms is made from."""
    return metrics(suite, suite.scenarios, suite.algorithms)


def evaluations(suite: Suite) -> list[str]:
    """Return the evaluation files of the main runs, of our algorithms alone."""
    return _evaluated(suite, main_runs(suite))


def _panels(figure: str, suite: Suite) -> list[str]:
    """Return the runs of one of Figures 2 to 5."""
    scenarios = [name for name in suite.scenarios if SCENARIOS[name].figure == figure]
    return metrics(suite, _in_order(scenarios), suite.algorithms)


def _grid(parameter: str, suite: Suite) -> list[str]:
    """Return the runs of a grid, if the suite has it; values given twice, or in the main runs, appear once."""
    grid = suite.grids.get(parameter) or {"scenarios": [], "values": [], "algorithm": ""}
    found: Iterable[str] = (
        path
        for scenario in _in_order(grid["scenarios"])
        for value in grid["values"]
        for path in metrics(
            suite, [scenario], [grid["algorithm"]], suite.variant(parameter, value, scenario, grid["algorithm"])
        )
    )
    return list(dict.fromkeys(found))


def _normalised(parameter: str, suite: Suite) -> list[str]:
    """Return the runs of a grid and those of the REFERENCE."""
    scenarios = _in_order(suite.grids.get(parameter, {}).get("scenarios", ()))
    return metrics(suite, scenarios, [REFERENCE]) + _grid(parameter, suite)


def _legacy(suite: Suite) -> list[str]:
    """Return the runs with the errors of the original code, and those without."""
    scenarios, algorithms = _in_order(suite.legacy.get("scenarios", ())), suite.legacy.get("algorithms", ())
    return [path for variant in (DEFAULT, LEGACY) for path in metrics(suite, scenarios, algorithms, variant)]


def _either(name: str, suite: Suite) -> list[str]:
    """Return the main runs of a figure's algorithms, and beside them those with the setting's other value."""
    group, (setting, values) = getattr(suite, name), EITHER[name]
    pairs = [(scenario, each) for scenario in _in_order(group.get("scenarios", ())) for each in group["algorithms"]]
    variants = {pair: [suite.variant(setting, value, *pair) for value in values] for pair in pairs}
    return [
        path
        for scenario, algorithm in pairs
        for variant in sorted(variants[scenario, algorithm], key=lambda variant: variant != DEFAULT)
        for path in metrics(suite, [scenario], [algorithm], variant)
    ]


def _fall(suite: Suite) -> list[str]:
    """Return the runs in which the other rule for a fallen object holds."""
    return metrics(
        suite, _in_order(suite.fall.get("scenarios", ())), suite.fall.get("algorithms", ()), suite.other_fall
    )


def timed(suite: Suite) -> list[str]:
    """Return the runs that measure frames per second and memory."""
    return [
        Place(TIMING, scenario, algorithm, variant, repeat).file(suite.folder)
        for scenario in _in_order(suite.efficiency.get("scenarios", ()))
        for algorithm in suite.efficiency["algorithms"]
        for variant in suite.timed(algorithm)
        for repeat in range(suite.efficiency["repeats"])
    ]


ROWS = {
    row.name: row
    for row in (
        Artefact("figure2", FIGURE, "curves", "Figure 2", "performance", partial(_panels, "figure2")),
        Artefact("figure3", FIGURE, "curves", "Figure 3", "performance", partial(_panels, "figure3")),
        Artefact("figure4", FIGURE, "curves", "Figure 4", "performance", partial(_panels, "figure4")),
        Artefact("figure5", FIGURE, "curves", "Figure 5", "performance", partial(_panels, "figure5")),
        Artefact("foreign", FIGURE, "curves", "Tasks of other projects", "beyond", partial(_panels, "foreign")),
        Artefact("table1", TABLE, "efficiency", "Table 1", "efficiency", timed),
        Artefact("table2", TABLE, "efficiency", "Table 2", "efficiency", timed),
        Artefact("iteration_time", FIGURE, "speed", "Where the time goes", "efficiency", timed),
        Artefact("table3", TABLE, "sensitivity", "Table 3", "sensitivity", partial(_normalised, "lam")),
        Artefact("table4", TABLE, "sensitivity", "Table 4", "sensitivity", partial(_normalised, "nu_max")),
        Artefact("figure6", FIGURE, "curves", "Figure 6", "sensitivity", partial(_grid, SAFETY_BOUND)),
        Artefact(
            "comparison",
            TABLE,
            "comparison",
            "All scenarios together",
            "beyond",
            lambda suite: main_runs(suite) + evaluations(suite),
        ),
        Artefact("comparison_pairs", TABLE, "comparison", "Every pair of algorithms", "beyond", main_runs),
        Artefact("comparison_profile", FIGURE, "profiles", "Performance profiles", "beyond", main_runs),
        Artefact("comparison_seeds", FIGURE, "profiles", "What fewer seeds would have said", "beyond", main_runs),
        Artefact("pareto", FIGURE, "pareto", "Return against cost", "beyond", main_runs),
        Artefact("evaluation", TABLE, "evaluation", "Evaluation of the final policies", "policies", evaluations),
        Artefact("legacy", FIGURE, "curves", "With the errors and without", "errors", _legacy),
        Artefact("time_limit", FIGURE, "curves", "Time limits", "errors", partial(_either, "time_limit")),
        Artefact("nu_reading", FIGURE, "curves", "How often nu moves", "sensitivity", partial(_either, "nu_reading")),
        Artefact(
            "kl_reading", FIGURE, "curves", "Sum or mean of the KL", "sensitivity", partial(_either, "kl_reading")
        ),
        Artefact("figure_hands", FIGURE, "curves", "Two hands", "hands", partial(_panels, "hands")),
        Artefact("figure_hands_fall", FIGURE, "curves", "The other rule for a fallen object", "hands", _fall),
        Artefact(
            "figure_hands_policies",
            TABLE,
            "evaluation",
            "Drops and successes",
            "hands",
            lambda suite: _evaluated(suite, _panels("hands", suite) + _fall(suite)),
        ),
    )
}
PAPER = [name for name in ROWS if name[:-1] in (FIGURE, TABLE)]  # what the paper shows, by number


def made(suite: Suite, kind: str | None = None) -> list[str]:
    """Return the artefacts, of one kind if given, that the suite has runs for."""
    return [name for name, row in ROWS.items() if kind in (None, row.kind) and row.needs(suite)]


def together(suite: Suite, name: str) -> list[str]:
    """Return the files that are asked for by an artefact's name: those of the comparison go together."""
    names = [each for each in made(suite) if each == name or each.startswith(f"{name}_")]
    return [shown(suite, each) for each in names]


def every_shown(suite: Suite, kind: str | None = None) -> list[str]:
    """Return the files that stand for all artefacts of the suite, or for those of one kind."""
    return [shown(suite, name) for name in made(suite, kind)]


def pattern(kind: str) -> str:
    """Return what the names of one kind match, as a regular expression."""
    return "|".join(name for name, row in ROWS.items() if row.kind == kind)


def shown(suite: Suite, name: str) -> str:
    """Return the file that stands for an artefact of the suite."""
    return f"{suite.folder}/{SHOWN[ROWS[name].kind].format(name)}"


def every_evaluation(suite: Suite) -> list[str]:
    """Return the evaluation files of all runs of our algorithms, each once."""
    return _evaluated(suite, every(suite))


def _evaluated(suite: Suite, paths: Sequence[str]) -> list[str]:
    """Return the evaluation files beside those metrics files of trainings whose policies we can load."""
    places = map(place_of, paths if suite.evaluation else ())
    ours = [run for run in places if run.kind == TRAINING and run.algorithm not in suite.extra_algorithms]
    return [run.file(suite.folder, EVALUATION) for run in ours]


def videos(suite: Suite) -> list[str]:
    """Return the videos of the main runs, one per scenario and algorithm, and of the PAIR; none without OpenGL."""
    if opengl.missing():
        return []
    scenarios = [name for name in suite.videos.get("scenarios", ()) if name in suite.scenarios]
    algorithms = [name for name in suite.videos.get("algorithms", ()) if name in suite.algorithms]
    names = [*algorithms, *(["_".join(PAIR)] if set(PAIR) <= set(algorithms) else [])]
    return [f"{suite.folder}/videos/{scenario}/{name}.mp4" for scenario in scenarios for name in names]


def every(suite: Suite) -> list[str]:
    """Return the metrics files of all figures and tables of the suite, each once."""
    needed = [path for row in ROWS.values() for path in row.needs(suite) if not path.endswith(EVALUATION)]
    return list(dict.fromkeys(needed))


def measurements(suite: Suite) -> list[str]:
    """Return the files of the benchmark, one per scenario and algorithm; none if the suite leaves it out."""
    return [
        Place(BENCHMARK, scenario, algorithm).file(suite.folder, MEASUREMENT)
        for scenario in SCENARIOS
        for algorithm in suite.benchmark.get("algorithms", ())
        if scenario in suite.benchmark["scenarios"]
    ]


def judged(suite: Suite) -> list[str]:
    """Return the metrics files of Figures 2 to 6, which the verdict on them is made from."""
    return list(dict.fromkeys(main_runs(suite) + ROWS["figure6"].needs(suite)))


def judged_tables(suite: Suite) -> list[str]:
    """Return the numbers of those of Tables 1 to 4 that the suite makes."""
    tables = [name for name in made(suite, TABLE) if name in PAPER]
    return [shown(suite, name).removesuffix(".md") + ".csv" for name in tables]


def listing(suite: Suite, path: str) -> str:
    """Return the file that lists what the artefact of a file is made from."""
    return f"{suite.folder}/logs/{Path(path).parent.name}/{Path(path).stem}.files"


def write_listings(jobs: Iterable[Any]) -> None:
    """Write the files that jobs of Snakemake read into those their commands name: too many for a command line."""
    for job in jobs:
        if "listing" in job.params.keys():  # noqa: SIM118
            listing = Path(job.params.listing)
            listing.parent.mkdir(parents=True, exist_ok=True)
            listing.write_text("".join(f"{path}\n" for path in job.input.runs))
