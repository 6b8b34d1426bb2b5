"""The manifest: what it says of a run is what it said when the committed suites were made."""

from pathlib import Path

import pytest

from analysis import manifest
from workflow import layout

REFERENCE = Path(__file__).parents[2] / "results/reference"


@pytest.mark.parametrize("suite", ["two_million", "ten_million"])
def test_entries_of_committed_runs_are_those_of_the_committed_manifest(suite):
    found = []
    for run in manifest.runs(str(REFERENCE / suite / "manifest.json")):
        path = layout.place_of(run["path"]).file(REFERENCE / suite)
        if Path(path).exists():  # ten million steps were not timed again
            assert manifest.entry(path) | {"path": run["path"]} == run
            found.append(path)
    assert len(found) >= 10


@pytest.mark.parametrize("cell", ["", "nan", "NaN"])
def test_the_law_hash_is_the_same_for_every_way_to_write_nothing_and_leaves_out_time_and_memory(tmp_path, cell):
    plain, same, other = (tmp_path / name for name in ("plain.csv", "same.csv", "other.csv"))
    plain.write_text("seed,fps,episode_return,memory_rss_mib\n0,1.5,,7\n1,2.5,3.25,8\n")
    same.write_text(f"seed,fps,episode_return,memory_rss_mib\r\n0,99,{cell},1\r\n1,99,3.25,1\r\n")
    other.write_text("seed,fps,episode_return,memory_rss_mib\n0,1.5,,7\n1,2.5,3.26,8\n")
    assert manifest.law_hash(plain) == manifest.law_hash(same) != manifest.law_hash(other)


def test_runs_that_failed_or_are_missing_are_listed_as_such(tmp_path):
    failed = tmp_path / "metrics.csv"
    failed.write_text("seed,fps\n")
    known = [manifest.entry(str(path)) for path in (failed, tmp_path / "none.csv")]
    assert [run["status"] for run in known] == ["failed", "missing"]
    assert [run["recorded"] for run in known] == [False, False]
    assert known[0]["law_hash"] and known[1]["sha256"] is None
