"""Evaluations and videos of the final policies, with stand-ins for the commands that make them."""

import pytest

from workflow import artefacts, opengl
from workflow.suite import load
from workflow.tests.test_suite import PAPER, merged

needs_opengl = pytest.mark.skipif(bool(opengl.missing()), reason=opengl.missing())
RUNS = "results/tiny/runs/ant_2x4"


def test_every_final_policy_of_ours_is_evaluated_and_the_main_ones_make_the_tables():
    suite = load(merged(PAPER, {"algorithms": ["mafocops", "foreign"], "extra_algorithms": {"foreign": __file__}}))
    main, every = artefacts.evaluations(suite), artefacts.every_evaluation(suite)
    assert len(main) == 13 * 5 and set(main) < set(every)
    # main, grids, happo, legacy, time_limit, nu_reading, kl_reading
    assert len(every) == 65 + 80 + 100 + 30 + 40 + 20 + 30 + 10 + 10
    assert not any("foreign" in path or "/efficiency/" in path for path in every)


def test_an_evaluation_follows_its_run_through_changes_failures_and_retries(project):
    project.config |= {"evaluation": {"episodes": 3}}
    (project.root / "broken").write_text("happo/default")
    targets = [f"{RUNS}/{name}/default/seed0/evaluation.csv" for name in ("mafocops", "happo")]
    done = project.snakemake("--cores", "2", *targets)
    assert done.returncode == 0, done.stdout[-3000:]
    good, failed = ((project.root / target).read_text().splitlines() for target in targets)
    assert len(good) == 7 and len(failed) == 1 and good[0] == failed[0]
    assert project.calls("evaluations") == ["ant_2x4 happo default seed0 3", "ant_2x4 mafocops default seed0 3"]

    (project.root / "broken").unlink()  # the next call tries the failed run again, and evaluates it
    project.snakemake("--cores", "2", *targets)
    assert len((project.root / targets[1]).read_text().splitlines()) == 7
    assert project.calls("evaluations") == ["ant_2x4 happo default seed0 3"]

    project.calls()
    project.config |= {"settings": {"happo": {"ant": {"gamma": 0.9}}}}  # another run: its folder is cleared
    project.snakemake("--cores", "2", "figure2")
    assert project.calls() == ["ant_2x4 happo default 0 gamma=0.9"]
    assert not (project.root / targets[1]).exists() and (project.root / targets[0]).exists()
    project.snakemake("--cores", "2", *targets)
    assert project.calls("evaluations") == ["ant_2x4 happo default seed0 3"] and project.calls() == []

    with (project.root / "algorithms/evaluate.py").open("a") as file:
        file.write("\n# edited\n")
    project.snakemake("--cores", "2", *targets)
    assert len(project.calls("evaluations")) == 2 and project.calls() == []
    project.config |= {"evaluation": {"episodes": 2}}
    project.snakemake("--cores", "2", *targets)
    assert len(project.calls("evaluations")) == 2 and project.calls() == []
    assert "Nothing to be done" in project.snakemake("-n", *targets).stdout


@needs_opengl
def test_videos_show_the_first_seed_alone_and_in_a_pair(project):
    project.config |= {"algorithms": ["mafocops", "macpo"], "seeds": [3, 0]}
    done = project.snakemake("--cores", "2", "videos")
    assert done.returncode == 0, done.stdout[-3000:]
    ours, theirs = (f"ant_2x4/{name}/default/seed3" for name in ("mafocops", "macpo"))
    assert project.calls("films") == [
        f"macpo.mp4 {theirs}",
        f"mafocops.mp4 {ours}",
        f"mafocops_macpo.mp4 {ours} {theirs}",
    ]
    assert project.calls() == ["ant_2x4 macpo default 3", "ant_2x4 mafocops default 3"]
    with (project.root / "envs/rendering.py").open("a") as file:
        file.write("\n# edited\n")
    project.snakemake("--cores", "2", "videos")
    assert len(project.calls("films")) == 3 and project.calls() == []


def test_without_opengl_all_else_is_made_and_videos_are_refused_in_one_sentence(project):
    project.environment["MUJOCO_GL"] = "disable"
    everything = project.snakemake("-n", "all")
    assert everything.returncode == 0 and "rule evaluate" in everything.stdout and "rule film" not in everything.stdout
    refused = project.snakemake("-n", "videos")
    assert refused.returncode == 1 and "MUJOCO_GL=disable disables rendering" in refused.stdout
    assert "Traceback (most recent" not in refused.stdout
    project.environment["MUJOCO_GL"] = "egl"
    project.config |= {"videos": None}
    refused = project.snakemake("-n", "videos")
    assert refused.returncode == 1
    assert "the suite tiny has no runs for videos" in refused.stdout or opengl.missing() in refused.stdout


@pytest.mark.parametrize(
    ("chosen", "installed", "word"),
    [
        ("", {"OSMesa"}, ""),
        ("", {"EGL", "OpenGL"}, ""),
        ("", {"EGL", "GL"}, ""),
        ("", {"EGL"}, "libopengl0"),
        ("", set(), "libegl1"),
        ("osmesa", {"EGL", "GL"}, "libosmesa6"),
        ("egl", {"OSMesa"}, "libegl1"),
        ("off", {"EGL", "GL"}, "unset"),
    ],
)
def test_what_is_missing_for_videos_is_named(chosen, installed, word, monkeypatch):
    monkeypatch.setattr(opengl.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("MUJOCO_GL", chosen)
    monkeypatch.setattr(opengl, "find_library", lambda name: name if name in installed else None)
    assert (word in opengl.missing()) if word else not opengl.missing()
