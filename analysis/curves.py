"""Figures 2 to 6, `legacy`, `time_limit`, `nu_reading` and `kl_reading`: return and cost against environment steps.

Lines are medians over seeds, bands 25-75 % percentiles.

Figures 2 to 5 and those of the hands have one line per algorithm, Figure 6 one line per safety bound of MAFOCOPS; the
published bound is the default run there, and the other bounds are ours because the supplement does not print its own.
The other figures have two lines per algorithm: the default and, dashed, a variant: the errors of the original code, or
the other value of one setting. Where a task has several costs each has a row of panels, with its own bound.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import artefact, costs, results, statistics, style
from envs.scenarios import SAFETY_BOUND, SCENARIOS
from workflow.artefacts import EITHER, LEGACY
from workflow.layout import DEFAULT

SAFETY = "figure6"
# Figures that show variants beside the default, and what the names of these match.
BESIDE = {LEGACY: LEGACY} | {name: f"{setting}=.*" for name, (setting, _) in EITHER.items()}
VARIANTS = BESIDE | {SAFETY: f"{SAFETY_BOUND}=.*"}
HANDS, OTHER_FALL = "figure_hands", "figure_hands_fall"  # those of Safe MAIG's tasks
TITLES = {
    HANDS: "Safe MAIG",
    OTHER_FALL: "Safe MAIG",
    "foreign": "Tasks of other projects",
    "kl_reading": "KL reading",
}
SHORT_DASHES = (0, (2, 1))  # shorter than those of the safety bound
SUBJECTS = {
    SAFETY: " of MAFOCOPS under several safety bounds",
    "legacy": " with the suite's settings (solid) and with the variant legacy (dashed in the same colour)",
    "time_limit": " with the suite's treatment of time limits (solid) and with the named one (dashed)",
    "nu_reading": " with the suite's reading of line 9 of Algorithm 1 (solid) and with the named one (dashed)",
    "kl_reading": " with the suite's KL over an action's dimensions (solid) and with the named one (dashed)",
    OTHER_FALL: " under the other rule for a fallen object, with the length of the episodes (bottom)",
}
_HANDS = "Tasks after Safe MAIG's code, on other physics; the bound is the default of that code."
REMARKS = {
    HANDS: _HANDS,
    OTHER_FALL: f"{_HANDS} Where a fall ends the episode, dropping the object is the shortest way to a low cost.",
    SAFETY: "The supplement does not print its bounds: these are the published one of each scenario and ours.",
    "legacy": "The variant legacy switches on the errors Q1-Q8 of the original code: ratio by action dimension, factor "
    "M on the cost, stale cost estimate, one normaliser for reward and cost, one-sided Huber loss; in MACPO also a "
    "wrong sign in the KL, a wrong scale of the constraint, steps on minibatches. Time limits count as failures there, "
    "too.",
    "time_limit": "Bootstrap: the last state keeps its value. Failure: it is worth nothing, as in the original code.",
    "kl_reading": "Sum: the KL of eq. 17. Mean: the sum over the number of dimensions, in loss, gate and stop.",
    "nu_reading": "Minibatch: nu moves before every minibatch step. Iteration: once per agent and iteration.",
}
POINTS = 100  # points per curve at the most: a 10 million step run has 625 iterations
COST = "cost"
QUANTITIES = {"return": ("episode_return", "Episode return"), COST: ("episode_cost", "Episode cost")}
LENGTH = {"length": ("episode_length", "Episode length")}
SHORT = 1_000_000  # below this many steps the axis counts thousands

PANEL, GAP = (2.75, 1.95), (0.37, 0.22)  # inches: width and height of a panel; beside its names, and below it


@dataclass(frozen=True)
class Line:
    """One line of every panel: its value in the column that tells lines apart, legend text, colour, width and style."""

    key: object
    label: str
    colour: str
    width: float = 1.4
    style: str | tuple = "-"


def algorithm_lines(algorithms: Iterable[str]) -> list[Line]:
    """Return one line per distinct algorithm in the order of the legend, MAFOCOPS a little wider."""
    colours = style.colours(algorithms)
    return [Line(key, results.label(key), colour, 1.9 if key == "mafocops" else 1.4) for key, colour in colours.items()]


def curves(frame: pd.DataFrame, line: str, quantities: Mapping[str, tuple[str, str]] = QUANTITIES) -> pd.DataFrame:
    """Return median and 25-75 % percentiles over the seeds on a common step grid.

    Each point is the mean of a run over one bin of steps, at most POINTS bins, then the percentiles over runs.

    Args:
        frame: rows of metrics files as from `results.read`.
        line: column whose values tell the lines apart.
        quantities: column and title of what is shown, by name.

    Returns:
        columns `scenario`, `line`, `quantity`, `step` (end of the bin), `median`, `low`, `high`, `seeds`, `bound`.
    """
    parts = []
    for (scenario, key), group in frame.groupby(["scenario", line], sort=line == "algorithm", observed=True):
        runs = results.by_run(group, "step", *(column for column, _ in quantities.values()))
        points = min(POINTS, max(len(steps) for steps, *_ in runs))
        edges = np.round(np.linspace(0, group["step"].max(), points + 1))
        for index, quantity in enumerate(quantities, start=1):
            binned = [statistics.bin_means(run[0], run[index], edges) for run in runs]
            part = statistics.percentiles(np.stack(binned)).assign(step=edges[1:].astype(int))
            parts.append(part.assign(scenario=scenario, line=key, quantity=quantity, bound=group["bound"].iloc[0]))
    columns = ["scenario", "line", "quantity", "step", "median", "low", "high", "seeds", "bound"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def draw(
    drawn: pd.DataFrame,
    columns: Sequence[str],
    lines: Sequence[Line],
    quantities: Mapping[str, tuple[str, str]] = QUANTITIES,
) -> Figure:
    """Draw the panels of a figure: `columns` are scenarios, rows quantities, the first line lies on top."""
    margin = max(map(style.width, [line.label for line in lines] + ["bound 100"]))
    figure, axes = style.panels(len(quantities), max(len(columns), 1), PANEL, (margin + GAP[0], GAP[1]))
    unit, name = (1e6, "millions") if drawn.empty or drawn["step"].max() >= SHORT else (1e3, "thousands")
    drawn = drawn.assign(x=drawn["step"] / unit)
    for column, scenario in enumerate(columns or [""]):
        for axis, (quantity, (_, title)) in zip(axes[:, column], quantities.items(), strict=True):
            _draw_panel(axis, drawn[(drawn["scenario"] == scenario) & (drawn["quantity"] == quantity)], lines)
            axis.set_ylabel(title if column == 0 else "")
        axes[0, column].set_title(SCENARIOS[scenario].title if scenario else "")
        axes[-1, column].set_xlabel(f"Environment steps ({name})")
    figure.align_ylabels(axes[:, 0])
    return figure


def _draw_panel(axis: Axes, panel: pd.DataFrame, lines: Sequence[Line]) -> None:
    """Draw one quantity of one scenario: medians, their bands where there are several seeds, the bound of a cost."""
    axis.locator_params(nbins=5)
    if panel["median"].isna().all():
        style.say(axis, "nothing to show")
        return
    for line in reversed(lines):
        curve = panel[panel["line"] == line.key]
        stroke = {"color": line.colour, "linewidth": line.width, "linestyle": line.style}
        axis.plot(curve["x"], curve["median"], **stroke, solid_capstyle="round")
        if curve["seeds"].max() > 1:
            axis.fill_between(curve["x"], curve["low"], curve["high"], color=line.colour, alpha=0.18, linewidth=0)
    axis.set_xlim(0, panel["x"].max())
    ends = _ends(panel, lines)
    if panel["quantity"].str.startswith(COST).all():
        bounds = panel.drop_duplicates("bound").set_index("line")["bound"]
        for line in lines:  # a bound that all share is drawn once: overlaid dashes look solid in print
            if line.key in bounds.index:
                axis.axhline(bounds[line.key], **style.DASHED | ({"color": line.colour} if len(bounds) > 1 else {}))
        axis.set_ylim(bottom=0)
        ends += [(panel["x"].max(), bound, f"bound {bound:g}", style.INK) for bound in bounds if len(bounds) == 1]
    style.at_ends(axis, ends)


def _ends(panel: pd.DataFrame, lines: Sequence[Line]) -> list[tuple[float, float, str, str]]:
    """Return where each curve of a panel ends, with its name and colour."""
    lasts = panel.dropna(subset="median").groupby("line", observed=True)[["x", "median"]].last()
    return [(*lasts.loc[line.key], line.label, line.colour) for line in lines if line.key in lasts.index]


def _select(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, str]:
    """Return the rows a figure shows and the column that tells its lines apart."""
    variant, algorithm = frame["variant"].astype(str), frame["algorithm"].astype(str)
    if name == OTHER_FALL:
        return frame[variant.str.startswith("fall=")], "algorithm"
    default = variant.eq(DEFAULT)
    if name in BESIDE:
        frame = frame.assign(setting=algorithm.where(default, algorithm + " " + variant.str.split("=").str[-1]))
    shown = frame[default | variant.str.fullmatch(VARIANTS.get(name, DEFAULT))]
    if name == SAFETY:
        return shown[shown["algorithm"].eq("mafocops")], "bound"
    return shown, "setting" if name in BESIDE else "algorithm"


def _lines(drawn: pd.DataFrame, name: str) -> list[Line]:
    """Return the lines in legend order: algorithms as everywhere, bounds from the strictest on."""
    keys = drawn["line"].unique()
    if name == SAFETY:
        bounds = sorted(keys)
        return [Line(b, f"trained at {b:g}", c, 1.6) for b, c in zip(bounds, style.graded(len(bounds)), strict=True)]
    if name in BESIDE:
        lines = []
        for plain in algorithm_lines(key.partition(" ")[0] for key in keys):
            others = [key for key in keys if key.startswith(f"{plain.key} ")]
            labels = [key.replace(plain.key, plain.label, 1) for key in others]
            lines += [
                plain,
                *(
                    replace(plain, key=k, label=text, style=SHORT_DASHES)
                    for k, text in zip(others, labels, strict=True)
                ),
            ]
        return [line for line in lines if line.key in keys]
    return algorithm_lines(keys)


def _by_cost(frame: pd.DataFrame, line: str, quantities: Mapping) -> tuple[pd.DataFrame, Mapping]:
    """Return `curves` and the quantities it shows: in place of the cost each of several."""
    found = {" ".join(filter(None, [COST, name])): each for name, each in costs.each(frame)}
    if found.keys() == {COST}:
        return curves(frame, line, quantities), quantities
    column, title = quantities[COST]
    each = {key: (column, key.replace(COST, title, 1)) for key in found}
    others = {key: what for key, what in quantities.items() if key != COST}
    parts = [curves(frame, line, others), *(curves(found[key], line, {key: each[key]}) for key in found)]
    shown = [(key, {key: what} if key != COST else each) for key, what in quantities.items()]
    return pd.concat(parts, ignore_index=True), {key: what for _, part in shown for key, what in part.items()}


def _says(name: str, drawn: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Return what is shown."""
    title = name.capitalize().replace("_", " ") if name in BESIDE else name.replace("figure", "Figure ")
    title, where = TITLES.get(name, title), ("top", "middle" if name == OTHER_FALL else "bottom")
    if drawn["quantity"].str.startswith(f"{COST} ").any():
        where = ("top", "below, each cost by itself")
    what = "Episode return ({}) and cost ({})".format(*where) + SUBJECTS.get(name, "")
    what += "".join(f", {variant}" for variant in runs["variant"].unique() if name == OTHER_FALL)
    dashes = {SAFETY: "dashed in the same colour"}.get(name, "dashed in grey" if name in BESIDE else "dashed")
    single = runs.groupby(["scenario", "algorithm", "variant"], observed=True).size().max() == 1
    spread = "one seed, so there is no band" if single else "lines: median over seeds, bands: 25-75 % percentiles"
    spread += "" if drawn.empty else f", each point a mean over {artefact.steps(int(drawn['step'].min()))}"
    return f"{title}. {what}; {spread}; {dashes}: safety bound."


def make(name: str, paths: Sequence[str]) -> artefact.Artefact:
    """Return one of the figures of metrics files; those of other algorithms or variants are ignored.

    Scenarios of which no run is left get no column but a sentence; with nothing at all to show, empty panels say so
    better than a missing file.
    """
    frame = results.read(paths)
    selected, line = _select(frame, name)
    runs, missing = results.runs(selected), results.missing(paths, frame)
    quantities = QUANTITIES | (LENGTH if name == OTHER_FALL else {})
    drawn, quantities = _by_cost(selected, line, quantities)
    present = [scenario for scenario in SCENARIOS if scenario in set(runs["scenario"])]
    absent = [scenario for scenario in results.scenarios_of(missing) if scenario not in present]
    titles = ", ".join(SCENARIOS[scenario].title for scenario in absent)
    where = ", so without a column" if present else ""
    remarks = [REMARKS.get(name, ""), f"Not run{where}: {titles}." if absent else ""]
    figure = draw(drawn, present or absent, _lines(drawn, name), quantities)
    return artefact.Artefact(drawn.assign(figure=name), _says(name, drawn, runs), runs, missing, remarks, figure=figure)
