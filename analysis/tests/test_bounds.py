"""Captions tell of runs without an episode that ended, and of each of several bounds."""

import pandas as pd

from analysis import artefact
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


def test_several_bounds_are_shown_each(tmp_path):
    path = written(tmp_path, "33", ",episode_cost_wall,bound_wall,episode_cost_fall,bound_fall", ",30,50,3,20")
    caption = make("figure2", [path]).caption("")
    assert "bounds: wall 50, fall 20 (ant_2x4/default)." in caption
    assert artefact.bounds(pd.DataFrame({"scenario": [], "variant": [], "file": []})) == ""
