"""Captions tell of runs without an episode that ended, and of each of several bounds."""

import pandas as pd

from analysis import artefact, pareto, results
from analysis.curves import make

HEAD = "scenario,algorithm,variant,seed,iteration,step,fps,episode_return,episode_cost,bound"


def written(folder, cost: str, more: str = "", values: str = "") -> str:
    path = folder / "runs/ant_2x4/happo/default/seed0/metrics.csv"
    path.parent.mkdir(parents=True)
    lines = [f"ant_2x4,happo,default,0,{i},{1000 * i},500,{cost},{cost},70{values}" for i in range(1, 21)]
    path.write_text("\n".join([HEAD + more, *lines]) + "\n")
    return str(path)


def test_a_run_without_an_ended_episode_is_counted(tmp_path):
    assert "No episode has ended in 1 run." in make("figure2", [written(tmp_path / "none", "")]).caption("")
    assert "No episode" not in make("figure2", [written(tmp_path / "all", "33")]).caption("")


COSTS, VALUES = ",episode_cost_wall,bound_wall,episode_cost_fall,bound_fall", ",30,50,3,20"


def test_a_file_without_the_column_of_the_bound_has_that_of_its_variant_or_scenario_and_others_keep_theirs(write):
    wanted = {"default": 50.0, "safety_bound=25": 25.0, "lam=2+safety_bound=7.5": 7.5, "safety_bound=9": 123.0}
    last = {"bound": 123.0, "violation": -4.0}
    paths = [write(variant=name, episode_cost=31.0, **(last if x == 123 else {})) for name, x in wanted.items()]
    frame = results.read(paths)
    assert frame.groupby("variant", observed=True)["bound"].unique().map(list).to_dict() == {
        name: [bound] for name, bound in wanted.items()
    }
    found = frame.groupby("variant", observed=True)["violation"].first()
    assert found.to_dict() == {name: -4.0 if bound == 123 else 31 - bound for name, bound in wanted.items()}


def test_several_bounds_are_told_each(tmp_path):
    caption = make("figure2", [written(tmp_path, "33", COSTS, VALUES)]).caption("")
    assert "bounds: wall 50, fall 20 (ant_2x4/default)." in caption
    assert "cost (below, each cost by itself)" in caption
    assert artefact.bounds(pd.DataFrame({"scenario": [], "variant": [], "file": []})) == ""


def test_curves_show_each_cost_under_its_own_bound_and_not_the_sum(tmp_path):
    drawn = make("figure2", [written(tmp_path, "33", COSTS, VALUES)])
    rows = drawn.rows.groupby("quantity")[["median", "bound"]].agg(["min", "max"])
    assert rows.loc["cost wall"].tolist() == [30, 30, 50, 50] and rows.loc["cost fall"].tolist() == [3, 3, 20, 20]
    assert set(rows.index) == {"return", "cost wall", "cost fall"}
    titles = [axis.get_ylabel() for axis in drawn.figure.axes]
    assert titles == ["Episode return", "Episode cost wall", "Episode cost fall"]
    dashes = [
        [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == "--"] for axis in drawn.figure.axes
    ]
    assert dashes == [[], [50], [20]]


def test_the_pareto_view_has_a_panel_for_each_cost(tmp_path):
    two = written(tmp_path, "33", COSTS, VALUES)
    drawn = pareto.make("pareto", [two])
    assert drawn.rows[["cost", "final_cost", "bound"]].to_numpy().tolist() == [["wall", 30, 50], ["fall", 3, 20]]
    assert [axis.get_title() for axis in drawn.figure.axes] == ["Ant 2x4: wall", "Ant 2x4: fall"]
    assert [axis.texts[0].get_text() for axis in drawn.figure.axes] == ["bound 50", "bound 20"]


def test_a_run_with_one_cost_beside_one_with_two_keeps_its_own(tmp_path, write):
    two, one = written(tmp_path / "two", "33", COSTS, VALUES), write("halfcheetah_2x3", "happo", episode_cost=7.0)
    made = make("foreign", [two, str(one)])
    assert made.caption("").startswith("Tasks of other projects. Episode return (top)")
    drawn = made.rows.groupby(["scenario", "quantity"])["median"].max().to_dict()
    expected = {("ant_2x4", "return"): 33, ("ant_2x4", "cost wall"): 30, ("ant_2x4", "cost fall"): 3}
    assert drawn == expected | {("halfcheetah_2x3", "return"): 100, ("halfcheetah_2x3", "cost"): 7}
    rows = pareto.make("pareto", [two, str(one)]).rows
    assert rows["cost"].tolist() == ["wall", "fall", ""] and rows["final_cost"].tolist() == [30, 3, 7]
