"""Settings and input functions that the rules share."""

import atexit
import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

import yaml

from envs.scenarios import SCENARIOS
from workflow import use_this_code, artefacts, attempt, foreign, layout, lock, opengl, plan, sources
from workflow.numbers import text
from workflow.suite import load

use_this_code()

try:
    SUITE = load(config)
except ValueError as error:
    raise WorkflowError(str(error))


pathvars:
    results=SUITE.folder,


# Failures so far, read once: it must not change while Snakemake runs, see workflow/attempt.py.
FAILURES = attempt.failures(Path(SUITE.folder))
ATTEMPTS = 3
try:
    CORES = workflow.cores
except WorkflowError:  # --summary, --dag and others that run no job are called without --cores
    CORES = 1
NOTE = shlex.quote(f"--note={SUITE.caption}") if SUITE.caption else ""
# Folders of runs in that of the suite; as pathvars their wildcards would have no constraints.
RUN, TIMING, MEASUREMENT = (layout.FOLDERS[kind] for kind in (layout.TRAINING, layout.TIMING, layout.BENCHMARK))
HELD = []  # the lock on the results' folder, until this process ends


wildcard_constraints:
    scenario="|".join(SCENARIOS),
    variant=r"\w+(=[\w.=+-]+)?",
    seed=r"\d+",


def code(paths):
    """Return files of the repository as inputs: found wherever Snakemake runs, and never in a storage."""
    return local([sources.seen(path) for path in paths])


def settings_arguments(wildcards):
    """Return the settings of a run as command-line arguments."""
    settings = SUITE.settings_of(wildcards.scenario, wildcards.algorithm, getattr(wildcards, "variant", "default"))
    pairs = [shlex.quote(f"{name}={text(value)}") for name, value in settings.items()]
    task = [shlex.quote(word) for word in foreign.arguments(wildcards.scenario)]
    return " ".join([*task, *(["--set", *pairs] if pairs else [])])


def failures_so_far(wildcards, kind=layout.TRAINING):
    """Return how often a run has given up in earlier calls; a change makes Snakemake try again."""
    return FAILURES.get(layout.Place(kind, **wildcards).file(SUITE.folder), 0)


def first_run(wildcards, algorithm=None):
    """Return the metrics file of the main run with the first seed, whose policy is filmed."""
    name = algorithm or wildcards.algorithm
    return layout.Place(layout.TRAINING, wildcards.scenario, name, seed=SUITE.seeds[0]).file(SUITE.folder)


def needed(name):
    """Return the files that a figure or table is made from, or say that the suite cannot make it."""
    return artefacts.ROWS[name].needs(SUITE) or left_out(name)


def targets():
    """Return what can be asked for by name, beside the rules without wildcards: the files of each."""
    found = {
        name: lambda wildcards, name=name: needed(name) and artefacts.together(SUITE, name) for name in artefacts.ROWS
    }
    kinds = {f"all_{kind}s": artefacts.every_shown(SUITE, kind) for kind in artefacts.SHOWN}
    return found | kinds | {"evaluations": evaluated, "videos": filmed}


def evaluated(wildcards):
    """Return the evaluations, or say that the suite has none."""
    return artefacts.every_evaluation(SUITE) or left_out("evaluations")


def filmed(wildcards):
    """Return the videos, or say that the suite has none or what is missing to make them."""
    if missing := opengl.missing():
        raise WorkflowError(missing)
    return artefacts.videos(SUITE) if SUITE.videos else left_out("videos")


def left_out(artefact):
    """Say that the suite cannot make an artefact."""
    raise WorkflowError(f"the suite {SUITE.name} has no runs for {artefact}: its configuration leaves them out")


def planned():
    """Return the runs of this call, finished or ahead, with their estimated time."""
    return plan.of_jobs(workflow.dag.jobs, workflow.dag.needrun_jobs(exclude_finished=False), SUITE, CORES)


def begin():
    """Lock the results, write the plan and the configuration of this call, keep what is ahead, and say what is."""
    try:
        HELD.append(lock.hold(Path(SUITE.folder)))
    except ValueError as error:
        raise WorkflowError(str(error))
    made = planned()
    for run in made:
        if run.ahead:
            attempt.remember(Path(run.metrics))
    plan.write(made, Path(SUITE.folder))
    Path(SUITE.folder, "config.yaml").write_text(yaml.safe_dump(dict(config)))  # for the commands in the report
    artefacts.write_listings(workflow.dag.needrun_jobs(exclude_finished=False))
    print(plan.describe(made, CORES), flush=True)
    if SUITE.videos and opengl.missing():
        print(opengl.missing(), flush=True)


def announce():
    """Say what is ahead at the end of a dry run, below the list of its jobs."""
    if workflow.dryrun:
        print(plan.describe(planned(), CORES))


atexit.register(announce)
