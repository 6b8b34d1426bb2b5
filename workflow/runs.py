"""Which runs every figure and table needs, as paths of their metrics.csv.

A variant is the word `default` or `legacy`, or `name=value`; the published value of a grid is the main run, so it is
trained once.
"""

from collections.abc import Iterable, Sequence

from envs.scenarios import SAFETY_BOUND, SCENARIOS
from workflow import opengl
from workflow.layout import BENCHMARK, EVALUATION, MEASUREMENT, TIMING, TRAINING, Place, place_of
from workflow.suite import DEFAULT, LEGACY, Suite

SENSITIVITY = {"table3": "lam", "table4": "nu_max"}
EFFICIENCY = ("table1", "table2")
SAFETY = "figure6"
FIGURES = (*(f"figure{i}" for i in range(2, 7)), LEGACY)
VIEWS = ("pareto", "iteration_time")  # beyond the paper, of every suite
ARTEFACTS = (*FIGURES, *(f"table{i}" for i in range(1, 5)))
PAIR = ("mafocops", "macpo")  # filmed side by side
REFERENCE = "happo"  # Tables 3 and 4 are normalised by its runs


def metrics(suite: Suite, scenarios: Sequence[str], algorithms: Sequence[str], variant: str = DEFAULT) -> list[str]:
    """Return the training runs of all combinations, one per seed."""
    return [
        Place(TRAINING, scenario, algorithm, variant, seed).file(suite.folder)
        for scenario in scenarios
        for algorithm in algorithms
        for seed in suite.seeds
    ]


def scenarios_of(suite: Suite, artefact: str) -> list[str]:
    """Return the scenarios that a figure or table of this suite shows, in the order of the paper."""
    grid = suite.grids.get(SENSITIVITY.get(artefact, SAFETY_BOUND if artefact == SAFETY else ""))
    if grid:
        chosen = grid["scenarios"]
    elif artefact in EFFICIENCY:
        chosen = suite.efficiency["scenarios"]
    elif artefact == LEGACY:
        chosen = suite.legacy.get("scenarios", ())
    else:
        chosen = [name for name in suite.scenarios if SCENARIOS[name].figure == artefact]
    return [name for name in SCENARIOS if name in chosen]


def needed(suite: Suite, artefact: str) -> list[str]:
    """Return the metrics files that a figure or table is made from."""
    scenarios = scenarios_of(suite, artefact)
    if artefact in EFFICIENCY:
        return _timing(suite, scenarios)
    if artefact in SENSITIVITY:
        reference = metrics(suite, scenarios, [REFERENCE])
        return reference + _grid(suite, SENSITIVITY[artefact], scenarios)
    if artefact == SAFETY:
        return _grid(suite, SAFETY_BOUND, scenarios)
    if artefact == LEGACY:
        pair = (DEFAULT, LEGACY)
        return [path for variant in pair for path in metrics(suite, scenarios, suite.legacy["algorithms"], variant)]
    return metrics(suite, scenarios, suite.algorithms)


def main_runs(suite: Suite) -> list[str]:
    """Return the metrics files of Figures 2 to 5 together, which the comparison of all algorithms is made from."""
    return metrics(suite, suite.scenarios, suite.algorithms)


def evaluations(suite: Suite) -> list[str]:
    """Return the evaluation files of the main runs, of our algorithms alone."""
    return _evaluated(suite, main_runs(suite))


def every_evaluation(suite: Suite) -> list[str]:
    """Return the evaluation files of all runs of our algorithms, each once."""
    return _evaluated(suite, every(suite))


def _evaluated(suite: Suite, paths: Sequence[str]) -> list[str]:
    """Return the evaluation files beside those metrics files of trainings whose policies we can load."""
    places = map(place_of, paths)
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
    artefacts = [*figures(suite), *tables(suite)]
    return list(dict.fromkeys([path for name in artefacts for path in needed(suite, name)] + main_runs(suite)))


def measurements(suite: Suite) -> list[str]:
    """Return the files of the benchmark, one per scenario and algorithm; none if the suite leaves it out."""
    return [
        Place(BENCHMARK, scenario, algorithm).file(suite.folder, MEASUREMENT)
        for scenario in SCENARIOS
        for algorithm in suite.benchmark.get("algorithms", ())
        if scenario in suite.benchmark["scenarios"]
    ]


def _grid(suite: Suite, parameter: str, scenarios: Sequence[str]) -> list[str]:
    """Return the runs of a grid; values given twice, or in the main runs, appear once."""
    grid = suite.grids[parameter]
    found: Iterable[str] = (
        path
        for scenario in scenarios
        for value in grid["values"]
        for path in metrics(suite, [scenario], [grid["algorithm"]], suite.variant(parameter, value, scenario))
    )
    return list(dict.fromkeys(found))


def _timing(suite: Suite, scenarios: Sequence[str]) -> list[str]:
    """Return the runs that measure frames per second and memory."""
    return [
        Place(TIMING, scenario, algorithm, seed=repeat).file(suite.folder)
        for scenario in scenarios
        for algorithm in suite.efficiency["algorithms"]
        for repeat in range(suite.efficiency["repeats"])
    ]


def figures(suite: Suite) -> list[str]:
    """Return the figures of which the suite has at least one scenario."""
    return [name for name in FIGURES if scenarios_of(suite, name)]


def judged(suite: Suite) -> list[str]:
    """Return the metrics files of Figures 2 to 6, which the verdict on them is made from."""
    bounds = needed(suite, SAFETY) if SAFETY in figures(suite) else []
    return list(dict.fromkeys(main_runs(suite) + bounds))


def tables(suite: Suite) -> list[str]:
    """Return the tables that the suite can fill."""
    return [*EFFICIENCY, *(name for name, parameter in SENSITIVITY.items() if parameter in suite.grids)]
