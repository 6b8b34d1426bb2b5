"""Synthetic metrics files with known curves."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from envs.scenarios import SCENARIOS

ALGORITHMS = ["mafocops", "macpo", "mappo_l", "happo", "mappo"]


def rows_of_run(scenario, algorithm, seed=0, steps=10_000_000, value=1000.0, cost=10.0, variant="default", bound=None):
    """Return the rows of one run, as `results.read` gives them; value and cost are numbers or functions of the step."""
    step = np.arange(1, 101) * (steps // 100)
    curve = {"episode_return": value, "episode_cost": cost}
    return pd.DataFrame(
        {
            "file": f"{scenario}/{algorithm}/{variant}/{seed}",
            **{"scenario": scenario, "algorithm": algorithm, "variant": variant, "seed": seed},
            **{"iteration": np.arange(1, 101), "step": step, "fps": 1.0},
            **{name: given(step) if callable(given) else given for name, given in curve.items()},
            "bound": SCENARIOS[scenario].bound if bound is None else bound,
        }
    )


@pytest.fixture
def write(tmp_path):
    """Return a function that writes one metrics.csv and returns its path; curves may be numbers or arrays."""

    def write_one(
        scenario="ant_2x4",
        algorithm="mafocops",
        variant="default",
        seed=0,
        steps=10_000_000,
        iterations=20,
        episode_return=100.0,
        episode_cost=10.0,
        fps=300.0,
        **columns,
    ) -> Path:
        frame = pd.DataFrame(
            {
                "scenario": scenario,
                "algorithm": algorithm,
                "variant": variant,
                "seed": seed,
                "iteration": np.arange(1, iterations + 1),
                "step": np.arange(1, iterations + 1) * (steps // iterations),
                "fps": fps,
                "episode_return": episode_return,
                "episode_cost": episode_cost,
                **columns,
            }
        )
        # The path deliberately says nothing about the run.
        path = tmp_path / "runs" / f"{len(list((tmp_path / 'runs').glob('*')))}.csv"
        path.parent.mkdir(exist_ok=True)
        frame.to_csv(path, index=False)
        return path

    (tmp_path / "runs").mkdir()
    return write_one


def header_only(path):
    """Let a run have failed: its file keeps the header alone."""
    path.write_text(path.read_text().splitlines()[0] + "\n")
    return path


@pytest.fixture
def command(monkeypatch):
    """Return a function that runs the main function of a module with the given arguments."""

    def run(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        module.main()
        plt.close("all")

    return run
