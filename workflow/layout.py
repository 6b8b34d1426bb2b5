"""Where a suite keeps its runs: the only module that knows its folders.

    <suite>/runs/<scenario>/<algorithm>/<variant>/seed<k>/        a training run
    <suite>/efficiency/<scenario>/<algorithm>/<variant>/repeat<k>/  a timing run of Tables 1 and 2
    <suite>/benchmark/<scenario>/<algorithm>/                     a measurement of speed

A run that was set aside (`seed0.stale-1`, see workflow/attempt.py) is none: neither `place_of` nor `found` names it.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath
from typing import NamedTuple

TRAINING, TIMING, BENCHMARK = "runs", "efficiency", "benchmark"  # kinds, and names of their folders
FOLDERS = {
    TRAINING: "runs/{scenario}/{algorithm}/{variant}/seed{seed}",
    TIMING: "efficiency/{scenario}/{algorithm}/{variant}/repeat{seed}",
    BENCHMARK: "benchmark/{scenario}/{algorithm}",
}
METRICS, EVALUATION, MEASUREMENT = "metrics.csv", "evaluation.csv", "measurement.csv"
DEFAULT = "default"  # the variant that has the suite's settings as they are

# Between settings, and between the values of one. No comma: a job that Snakemake submits to a cluster is named by its
# wildcards with commas between them, so one of a variant with a comma would make another run.
AND = "+"


class Place(NamedTuple):
    """The run that a folder is for; measurements have no variant of their own, and no seed."""

    kind: str
    scenario: str
    algorithm: str
    variant: str = DEFAULT
    seed: int = 0

    @property
    def folder(self) -> str:
        """Return the folder in that of the suite: `runs/ant_2x4/happo/default/seed0`."""
        return FOLDERS[self.kind].format_map(self._asdict())

    @property
    def setting(self) -> str:
        """Return the name of all runs that differ in the seed alone: `ant_2x4/happo/default`."""
        return self.folder.split("/", 1)[1].rpartition("/")[0]

    @property
    def last(self) -> str:
        """Return what tells the runs of a setting apart: `seed0`, of timing runs `repeat0`."""
        return self.folder.rpartition("/")[2]

    def file(self, suite: str | Path, name: str = METRICS) -> str:
        """Return the path of a file of the run in a suite's folder."""
        return f"{suite}/{self.folder}/{name}"


def variant_with(settings: dict[str, str]) -> str:
    """Return the variant that has these settings, in any order, written as on a command line: `hidden=64+64+lam=2`."""
    return AND.join(f"{name}={value}" for name, value in sorted(settings.items())).replace(",", AND)


def settings_in(variant: str) -> dict[str, str]:
    """Return the settings that a variant names, as on a command line; `variant_with` is the inverse."""
    pairs = re.split(rf"{re.escape(AND)}(?=[a-z]\w*=)", variant) if "=" in variant else []
    values = rf"(?<!\de){re.escape(AND)}"  # that of 1e+5 is part of a number
    return {name: re.sub(values, ",", value) for name, _, value in (pair.partition("=") for pair in pairs)}


@cache
def _pattern(kind: str) -> re.Pattern:
    """Return what matches the folder of a run: a group for the suite's folder, and one for each part of the place."""
    inside = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(FOLDERS[kind]))
    return re.compile(rf"(?P<suite>.*/)?{inside.replace('(?P<seed>[^/]+)', r'(?P<seed>[0-9]+)')}")


def split(path: str | PurePath) -> tuple[Path, Place]:
    """Return the suite's folder and the run that a file belongs to.

    Raises:
        ValueError: it lies in no run's folder.
    """
    folder = str(PurePath(path).parent)
    for kind in FOLDERS:
        if found := _pattern(kind).fullmatch(folder):
            parts = {name: text for name, text in found.groupdict().items() if name in Place._fields}
            return Path(found["suite"] or "."), Place(kind, **parts)._replace(seed=int(parts.get("seed", 0)))
    raise ValueError(f"{path} lies in no run's folder: those are {', '.join(FOLDERS.values())}")


@cache  # a suite asks for the same thousands of files again and again
def place_of(path: str | PurePath) -> Place:
    """Return the run that a file belongs to.

    Raises:
        ValueError: it lies in no run's folder.
    """
    return split(path)[1]


def place_if_any(path: str | PurePath) -> Place | None:
    """Return the run that a file belongs to; None if it lies in no run's folder."""
    try:
        return place_of(path)
    except ValueError:
        return None


def found(suite: Path, kind: str = TRAINING, name: str = METRICS) -> Iterator[tuple[Place, Path]]:
    """Yield each run of a kind in a suite's folder that has the file `name`, with that file, in the order of names."""
    for path in sorted(suite.glob(f"{re.sub('{.*?}', '*', FOLDERS[kind])}/{name}")):
        if _pattern(kind).fullmatch(str(path.parent)):
            yield place_of(path), path
