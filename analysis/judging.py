"""What a verdict is: one number or sentence of another's publication beside our number, and whether the two agree."""

from collections.abc import Mapping

import numpy as np

from analysis import captions
from analysis.results import WHOLE

COLUMNS = ["artefact", "scenario", "setting", "quantity", "ours", "paper", "tolerance", "source", "verdict", "reason"]
PASS, MISS, NOT_COMPARABLE = "pass", "miss", "not comparable"
CELLS, STATEMENTS, READINGS = "cells", "statements", "readings"  # kinds of what is compared
NOT_MEASURED = "not measured here"


def judged(
    what: Mapping[str, object], holds: bool, tolerance: str, source: str, obstacle: str = "", detail: str = ""
) -> dict[str, object]:
    """Return one verdict as a row of COLUMNS and `kind`.

    Args:
        what: `kind`, `artefact`, `scenario`, `setting`, `quantity`, `ours` and, if it gives a number, `paper`.
        holds: whether ours agrees within the tolerance.
        tolerance: the condition in words.
        source: where the paper's number or sentence stands.
        obstacle: why the two cannot be compared; empty if they can.
        detail: what else a reader should know of ours.
    """
    if np.isnan(what["ours"]):
        obstacle = obstacle or NOT_MEASURED
    verdict = NOT_COMPARABLE if obstacle else PASS if holds else MISS
    reason = "; ".join(filter(None, [obstacle, detail]))
    row = {"paper": float("nan"), **what, "tolerance": tolerance, "source": source}
    return row | {"verdict": verdict, "reason": reason}


def too_short(steps: float, needed: int) -> str:
    """Return why a run of `steps` steps cannot be compared with one of `needed`; empty if it can."""
    if steps >= WHOLE * needed:
        return ""
    return f"{captions.steps(int(steps))} here, {captions.steps(needed)} in the paper"
