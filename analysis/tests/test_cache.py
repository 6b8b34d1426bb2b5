"""The cache of a suite: every metrics file is parsed once, and nothing depends on it."""

import os
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import cache, results


@pytest.fixture
def suite(write, tmp_path):
    """A folder that the workflow has made, with three runs; returns their metrics files."""
    (tmp_path / cache.MARK).write_text("{}")
    paths = []
    for seed in range(3):
        folder = tmp_path / f"runs/ant_2x4/happo/default/seed{seed}"
        folder.mkdir(parents=True)
        made = write(algorithm="happo", seed=seed, episode_return=1 / (3 + seed), fps_update=[np.nan] * 19 + [7.0])
        paths.append(str(made.rename(folder / "metrics.csv")))
    return paths


@pytest.fixture
def parsed(monkeypatch):
    """The files that were parsed, in order."""
    seen, parse = [], results._read_metrics
    monkeypatch.setattr(results, "_read_metrics", lambda path: seen.append(path) or parse(path))
    return seen


def test_a_file_is_parsed_once_and_found_to_the_last_bit(suite, parsed):
    first, second = results.read(suite), results.read(suite[::-1])
    assert parsed == suite
    sort = {"by": ["seed", "step"], "ignore_index": True}
    pd.testing.assert_frame_equal(first.sort_values(**sort), second.sort_values(**sort), check_categorical=False)
    assert results.read(suite[1:])["seed"].unique().tolist() == [1, 2] and parsed == suite


def test_a_file_that_has_changed_is_parsed_again(suite, parsed):
    results.read(suite)
    path = Path(suite[0])
    path.write_text(path.read_text().replace(",7.0\n", ",8.0\n"))  # as many bytes
    os.utime(path, ns=(1, 1))
    assert results.read(suite)["fps_update"].dropna().tolist() == [8.0, 7.0, 7.0]
    assert parsed == [*suite, suite[0]]


def test_other_code_parses_again(suite, parsed, monkeypatch):
    results.read(suite)
    monkeypatch.setattr(cache, "_code", lambda: "other")
    results.read(suite)
    assert parsed == suite + suite


def test_a_folder_that_is_not_the_workflows_is_left_alone(suite, parsed, tmp_path):
    (tmp_path / cache.MARK).unlink()
    results.read(suite)
    assert not (tmp_path / cache.NAME).exists() and parsed == suite


@pytest.mark.parametrize("content", [b"", b"torn", b"SQLite format 3\0" + b"x" * 500])
def test_a_damaged_cache_is_as_good_as_none(suite, tmp_path, content):
    expected = results.read(suite)
    (tmp_path / cache.NAME).write_bytes(content)
    pd.testing.assert_frame_equal(results.read(suite), expected)


def test_a_damaged_file_is_refused_and_those_before_it_stay_readable(suite, tmp_path):
    path = Path(suite[1])
    good = path.read_text()
    path.write_text(good[:-5])
    with pytest.raises(ValueError, match=r"seed1.*its last line has no end"):
        results.read(suite)
    path.write_text(good)
    assert len(results.read(suite)) == 60
    with sqlite3.connect(tmp_path / cache.NAME) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (3,)
