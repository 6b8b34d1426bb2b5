"""The metrics of a suite for TensorBoard.

    python -m analysis.tensorboard results/paper [--output DIR] [--follow]
    tensorboard --logdir results/paper/tensorboard

Every training run becomes one of TensorBoard's, named by its folder, `<scenario>/<algorithm>/<variant>/seed<k>`; every
column of numbers becomes a scalar over environment steps. Each call writes all event files anew; with --follow it then
adds the rows that are new until Ctrl-C. A run that was made again or continued from a checkpoint is written anew, too.

Needs the package: `pip install -e '.[tensorboard]'`.
"""

import contextlib
import csv
import hashlib
import time
from pathlib import Path
from typing import NamedTuple

from analysis.files import Parser, command
from workflow import layout

INTERVAL = 10.0  # seconds between two looks at the files
NO_SCALARS = ("scenario", "algorithm", "variant", "seed", "iteration", "step")


class Position(NamedTuple):
    """The part of a metrics file that event files hold: its rows, bytes and their SHA-256."""

    rows: int
    size: int
    digest: bytes


class Adapter:
    """Copies new rows of metrics files into event files, one folder each."""

    def __init__(self, suite: Path, output: Path) -> None:
        """Copy the training runs of `suite` into `output`.

        Raises:
            ValueError: the package tensorboard is not installed.
        """
        try:
            from tensorboard.summary import Writer
        except ImportError:
            raise ValueError("the package tensorboard is missing: pip install -e '.[tensorboard]'") from None
        self.suite, self.output, self._make = suite, output, Writer
        self._copied: dict[Path, Position] = {}  # by folder, since this process began
        self._writers: dict[Path, Writer] = {}  # open ones: a new file for each row would be many

    def copy(self) -> int:
        """Copy what is new in all runs and return the number of rows."""
        found = layout.found(self.suite)
        return sum(self._copy_one(path, self.output / place.setting / place.last) for place, path in found)

    def _copy_one(self, metrics: Path, folder: Path) -> int:
        """Copy the new rows of one run and return their number; a line without its end is still being written."""
        try:
            data, ended = metrics.read_bytes(), metrics.stat().st_mtime
        except OSError:  # removed since the folder was listed: to be made again
            return 0
        data, known = data[: data.rfind(b"\n") + 1], self._copied.get(folder)
        if known is None or known.digest != hashlib.sha256(data[: known.size]).digest():
            self._forget(folder)
            known = Position(0, 0, b"")
        header, *rows = csv.reader(data.decode(errors="replace").splitlines()) if data else [[]]
        self._copied[folder] = Position(len(rows), len(data), hashlib.sha256(data).digest())
        if len(rows) == known.rows:
            self._close(folder)  # nothing came since the last look: its files need not stay open
            return 0
        if folder not in self._writers:
            folder.mkdir(parents=True, exist_ok=True)
            self._writers[folder] = self._make(str(folder))
        _add(self._writers[folder], [dict(zip(header, row, strict=False)) for row in rows], known.rows, ended, metrics)
        self._writers[folder].flush()
        return len(rows) - known.rows

    def _forget(self, folder: Path) -> None:
        """Delete the event files of a run that is to be written anew."""
        self._close(folder)
        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()

    def _close(self, folder: Path) -> None:
        if writer := self._writers.pop(folder, None):
            writer.close()

    def close(self) -> None:
        """Close all files."""
        for folder in list(self._writers):
            self._close(folder)


def _add(writer, rows: list[dict[str, str]], first: int, ended: float, metrics: Path) -> None:
    """Give the rows from number `first` on to a writer, the last at the time `ended` (epoch seconds)."""
    last = _number(rows[-1].get("wall_time"))
    for row in rows[first:]:
        step, spent = _number(row.get("step")), _number(row.get("wall_time"))
        if step is None:
            raise ValueError(f"{metrics} has a row without a number in column 'step': it is not a metrics file")
        moment = ended if last is None or spent is None else ended - (last - spent)
        for name, cell in row.items():
            if name not in NO_SCALARS and (value := _number(cell)) is not None:
                writer.add_scalar(name, value, int(step), wall_time=moment)


def _number(cell: str | None) -> float | None:
    """Return a cell as a number, None if it holds none."""
    try:
        return float(cell or "")
    except ValueError:
        return None


def main() -> None:
    """Command line."""
    parser = Parser(prog="python -m analysis.tensorboard", description="Write a suite's metrics for TensorBoard.")
    parser.add_argument("folder", type=Path, help="such as results/paper")
    parser.add_argument("--output", type=Path, help="for the event files; default: tensorboard/ in the suite's folder")
    parser.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    options = parser.parse_args()
    if not options.folder.is_dir():
        raise ValueError(f"{options.folder} is no folder: give that of a suite, such as results/paper")
    output = options.output or options.folder / "tensorboard"
    with contextlib.suppress(KeyboardInterrupt), contextlib.closing(Adapter(options.folder, output)) as adapter:
        print(f"{adapter.copy()} new rows in {output}; look at them with: tensorboard --logdir {output}", flush=True)
        while options.follow:
            time.sleep(INTERVAL)
            adapter.copy()


if __name__ == "__main__":
    command(main)
