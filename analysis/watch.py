"""A live table of all runs of a suite, for a terminal, also over ssh.

    python -m analysis.watch results/paper [--once]

Reads what `workflow.progress` reads: plan.json and the last line of each metrics file. It never writes and can be
started and ended (Ctrl-C) at any time. On a terminal it redraws in place and shows what fits: runs under way and failed
ones each, the others summed up; elsewhere, or with --once, it prints all runs and ends. Return and cost are the last
iteration's, each cost beside its bound: `44.0 > 30` is above it. The states are those of workflow/progress.py.
"""

import contextlib
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from analysis.files import Parser, command
from workflow import layout, progress
from workflow.progress import Cost, Run

INTERVAL = 2.0  # seconds between two redraws
LEAST = 72  # columns that a table has; of a narrower terminal the right ones are cut off
LISTED = {"running": "green", "failed": "bold red", "stalled": "yellow"}  # run by run, whatever the height
STYLES = LISTED | {"complete": "", "evaluated": "", "waiting": "dim"}


def lines(runs: list[Run], width: int, height: int | None = None) -> list[Text]:
    """Return the table of `runs` as lines of at most `width` columns, at most `height` of them unless that is None."""
    ordered = sorted(runs, key=lambda run: list(STYLES).index(run.state))
    if height is None or len(runs) < height:
        whole = _listed(ordered, width)
        if height is None or len(whole) <= height:
            return whole
    busy = _listed([run for run in ordered if run.state in LISTED], width)
    rest = [run for run in runs if run.state not in LISTED]
    sums = _sums(rest, ("scenario", "algorithm"), width)
    if len(busy) + len(sums) > height:
        sums = _sums(rest, ("scenario",), width)
    busy = _cut(busy, max(height - len(sums), height // 3))
    return busy + _cut(sums, height - len(busy))


def _cut(table: list[Text], height: int) -> list[Text]:
    """Return a table's first lines and, if there are more than `height`, say so in the last."""
    if len(table) <= height:
        return table
    kept = table[: max(height - 1, 0)]
    return [*kept, Text(f"... {len(table) - len(kept)} more lines: --once prints them", "dim")][:height]


def _table(columns: Iterable[str], width: int, rows: Iterable[tuple[str | Text, ...]]) -> list[Text]:
    """Return the lines of a table whose second column wraps; those after it are numbers. A narrow terminal cuts it."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), width=max(width, LEAST), header_style="bold")
    first, second, *others = columns
    table.add_column(first, no_wrap=True)
    table.add_column(second, ratio=1, overflow="fold")
    for name in others:
        table.add_column(name, no_wrap=True, justify="right")
    for row in rows:
        table.add_row(*row)
    rendered = Console(width=max(width, LEAST)).render_lines(table, pad=False)
    found = [Text.assemble(*((part.text, part.style or "") for part in line)) for line in rendered]
    for line in found:
        line.truncate(width)
    return found


def _listed(runs: list[Run], width: int) -> list[Text]:
    """Return the lines of a table with a row per run."""
    return _table(("State", "Run", "Step", "Return", "Cost", "FPS", "Left"), width, map(_row, runs))


def _row(run: Run) -> tuple[str | Text, ...]:
    """Return the cells of one run."""
    step = "-" if run.step is None else f"{_short(run.step)} {100 * run.step / run.steps:3.0f}%"
    return (
        Text(f"{run.state:<9}", STYLES[run.state]),
        run.name,
        step,
        _decimal(run.episode_return),
        Text(_told(run.costs), "red" if any(map(_above, run.costs)) else ""),
        "-" if run.fps is None else f"{run.fps:.0f}",
        progress.duration(run.left) if run.left is not None and run.state == "running" else "-",
    )


def _sums(runs: list[Run], keys: tuple[str, ...], width: int) -> list[Text]:
    """Return a line per group of runs, complete or waiting: how many are complete, and the medians of their main runs.

    Main runs have the variant `default`: others may have another bound. Of several algorithms together medians would
    mean nothing.
    """
    if not runs:
        return []
    medians = ("Return", "Cost (medians)") if len(keys) > 1 else ()
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(" ".join(getattr(run.place, key) for key in keys), []).append(run)
    rows = [(title, *_sum(group)[: 1 + len(medians)]) for title, group in groups.items()]
    return _table(("All others", "Runs", *medians), width, rows)


def _sum(group: list[Run]) -> tuple[str, str, str]:
    """Return how many runs of a group are complete and evaluated, and medians of return and cost, as text."""
    complete = [run for run in group if run.state != "waiting"]
    evaluated = sum(run.state == "evaluated" for run in group)
    states = f"{len(complete)} of {len(group)} complete" + (f", {evaluated} evaluated" if evaluated else "")
    main = [run for run in complete if run.place[::3] == (layout.TRAINING, layout.DEFAULT)]
    each = zip(*(run.costs for run in main if len(run.costs) == len(main[0].costs)), strict=True)
    costs = [named[0]._replace(value=_median(cost.value for cost in named)) for named in each]
    return (
        states,
        _decimal(_median(run.episode_return for run in main)),
        _told(costs),
    )


def _median(values: Iterable[float | None]) -> float | None:
    """Return the median of those values that are known."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


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


def _above(cost: Cost) -> bool:
    """Return whether a cost is known to be above its bound."""
    return None not in cost and cost.value > cost.bound


def _told(costs: Iterable[Cost]) -> str:
    """Return costs beside their bounds; `>` marks those above, also without colours."""
    texts = []
    for cost in costs:
        beside = "" if None in cost else f" {'>' if _above(cost) else '<='} {cost.bound:g}"
        texts.append(f"{cost.name} {_decimal(cost.value)}{beside}".lstrip())
    return ", ".join(texts) or "-"


def screen(folder: Path, width: int, height: int | None) -> Group:
    """Return the whole picture: the folder and the time, how far the suite is, and the table."""
    now = time.time()
    runs, since = progress.read(folder / progress.PLAN)
    said = progress.line(folder / progress.PLAN, now)
    head = [Text(f"{folder}  {time.strftime('%H:%M:%S', time.localtime(now))}"[:width]), Text(said[:width], "bold")]
    seen = [progress.look(run, since, now) for run in runs]
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
