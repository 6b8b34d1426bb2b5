"""How often training is above the bound, run by run."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import seaborn as sns

from analysis import artefact, results, style


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return the figure of metrics files: one point per run, the share of its iterations above the bound."""
    frame = results.read(paths)
    above = frame.assign(above=frame["violation"] > 0).groupby(results.IDENTITY, observed=True)["above"]
    shares = above.mean().reset_index()
    style.use()
    figure, axis = plt.subplots(figsize=(4.5, 2.6), layout="constrained")
    look = {"size": 7, "alpha": 0.7, "jitter": False, "legend": False, "palette": style.colours(shares["algorithm"])}
    sns.stripplot(shares, x="above", y="algorithm", hue="algorithm", ax=axis, **look)
    axis.set(xlim=(-0.02, 1.02), xlabel="Share of iterations above the bound", ylabel="")
    axis.set_yticks(axis.get_yticks(), [results.label(text.get_text()) for text in axis.get_yticklabels()])
    runs, failed = results.runs(frame), results.missing(paths, frame)
    return artefact.Artefact(shares, "Violations in training, a point for each run.", runs, failed, figure=figure)
