"""A small suite that was never run: figures, a table, a verdict, a manifest with a failed run, and two videos."""

import json
import shutil
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import artefact, judging, report, style

CAPTION = "Figure 2. A line & its <caption>, long enough for two rows of text below the drawing. 1 run, none missing."
VERDICTS = [("table1", "pass"), ("table1", "miss"), ("table1", "pass"), ("figure2", "undecided")]
VERDICTS += [("figure2", "not comparable")]
HASH = "0123456789abcdef" * 4
RUN = {
    "path": "results/tiny/runs/ant_2x4/happo/default/seed0/metrics.csv",
    "status": "complete",
    "recorded": True,
    "sha256": HASH,
    "law_hash": HASH[::-1],
    "algorithm": "happo",
    "steps": 2000,
    "task_version": 1,
    "commit": HASH[:40],
    "dirty": False,
    "settings": {"gamma": 0.99, "hidden": [64, 64], "gate": True},
    "versions": {"python": "3.11", "torch": "2.13"},
    "hardware": {"cpu": "A processor", "cores": 2, "memory_gib": 8.0, "gpu": None},
}
CHANGED = RUN | {"path": RUN["path"].replace("default", "gamma=0.9"), "settings": RUN["settings"] | {"gamma": 0.9}}
NOTHING = dict.fromkeys(("sha256", "law_hash", "settings", "versions", "hardware", "commit", "dirty", "steps"))
FAILED = RUN | NOTHING | {"path": RUN["path"].replace("seed0", "seed1"), "status": "failed", "task_version": None}


def figure(base: Path, caption: str) -> None:
    """Save a figure of about 4 x 3 inches."""
    canvas = Figure(figsize=(4, 3))
    canvas.subplots().plot([0, 1], [0, 1])
    style.save(canvas, pd.DataFrame({"x": [0, 1]}), caption, base)


def make(folder: Path) -> dict[str, list]:
    """Make a small suite; return the arguments of the report but for the output."""
    results = folder / "results/tiny"
    for name in ("figure2", "figure3", "legacy", "comparison", "surprise"):
        number = f"Figure {name[-1]}. " if name.startswith("figure") else ""
        figure(results / f"figures/{name}", CAPTION.replace("Figure 2. ", number))
    row = {"table": "table1", "scenario": "ant_2x4", "ours": 1.5, "runs": 1, "steps": 2000}
    printed = pd.DataFrame({("", "Scenario"): ["Ant <2x4>", "Ant 4x2"], ("Ours", "MACPO"): ["1.50", "n/a"]})
    tidy = pd.DataFrame([row]).reindex(columns=artefact.TIDY)
    artefact.save(tidy, printed, "Table 1. Speed.", "table1", results / "tables/table1")
    unsorted = VERDICTS[-1:] + VERDICTS[:-1]  # the page shows what was judged first
    verdicts = pd.DataFrame(unsorted, columns=["artefact", "verdict"]).reindex(columns=judging.COLUMNS)
    verdicts = verdicts.assign(
        scenario="ant_2x4", ours=[np.nan, 3.0, 20.0, 100.0, 500.0], source="a source", reason="why"
    )
    verdicts.to_csv(results / "verdict.csv", index=False)
    (results / "manifest.json").write_text(json.dumps({"runs": [RUN, RUN | {"path": "other"}, CHANGED, FAILED]}))
    film = results / "videos/ant_2x4/mafocops_macpo.mp4"
    film.parent.mkdir(parents=True)
    imageio.mimwrite(film, np.zeros((4, 64, 64, 3), np.uint8), fps=4)
    shutil.copy(film, film.parent / "mappo_l.mp4")
    return {
        "--suite": ["tiny"],
        "--configfile": ["results/tiny/config.yaml"],
        "--steps": [2000],
        "--seeds": [0, 1],
        "--scenarios": ["ant_2x4"],
        "--algorithms": ["happo", "foreign"],
        "--note": ["A note."],
        "--artefacts": [*sorted((results / "figures").glob("*.svg")), results / "tables/table1.md"],
        "--verdict": [results / "verdict.csv"],
        "--manifest": [results / "manifest.json"],
        "--videos": [film, film.parent / "mappo_l.mp4"],
    }


def build(command, arguments: dict[str, list], folder: Path) -> str:
    """Run the command line and return the page."""
    listed = [part for name, values in arguments.items() for part in (name, *values)]
    command(report, *listed, "--output", folder / "report.html")
    return (folder / "report.html").read_text()
