"""A run's place and its path say the same, and the options of a task stand once."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from envs.scenarios import EPISODE_LIMIT, OPTIONS, SCENARIOS, bound_of
from workflow import layout, schema, sources

WORD = st.from_regex(re.compile(r"[A-Za-z0-9_][\w.,=+-]*", re.ASCII), fullmatch=True)
PLACES = st.builds(layout.Place, st.sampled_from(sorted(layout.FOLDERS)), WORD, WORD, WORD, st.integers(0, 10**6))


def kept(place: layout.Place) -> layout.Place:
    """Return what a path can tell of a place: a timing run's has no variant, a measurement's no seed either."""
    fields = {name: value for name, value in place._asdict().items() if f"{{{name}}}" in layout.FOLDERS[place.kind]}
    return layout.Place(place.kind, **fields)


@given(
    PLACES,
    st.sampled_from([".", "/srv", "results/paper", "results/runs", "/tmp/a b/efficiency", "results/p,walls=free"]),
)
def test_a_path_says_where_a_run_is_and_back(place, suite):
    path = place.file(suite, "some.csv")
    assert layout.split(path) == (Path(suite), kept(place))
    assert Path(path) == Path(suite, place.folder, "some.csv")
    assert place.folder == f"{place.kind}/{place.setting}/{place.last}"


@pytest.mark.parametrize(
    "path",
    [
        "runs/ant_2x4/happo/default/seed0.stale-1/metrics.csv",
        "runs/ant_2x4/happo/default/seed/metrics.csv",
        "runs/ant_2x4/happo/seed0/metrics.csv",
        "results/paper/metrics.csv",
        "metrics.csv",
    ],
)
def test_what_is_no_run_is_refused_with_the_folders_that_are(path):
    with pytest.raises(ValueError, match=r"lies in no run's folder: those are runs/\{scenario\}"):
        layout.place_of(path)


def test_all_runs_of_a_kind_are_found_and_those_set_aside_are_not(tmp_path):
    runs = [layout.Place(layout.TRAINING, "ant_2x4", "happo", "lam=1,2", seed) for seed in range(3)]
    timing = layout.Place(layout.TIMING, "ant_2x4", "happo", seed=1)
    for place in (*runs, timing):
        path = Path(place.file(tmp_path))
        path.parent.mkdir(parents=True)
        path.touch()
    aside = Path(runs[0].file(tmp_path)).parent.with_name("seed0.stale-1")
    aside.mkdir()
    (aside / layout.METRICS).touch()
    assert [place for place, _ in layout.found(tmp_path)] == runs
    assert [path for _, path in layout.found(tmp_path)] == [Path(place.file(tmp_path)) for place in runs]
    assert [place for place, _ in layout.found(tmp_path, layout.TIMING)] == [timing]


@pytest.mark.parametrize(
    ("variant", "bound"),
    [
        ("default", 70.0),
        ("lam=1", 70.0),
        ("safety_bound=25", 25.0),
        ("safety_bound=2.5e-1", 0.25),
        ("safety_bound=25+30", 55.0),
        ("safety_bound=2e+1+30", 50.0),
        ("safety_bound=25+30+lam=2", 55.0),
        ("lam=2+safety_bound=25", 25.0),
        ("no_safety_bound=25", 70.0),
        ("safety_bound=low", 70.0),
    ],
)
def test_the_bound_is_that_of_the_variant_or_of_the_scenario(variant, bound):
    assert bound_of("ant_8x1", variant) == bound


def test_an_unknown_scenario_has_no_bound():
    with pytest.raises(ValueError, match=f"unknown scenario 'ant_3x3'; choose from {', '.join(SCENARIOS)}"):
        bound_of("ant_3x3", "safety_boundless")


def test_the_schema_offers_every_option_and_the_published_one_too():
    offered = yaml.safe_load(schema.SCHEMA.read_text())["properties"]["environment"]["properties"]
    assert {name: tuple(entry.get("enum", ())) for name, entry in offered.items()} == {
        name: (values if name != EPISODE_LIMIT else ()) for name, values in OPTIONS.items()
    }
    assert [name for name, entry in offered.items() if entry["type"] == "integer"] == [EPISODE_LIMIT]
    assert all(entry["description"].startswith(f"{OPTIONS[name][0]} is") for name, entry in offered.items())


@pytest.mark.parametrize("algorithm", sources.algorithms())
def test_every_algorithm_has_the_options_as_settings(algorithm):
    assert list(sources.fields(algorithm).items())[: len(OPTIONS)] == [
        (name, sources.Field("str", values[0])) for name, values in OPTIONS.items()
    ]
