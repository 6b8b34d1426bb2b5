"""Snakemake itself, in a copy of the repository whose trainer is a stand-in: what it runs, and what it runs again."""

import re
import shlex
from collections import Counter

import pytest

from workflow.tests.conftest import FAKE_TRAINER

OTHER_RULE = """
use rule train as train_other with:
    input:
        source=local("other.py"),
    wildcard_constraints:
        algorithm="other",
    params:
        command="python other.py",
"""
MAIN = {"ant_2x4 mafocops default 0", "ant_2x4 happo default 0"}


def counts(output: str) -> dict[str, int]:
    """Return the table of jobs that Snakemake prints."""
    return {name: int(number) for name, number in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}


@pytest.mark.parametrize("over", [[], ["workflow/config/corrected.yaml"]], ids=["published", "corrected"])
def test_the_published_time_limit_is_in_the_published_commands_alone(project, over):
    done = project.run("snakemake", "-n", "-p", "all_figures", *(["--configfile", *over] if over else []))
    assert done.returncode == 0, done.stdout[-2000:]
    commands = re.findall(r"python -m algorithms\.train .* 2> ", done.stdout)
    limits = Counter(
        word for command in commands for word in re.findall(r"time_limit=\w+(?= )", command.split(" -- ")[-1])
    )
    folders = {re.match(r"results/[^/]*", path)[0] for path in re.findall(r"results/\S*", done.stdout)}
    assert len(commands) > 500
    if over:
        assert folders == {"results/paper,time_limit=bootstrap"} and "time_limit=failure" not in done.stdout
        return
    assert folders == {"results/paper"} and "legacy_time_limit" not in done.stdout
    beside = [
        command for command in commands if "--variant time_limit=bootstrap --set time_limit=bootstrap " in command
    ]
    legacy = [command for command in commands if "--variant legacy " in command]
    assert len(beside) == 30 and len(legacy) == 20 and not any("time_limit" in command for command in legacy)
    assert limits["time_limit=failure"] == len(commands) - len(beside) - len(legacy)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("paper", {"train": 605, "efficiency": 234, "evaluate": 605, "figure": 13, "table": 7}),
        ("quick", {"figure": 13, "table": 7, "verdict": 1, "report": 1}),
        ("smoke", {"figure": 7, "table": 7, "verdict": 1, "report": 1}),
    ],
)
def test_a_dry_run_lists_the_jobs_and_says_what_is_ahead(project, config, expected):
    done = project.run("snakemake", "-n", "--cores", "2", "--configfile", f"workflow/config/{config}.yaml")
    found = counts(done.stdout)
    assert done.returncode == 0, done.stdout[-2000:]
    assert {name: found[name] for name in expected} == expected
    last = done.stdout.strip().splitlines()[-1]
    ahead = f"Ahead: {found['train']} training runs and {found['efficiency']} timing runs"
    assert last.startswith(ahead) and "on 2 cores" in last and "GB on disk" in last


def test_all_figures_and_tables_come_out_of_one_call_and_the_next_has_nothing_to_do(project):
    done = project.snakemake("--cores", "2", "all")
    assert done.returncode == 0, done.stdout[-3000:]
    results = project.root / "results/tiny"
    for name in ("figure2", "figure6", "legacy"):
        assert all((results / f"figures/{name}{suffix}").stat().st_size for suffix in (".svg", ".png", ".csv"))
    for name in ("table1", "table2", "table3", "table4"):
        assert all((results / f"tables/{name}{suffix}").stat().st_size for suffix in (".md", ".csv", ".tex"))
    page = (results / "report.html").read_text()
    assert all(f'<article id="{name}">' in page for name in ("figure2", "legacy", "table4", "comparison_profile"))
    assert (results / "verdict.md").exists() and (results / "figures/comparison_profile.svg").exists()
    # main runs, one value for each of three grids, macpo with and without the original's errors, timing, macpo twice
    calls = project.calls()
    assert len(calls) == len(MAIN) + 1 + 1 + 1 + 2 + 3 and "ant_2x4 macpo legacy 0" in calls
    assert re.search(r"\[10/10 runs, 100 % of the training steps, nothing left to train\]", done.stdout)
    again = project.snakemake("-n", "all")
    assert "Nothing to be done" in again.stdout and "No run is ahead" in again.stdout
    command = re.search(r"<code>(snakemake [^<]*/figure2.svg [^<]*)</code>", page)[1]
    pasted = project.run(*shlex.split(command), "-n")
    assert "Nothing to be done" in pasted.stdout
    forced = project.run(*shlex.split(command), "-n", "-p", "-f")
    assert (
        "python -m analysis $(basename results/tiny/figures/figure2) @results/tiny/logs/figures/figure2.files"
        in forced.stdout
    )
    progress = project.run("python", "-m", "workflow.progress", "results/tiny")
    assert progress.stdout.startswith("[10/10 runs, 100 %")


