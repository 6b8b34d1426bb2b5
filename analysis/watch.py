"""A live table of all runs of a suite, for a terminal, also over ssh.

    python -m analysis.watch results/paper [--once]

Reads what `workflow.progress` reads: plan.json and the last line of each metrics file. It never writes and can be
started and ended (Ctrl-C) at any time. On a terminal it redraws in place and shows what fits: runs under way and failed
ones each, the others summed up; elsewhere, or with --once, it prints all runs and ends. Return and cost are the last
iteration's, the cost beside its bound: `44.0 > 30` is above it. The states are those of analysis/run_states.py.
"""

import contextlib
import statistics
import textwrap
import time
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from analysis.files import Parser, command
from analysis.run_states import Run, look
from workflow import progress

INTERVAL = 2.0  # seconds between two redraws
STYLES = {
    "running": "green",
    "failed": "bold red",
    "stalled": "yellow",
    "complete": "",
    "evaluated": "",
    "waiting": "dim",
}
LISTED = ("running", "failed", "stalled")  # run by run, whatever the height


def lines(runs: list[Run], width: int, height: int | None = None) -> list[Text]:
    """Return the table of `runs` as lines of at most `width` columns, at most `height` of them unless that is None."""
    order = {state: place for place, state in enumerate(STYLES)}
    ordered = sorted(runs, key=lambda run: order[run.state])
    head = [_columns(["State", "Run", "Step", "Return", "Cost", "FPS", "Left"], width, "bold")[0]]
    whole = head + [line for run in ordered for line in _run(run, width)]
    if height is None or len(whole) <= height:
        return whole
    listed = [run for run in ordered if run.state in LISTED]
    rest = [run for run in runs if run.state not in LISTED]
    busy = head + [line for run in listed for line in _run(run, width)]
    for keys in (("scenario", "algorithm"), ("scenario",)):
        sums = _sums(rest, keys, width)
        if len(busy) + len(sums) <= height:
            return busy + sums
    busy = _cut(busy, max(height - len(sums), height // 3))
    return busy + _cut(sums, height - len(busy))


def _cut(table: list[Text], height: int) -> list[Text]:
    """Return a table's first lines and, if there are more than `height`, say so in the last."""
    if len(table) <= height:
        return table
    kept = table[: max(height - 1, 0)]
    return [*kept, Text(f"... {len(table) - len(kept)} more lines: --once prints them", "dim")][:height]


def _run(run: Run, width: int) -> list[Text]:
    """Return the lines of one run."""
    step = "-" if run.step is None else f"{_short(run.step)} {100 * run.step / run.steps:3.0f}%"
    left = progress.duration(run.left) if run.left is not None and run.state == "running" else "-"
    fps = "-" if run.fps is None else f"{run.fps:.0f}"
    cells = [run.state, run.name, step, _decimal(run.episode_return), _cost(run.cost, run.bound), fps, left]
    found = _columns(cells, width)
    found[0].stylize(STYLES[run.state], 0, len(run.state))
    if run.cost is not None and run.bound is not None and run.cost > run.bound:
        found[0].highlight_words([_cost(run.cost, run.bound)], "red")
    return found


def _columns(cells: list[str], width: int, style: str = "") -> list[Text]:
    """Return state, name, step, return, cost, FPS and time left in columns; a long name goes on below."""
    state, name, *others = cells
    room = max(width - 52, 20)
    parts = textwrap.wrap(name, room) or [""]
    right = "".join(f" {cell:>{size}}" for cell, size in zip(others, (10, 6, 10, 5, 6), strict=True))
    first = f"{state:<9} {parts[0]:<{room}}{right}"
    return [Text(first[:width], style), *(Text(f"{'':<9} {part}"[:width], style) for part in parts[1:])]


def _sums(runs: list[Run], keys: tuple[str, ...], width: int) -> list[Text]:
    """Return a line per group of runs, complete or waiting: how many are complete, and the medians of their main runs.

    Main runs have the variant `default`: others may have another bound.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(" ".join(getattr(run, key) for key in keys), []).append(run)
    numbers = len(keys) > 1  # of several algorithms together they would mean nothing
    found = [("All others", "Runs", *(("Return", "Cost (medians)") if numbers else ("", "")))]
    for name, group in groups.items():
        complete = [run for run in group if run.state != "waiting"]
        evaluated = sum(run.state == "evaluated" for run in group)
        states = f"{len(complete)} of {len(group)} complete" + (f", {evaluated} evaluated" if evaluated else "")
        main = [run for run in complete if run.variant == "default"]
        bound = main[0].bound if main else None
        cells = (_decimal(_median(main, "episode_return")), _cost(_median(main, "cost"), bound))
        found.append((name, states, *(cells if numbers else ("", ""))))
    table = [f"{name:<26} {states:<31} {value:>6} {cost:>14}" for name, states, value, cost in found]
    return [Text(line[:width], "" if place else "bold") for place, line in enumerate(table)] if runs else []


def _median(runs: list[Run], field: str) -> float | None:
    """Return the median of a field over the runs that have it."""
    values = [value for run in runs if (value := getattr(run, field)) is not None]
    return statistics.median(values) if values else None


def _decimal(value: float | None) -> str:
    """Return a number with a decimal where there is room for one."""
    if value is None:
        return "-"
    return f"{value:.1f}" if abs(value) < 99.95 else f"{value:.0f}"


def _short(step: float) -> str:
    """Return a number of steps in at most five characters: 96k, 1.26M."""
    if step >= 999_500:
        return f"{step / 1e6:.3g}M"
    return f"{step / 1e3:.3g}k" if step >= 1000 else f"{step:.0f}"


def _cost(cost: float | None, bound: float | None) -> str:
    """Return a cost beside its bound; `>` marks the one above it, also without colours."""
    if cost is None or bound is None:
        return _decimal(cost)
    return f"{_decimal(cost)} {'>' if cost > bound else '<='} {bound:g}"


def screen(folder: Path, width: int, height: int | None) -> Group:
    """Return the whole picture: the folder and the time, how far the suite is, and the table."""
    now = time.time()
    runs, since = progress.read(folder / progress.PLAN)
    said = progress.line(folder / progress.PLAN, now)
    head = [Text(f"{folder}  {time.strftime('%H:%M:%S', time.localtime(now))}"[:width]), Text(said[:width], "bold")]
    seen = [look(run, since, now) for run in runs]
    return Group(*head, *lines(seen, width, None if height is None else height - len(head)))


def main() -> None:
    """Command line."""
    parser = Parser(prog="python -m analysis.watch", description="Watch the runs of a suite.")
    parser.add_argument("folder", type=Path, help="such as results/paper")
    parser.add_argument("--once", action="store_true", help="print the table of all runs and end")
    options = parser.parse_args()
    console = Console(highlight=False)
    if options.once or not console.is_terminal or console.is_dumb_terminal:
        console.print(screen(options.folder, console.width, None))
        return
    with contextlib.suppress(KeyboardInterrupt):
        first = screen(options.folder, console.width, console.height)  # a wrong folder is refused before it is cleared
        with Live(first, console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(screen(options.folder, console.width, console.height), refresh=True)
                time.sleep(INTERVAL)


if __name__ == "__main__":
    command(main)
