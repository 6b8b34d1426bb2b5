import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import results
from envs.scenarios import SCENARIOS


def edit(path, **columns):
    pd.read_csv(path).assign(**columns).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_file_without_a_bound_gets_the_published_one(write, scenario):
    frame = results.read([write(scenario)])
    assert (frame["bound"] == SCENARIOS[scenario].bound).all()


def test_a_safety_bound_variant_without_a_bound_column_gets_the_bound_it_names(write):
    assert (results.read([write(variant="safety_bound=25")])["bound"] == 25).all()


def test_a_variant_that_names_a_bound_per_cost_gets_their_sum(write):
    assert (results.read([write(variant="safety_bound=25+30")])["bound"] == 55).all()


def test_the_bound_column_wins(write):
    assert (results.read([write(bound=12.5)])["bound"] == 12.5).all()


def test_every_row_of_every_file_is_there_once(write):
    frame = results.read([write(seed=k, iterations=7) for k in range(3)])
    assert len(frame) == 21 and frame["file"].nunique() == 3 and sorted(frame["seed"].unique()) == [0, 1, 2]


def test_naming_a_file_twice_does_not_count_it_twice(write):
    path = write()
    assert len(results.read([path, path])) == 20


@pytest.mark.parametrize("column", results.REQUIRED)
def test_a_missing_column_is_named_with_its_file(write, column):
    path = write()
    pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
    with pytest.raises(ValueError, match=f"{path.name} lacks the column '{column}'"):
        results.read([path])


@pytest.mark.parametrize("column", ["seed", "step", "fps", "episode_return", "bound"])
def test_text_in_a_number_column_is_named_with_its_file(write, column):
    path = edit(write(bound=1.0), **{column: "many"})
    with pytest.raises(ValueError, match=rf"{path.name} holds 'many' in column '{column}'"):
        results.read([path])


def test_a_fractional_step_is_refused(write):
    with pytest.raises(ValueError, match="'step' that is not a whole number"):
        results.read([edit(write(iterations=1), step=0.5)])


def test_steps_that_do_not_grow_are_refused(write):
    with pytest.raises(ValueError, match="growing values in column 'step'"):
        results.read([edit(write(), step=5)])


def test_two_runs_in_one_file_are_refused(write):
    with pytest.raises(ValueError, match="one seed throughout, not 0, 1"):
        results.read([edit(write(iterations=2), seed=[0, 1])])


def test_an_unknown_scenario_is_refused_with_the_valid_names(write):
    with pytest.raises(ValueError, match=r"ant_3x3.*halfcheetah_2x3"):
        results.read([write("ant_3x3")])


def test_the_same_run_in_two_files_is_refused_unless_repeats_are_expected(write):
    paths = [write(), write()]
    with pytest.raises(ValueError, match="hold the same run"):
        results.read(paths)
    assert results.read(paths, repeats=True)["file"].nunique() == 2


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "metrics.csv"
    path.touch()
    with pytest.raises(ValueError, match="is not a metrics file"):
        results.read([path])


def test_a_header_without_rows_is_a_missing_run(write):
    failed = write(iterations=1)
    failed.write_text(failed.read_text().splitlines()[0] + "\n")
    frame = results.read([failed, write(seed=1)])
    assert frame["file"].nunique() == 1 and results.runs(frame)["seed"].tolist() == [1]
    assert results.runs(results.read([failed])).empty


def test_episodes_that_never_finish_are_allowed(write):
    frame = results.read([write(episode_return=None, episode_cost=None)])
    assert results.runs(frame)["final_return"].isna().all()


def test_a_run_that_stopped_early_is_not_whole(write):
    paths = [write(seed=0), write(seed=1, steps=4_000_000, iterations=8), write("ant_4x2", steps=4_000_000)]
    assert results.runs(results.read(paths))["whole"].tolist() == [True, False, True]


CELLS = ["", "nan", "0.1", "1e-300", "12345678901234567890", "-3", "inf", "1e400", "NaN", "-0.0", "007"]


@given(st.lists(st.tuples(*[st.sampled_from(CELLS)] * 3), min_size=1, max_size=5))
def test_every_way_to_write_a_number_is_read_to_the_last_bit(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("quick") / "metrics.csv"
    columns = ["episode_return", "episode_cost", "bound"]
    frame = pd.DataFrame(rows, columns=columns)
    frame = frame.assign(scenario="ant_2x4", algorithm="a", variant="default", seed=0, fps=1.0, iteration=1)
    frame.assign(step=np.arange(len(frame)) + 1).to_csv(path, index=False)
    read = results.read([path])
    for column in columns[:2]:
        assert np.array_equal(read[column], frame[column].replace("", "nan").map(float), equal_nan=True)