def test_a_change_reruns_only_what_it_affects(project):
    assert project.snakemake("--cores", "2", "figure2", "table3").returncode == 0
    assert set(project.calls()) == MAIN | {"ant_2x4 mafocops lam=1 0 lam=1"}

    project.config |= {"settings": {"happo": {"ant": {"gamma": 0.9}}}}
    project.snakemake("--cores", "2", "figure2", "table3")
    assert project.calls() == ["ant_2x4 happo default 0 gamma=0.9"]

    project.config |= {"seeds": [0, 1]}
    project.snakemake("--cores", "2", "figure2")
    assert project.calls() == ["ant_2x4 happo default 1 gamma=0.9", "ant_2x4 mafocops default 1"]

    with (project.root / "algorithms/mafocops.py").open("a") as file:
        file.write("\n# edited\n")
    project.snakemake("--cores", "2", "figure2")
    assert project.calls() == ["ant_2x4 mafocops default 0", "ant_2x4 mafocops default 1"]

    with (project.root / "workflow/rules/train.smk").open("a") as file:
        file.write("\n# edited\n")
    (project.root / "tiny.yaml").touch()
    project.snakemake("--cores", "2", "figure2")
    assert project.calls() == []


def edit(project, name: str) -> None:
    """Change the docstring of the only file of that name in algorithms/."""
    [path] = (project.root / "algorithms").rglob(name)
    first, rest = path.read_text().split("\n", 1)
    assert first.startswith('"""')
    path.write_text(f"{first[:3]}Edited. {first[3:]}\n{rest}")


def test_only_what_can_change_a_number_makes_a_run_stale_and_a_stale_run_is_kept(project):
    assert project.snakemake("--cores", "2", "figure2", "evaluations").returncode == 0
    project.calls()
    for name in ("checkpoint.py", "folder.py", "signals.py"):
        edit(project, name)
    assert "Nothing to be done" in project.snakemake("-n", "figure2").stdout
    edit(project, "critic.py")
    assert counts(project.snakemake("-n", "figure2").stdout)["train"] == 2
    run = project.root / "results/tiny/runs/ant_2x4/happo/default/seed0"
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    (run / "policy.pt").write_bytes(b"finished")
    done = project.snakemake("--cores", "2", "figure2")
    assert set(project.calls()) == MAIN
    aside = run.with_name("seed0.stale-1")
    assert f"{run.relative_to(project.root)} held a run of other settings, steps or sources" in done.stdout
    after = {path.name: path.read_bytes() for path in aside.iterdir()}
    assert after.pop("policy.pt") == b"finished" and "evaluation.csv" in after
    assert after == {name: content for name, content in before.items() if name != "lock"}
    assert "Nothing to be done" in project.snakemake("-n", "figure2").stdout


def test_a_failed_run_never_blocks_a_figure_and_is_tried_again_by_the_next_call(project):
    (project.root / "broken").write_text("happo/default")
    done = project.snakemake("--cores", "2", "figure2")
    assert done.returncode == 0, done.stdout[-3000:]
    assert project.calls() == ["ant_2x4 happo default 0"] * 3 + ["ant_2x4 mafocops default 0"]
    assert "failed and missing from its figures: results/tiny/runs/ant_2x4/happo/default/seed0" in done.stdout
    caption = project.root / "results/tiny/figures/figure2.caption.txt"
    assert "none missing" not in caption.read_text()

    (project.root / "broken").unlink()
    project.snakemake("--cores", "2", "figure2")
    assert project.calls() == ["ant_2x4 happo default 0"]
    assert "none missing" in caption.read_text()
    project.snakemake("--cores", "2", "figure2")
    assert project.calls() == []


