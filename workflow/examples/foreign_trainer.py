"""Stands for a trainer of another project: it learns nothing and writes a random walk as its metrics.csv.

These columns are all that a figure needs. The numbers mean nothing.
"""

import argparse
import csv
import random
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("scenario", "algorithm", "variant", "seed", "steps", "output"):
    parser.add_argument(f"--{name}", default="default")
options, _ = parser.parse_known_args()
walk, steps = random.Random(options.seed), int(options.steps)
rows = [["scenario", "algorithm", "variant", "seed", "iteration", "step", "fps", "episode_return", "episode_cost"]]
for i in range(1, 11):
    run = [options.scenario, options.algorithm, options.variant, options.seed]
    rows.append([*run, i, steps * i // 10, 1000, 10 * i + walk.gauss(0, 1), 10 + walk.random()])
with Path(options.output, "metrics.csv").open("w", newline="") as file:
    csv.writer(file, lineterminator="\n").writerows(rows)
