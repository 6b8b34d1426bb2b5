"""The tutorial does what it says: its files, its one rule or row each, its configuration, and nothing else."""

import csv
import re
import shutil
from pathlib import Path

import pytest
import yaml

from analysis import results
from workflow import sources

EXAMPLES = sources.ROOT / "workflow/examples"
# A path on a line of its own, and the block below it.
SHOWN = re.compile(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(SHOWN.findall((EXAMPLES / "README.md").read_text()))
# A file, and the row below it that is added to its table.
ADDED = re.compile(r"^`([\w/.]+)`, one row more of `\w+`:\n\n```\n( +\S.*\n)```$", re.MULTILINE)
ROWS = dict(ADDED.findall((EXAMPLES / "README.md").read_text()))
OURS, OTHERS, RULES = "algorithms/happo_pid.py", "workflow/examples/random_search.py", "workflow/examples/{}.smk"
RUN = "results/tutorial/runs/halfcheetah_2x3/{}/default/seed0/metrics.csv"


def everything(root: Path) -> dict[Path, bytes]:
    """Return the files of a project but for what comes out of it."""
    skipped = ("results", ".snakemake", "__pycache__", "MUJOCO_LOG.TXT")
    return {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and not set(skipped) & set(p.parts)}


@pytest.fixture
def tutorial(real_project):
    """A copy of the repository without the examples, after the page's files were added to it."""
    shutil.rmtree(real_project.root / "workflow/examples")
    before = everything(real_project.root)
    for name, content in FILES.items():
        path = real_project.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    for name, row in ROWS.items():
        path = real_project.root / name
        path.write_text(
            re.sub(r"^    for \w+ in \(\n", lambda found, row=row: found[0] + row, path.read_text(), flags=re.M)
        )
        assert path.read_text().replace(row, "", 1) == before[path].decode() != path.read_text()
        before[path] = path.read_bytes()
    real_project.config = yaml.safe_load(FILES["workflow/examples/tutorial.yaml"]) | {"steps": 16000}
    yield real_project
    after = everything(real_project.root)
    assert {path: after[path] for path in before} == before  # nothing that was there has been edited
    added = {path.relative_to(real_project.root).as_posix() for path in after.keys() - before.keys()}
    assert added - {"tiny.yaml"} == FILES.keys()


def test_the_page_shows_the_files_beside_it():
    assert len(FILES) == 9 and ROWS.keys() == {"envs/scenarios.py", "workflow/artefacts.py"}
    for name, content in FILES.items():
        assert content == (EXAMPLES / Path(name).name).read_text(), name


@pytest.mark.parametrize("name", [OURS, OTHERS])
def test_an_algorithm_takes_less_than_a_hundred_lines_and_one_rule(name):
    assert len(FILES[name].splitlines()) < 100
    rules = FILES[RULES.format(Path(name).stem)]
    assert len(re.findall(r"^(use )?rule ", rules, re.MULTILINE)) == 1 and len(rules.splitlines()) < 30


def test_an_algorithm_with_a_loss_by_autograd_takes_at_most_forty_lines(tutorial):
    assert len(FILES["algorithms/p3o.py"].splitlines()) <= 40
    command = ["--scenario", "halfcheetah_2x3", "--algorithm", "p3o", "--steps", "400", "--output", "results/p3o"]
    done = tutorial.run("python", "-m", "algorithms.train", *command, "--set", "num_envs=2", "rollout_length=100")
    assert done.returncode == 0, done.stdout
    with (tutorial.root / "results/p3o/metrics.csv").open() as file:
        assert all(float(row["kl"]) > 0 and "p3o_c" in row for row in csv.DictReader(file))


def test_both_algorithms_join_figures_and_comparison(tutorial):
    done = tutorial.snakemake("--cores", "2", "figure3", "comparison")
    assert done.returncode == 0, done.stdout[-3000:]
    names = set(tutorial.config["algorithms"])
    metrics = [tutorial.root / RUN.format(name) for name in names]
    assert set(results.read(metrics)["algorithm"]) == names
    for artefact in ("figures/figure3.csv", "tables/comparison.csv"):
        with (tutorial.root / "results/tutorial" / artefact).open() as file:
            assert names <= {cell for row in csv.reader(file) for cell in row}
    assert "3 runs, none missing" in (tutorial.root / "results/tutorial/tables/comparison.caption.txt").read_text()
    folder = RUN.format("happo_pid").removesuffix("/metrics.csv")
    evaluated = tutorial.run("python", "-m", "algorithms.evaluate", folder, "--episodes", "1")
    assert evaluated.returncode == 0 and (tutorial.root / folder / "evaluation.csv").exists(), evaluated.stdout


def test_a_figure_and_a_scenario_are_a_row_each(tutorial):
    assert len(FILES["analysis/violations.py"].splitlines()) < 30
    tutorial.config |= {"scenarios": ["halfcheetah_1x6"], "algorithms": ["happo", "mappo"]}
    done = tutorial.snakemake("--cores", "2", "violations", "figure3")
    assert done.returncode == 0, done.stdout[-3000:]
    figures = tutorial.root / "results/tutorial/figures"
    for name in ("violations", "figure3"):
        assert all((figures / f"{name}{kind}").stat().st_size for kind in (".svg", ".png"))
        assert "2 runs, none missing" in (figures / f"{name}.caption.txt").read_text()
        with (figures / f"{name}.csv").open() as file:
            assert {row["scenario"] for row in csv.DictReader(file)} == {"halfcheetah_1x6"}


def test_tasks_of_another_project_are_trained_timed_evaluated_and_drawn(tutorial):
    tutorial.config = yaml.safe_load(FILES["workflow/examples/mamujoco.yaml"])
    names = [line["name"] for line in tutorial.config["scenarios"]]
    tutorial.config |= {"steps": 1200, "evaluation": {"episodes": 1}, "algorithms": ["happo"]}
    tutorial.config["efficiency"] |= {"steps": 1200, "algorithms": ["happo"]}
    tutorial.config["settings"] = {"all": {"all": {"num_envs": 2, "rollout_length": 300, "epochs": 1}}}
    done = tutorial.snakemake("--cores", "2", "foreign", "evaluation", "table1", "comparison")
    assert done.returncode == 0, done.stdout[-3000:]
    made = tutorial.root / "results/mamujoco"
    for name in ("figures/foreign.csv", "tables/evaluation.csv"):
        with (made / name).open() as file:
            rows = list(csv.DictReader(file))
        assert {row["scenario"] for row in rows} == set(names)
    with (made / "figures/foreign.csv").open() as file:
        assert {row["bound"] for row in csv.DictReader(file)} == {"25"}
    assert names[1] in (made / "tables/table1.csv").read_text()
    line = tutorial.config["scenarios"][0]
    line["bound"] = 30
    assert "train" in tutorial.snakemake("-n", "foreign").stdout  # another task


@pytest.mark.slow
def test_neither_of_them_blocks_a_figure_when_it_fails_and_the_next_call_tries_again(tutorial):
    search = tutorial.root / OTHERS
    search.write_text(f"raise SystemExit('broken')\n{FILES[OTHERS]}")
    tutorial.config["settings"] = {"happo_pid": {"all": {"k_p": "fast"}}}
    done = tutorial.snakemake("--cores", "2", "figure3")
    assert done.returncode == 0, done.stdout[-3000:]
    caption = tutorial.root / "results/tutorial/figures/figure3.caption.txt"
    assert "2 of 3 runs missing" in caption.read_text()
    logs = {
        name: (tutorial.root / RUN.format(name)).with_name("train.log").read_text()
        for name in ("happo_pid", "random_search")
    }
    assert logs["random_search"].count("broken") == 3  # attempts
    assert logs["happo_pid"].count("k_p=fast is not valid: it must be a number") == 1  # it would be refused again

    search.write_text(FILES[OTHERS])
    del tutorial.config["settings"]
    tutorial.snakemake("--cores", "2", "figure3")
    assert "none missing" in caption.read_text()
    assert "Nothing to be done" in tutorial.snakemake("--cores", "2", "figure3").stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["happo_pid", "random_search"])
def test_a_run_in_two_parts_is_the_run_in_one(tutorial, name):
    module = {"happo_pid": "algorithms.train", "random_search": "workflow.examples.random_search"}[name]
    more = ["--algorithm", name] if name == "happo_pid" else []
    found = []
    for folder, parts in (("one", ["32000"]), ("two", ["16000", "32000"])):
        (tutorial.root / "results" / folder).mkdir(parents=True)
        for steps in parts:
            command = [
                "--scenario",
                "halfcheetah_2x3",
                "--seed",
                "3",
                "--steps",
                steps,
                "--output",
                f"results/{folder}",
            ]
            done = tutorial.run("python", "-m", module, *command, *more)
            assert done.returncode == 0, done.stdout
        with (tutorial.root / "results" / folder / "metrics.csv").open() as file:
            found.append([(row["step"], row["episode_return"], row["episode_cost"]) for row in csv.DictReader(file)])
    assert found[0] == found[1] and len(found[0]) == 2