def test_a_command_that_takes_the_trainers_arguments_joins_by_a_rule_and_gets_its_settings(project):
    (project.root / "other.py").write_text(FAKE_TRAINER)
    (project.root / "other.smk").write_text(OTHER_RULE)
    project.config |= {
        "algorithms": ["happo", "other"],
        "extra_algorithms": {"other": "other.smk"},
        "settings": {"other": {"all": {"anything": 3}}},
    }
    done = project.snakemake("--cores", "2", "figure2")
    assert done.returncode == 0, done.stdout[-3000:]
    assert project.calls() == ["ant_2x4 happo default 0", "ant_2x4 other default 0 anything=3"]
    drawn = (project.root / "results/tiny/figures/figure2.csv").read_text()
    assert all(f",{name}," in drawn for name in ("happo", "other"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stepz": 3}, ["unknown key 'stepz'", "choose from", "steps"]),
        (
            {"settings": {"happo": {"all": {"legacy_time_limit": True}}}},
            ["settings.happo.all.legacy_time_limit=True is no longer a setting", "time_limit=failure"],
        ),
        ({"scenarios": ["ant_3x3"]}, ["unknown scenario 'ant_3x3'", "choose from", "ant_2x4"]),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_runs(project, change, words):
    project.config |= change
    done = project.snakemake("--cores", "2", "figure2")
    sentence = next(line for line in done.stdout.splitlines() if words[0] in line)
    assert done.returncode == 1
    assert all(word in sentence for word in words)
    assert "Traceback (most recent" not in done.stdout
    assert not (project.root / "results").exists()


@pytest.mark.parametrize("target", ["figure5", "legacy", "benchmark"])
def test_what_the_suite_leaves_out_is_refused_in_one_sentence(project, target):
    project.config |= {"legacy": None, "benchmark": None}
    done = project.snakemake("-n", target)
    assert done.returncode == 1
    assert f"the suite tiny has no runs for {target}" in done.stdout and "Traceback (most recent" not in done.stdout


def test_the_benchmark_measures_one_by_one_and_trains_nothing(project):
    project.config |= {"settings": {"all": {"ant": {"gamma": 0.9}}}}
    done = project.snakemake("--cores", "2", "benchmark")
    assert done.returncode == 0, done.stdout[-3000:]
    assert project.calls() == [f"measure {name} mafocops 1 1 cpu gamma=0.9" for name in ("ant_2x4", "ant_8x1")]
    assert re.findall(r"^    threads: (\d+)$", done.stdout, re.MULTILINE) == ["2", "2"]  # all cores: never side by side
    base = project.root / "results/tiny/benchmark/benchmark"
    assert all(base.with_suffix(suffix).stat().st_size for suffix in (".svg", ".png", ".csv", ".md"))
    assert "Nothing to be done" in project.snakemake("-n", "benchmark").stdout
    project.config["benchmark"] = project.config["benchmark"] | {"rounds": 2}
    project.snakemake("--cores", "2", "benchmark")
    assert project.calls() == [f"measure {name} mafocops 1 2 cpu gamma=0.9" for name in ("ant_2x4", "ant_8x1")]


def test_settings_of_an_algorithm_apply_to_its_legacy_variant_and_the_verdict_ignores_the_figure(project):
    project.config |= {"settings": {"macpo": {"ant": {"gamma": 0.9}}}}
    assert project.snakemake("--cores", "2", "legacy").returncode == 0
    assert project.calls() == ["ant_2x4 macpo default 0 gamma=0.9", "ant_2x4 macpo legacy 0 gamma=0.9"]
    assert project.snakemake("--cores", "2", "verdict").returncode == 0
    assert "legacy" not in (project.root / "results/tiny/verdict.csv").read_text()


def test_the_comparison_rests_on_the_main_runs_alone(project):
    assert project.snakemake("--cores", "2", "comparison").returncode == 0
    assert set(project.calls()) == MAIN
    results = project.root / "results/tiny"
    table = results / "tables/comparison"
    assert all(table.with_suffix(suffix).stat().st_size for suffix in (".md", ".csv", ".tex", ".caption.txt"))
    for name in ("tables/comparison_pairs", "figures/comparison_profile", "figures/comparison_seeds"):
        assert "2 runs, none missing" in (results / f"{name}.caption.txt").read_text()


def test_the_device_follows_the_resources(project):
    run = "results/tiny/runs/ant_2x4/happo/default/seed0"
    for arguments, device in (((), "cpu"), (("--resources", "gpu=1"), "cuda")):
        project.snakemake(f"{run}/metrics.csv", "-F", "--cores", "1", *arguments)
        assert f"--device {device}" in (project.root / run / "train.log").read_text().splitlines()[-1]


def test_the_rules_are_clean(project):
    done = project.run("snakemake", "--lint")
    assert done.returncode == 0, done.stdout
