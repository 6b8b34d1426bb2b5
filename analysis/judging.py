"""What agreement is: one number or sentence of another's publication beside ours, and the words that decide.

Every number and sentence that is judged, its tolerance, and the reason for that tolerance is a row of paper/claims.csv.
"""

import operator
import re
from functools import cache
from typing import NamedTuple

import numpy as np

from analysis import artefact, results
from analysis.results import WHOLE

COLUMNS = ["artefact", "scenario", "setting", "quantity", "ours", "low", "high", "paper", "tolerance", "because"]
COLUMNS += ["source", "verdict", "reason"]
PASS, MISS, UNDECIDED, NOT_COMPARABLE = "pass", "miss", "undecided", "not comparable"
KINDS = {"cell": "cells", "reading": "readings"}  # measures of what is a number in print; all others are statements
NOT_MEASURED = "not measured here"
NAN = float("nan")
_NUMBER = re.compile(r"\d+\.?\d*|half")
_LIMITS = {"above": operator.gt, "more than": operator.gt, "at least": operator.ge, "at most": operator.le}
_LIMITS |= {"below": operator.lt}


class Claim(NamedTuple):
    """A row of paper/claims.csv: what is claimed `where` of which `subject`, how it is measured, and what decides.

    `where` holds artefacts or scenarios, `shown` what the verdict calls the measure and `plain` what its summary does,
    `because` the reason for the tolerance, or why nothing can decide where that is "none"; `sentence` quotes the
    source, or says it in short.
    """

    id: str
    where: str
    subject: str
    measure: str
    quantity: str
    shown: str
    plain: str
    tolerance: str
    because: str
    source: str
    sentence: str


@cache
def claims(*places: str) -> tuple[Claim, ...]:
    """Return the claims made for any of these artefacts and scenarios, or all of them, in the order of the file."""
    rows = [Claim(*row) for row in results.paper("claims").fillna("").astype(str).to_numpy()]
    return tuple(row for row in rows if not places or {*places} & {*row.where.split()})


def agrees(tolerance: str, ours: float, paper: float = NAN, low: float = NAN, high: float = NAN) -> bool:
    """Return whether our number, of the interval `low` to `high`, holds to the words of a tolerance in claims.csv.

    Raises:
        ValueError: these words mean nothing here.
    """
    numbers = [0.5 if text == "half" else float(text) for text in _NUMBER.findall(tolerance)]
    match _NUMBER.sub("#", tolerance):
        case "+-#, or inside our interval" | "+-# points, or inside our interval":
            return abs(ours - paper) <= numbers[0] or low <= paper <= high
        case "+-#% and +-# of reading":
            return abs(ours - paper) <= numbers[0] / 100 * abs(paper) + numbers[1]
        case "the paper's range # to #":
            return numbers[0] <= ours <= numbers[1]
        case "same sign":
            return (ours > 0) == (paper > 0)
        case "none":
            return False
        case words if numbers and words[:-2] in _LIMITS:
            return _LIMITS[words[:-2]](ours, numbers[0])
    raise ValueError(f"paper/claims.csv has the tolerance {tolerance!r}, which `analysis.judging` does not know")


def decided(claim: Claim, ours: float, paper: float, low: float, high: float) -> str:
    """Return PASS, MISS or, where the interval of a statement has an end on either side of its limit, UNDECIDED.

    An end that is not known (NaN) decides nothing. A number in print is decided by our number and its interval, as the
    words of its tolerance say.
    """
    if claim.measure in KINDS:
        return PASS if agrees(claim.tolerance, ours, paper, low, high) else MISS
    larger_is_better = agrees(claim.tolerance, np.inf)
    worst, best = (low, high) if larger_is_better else (high, low)
    if agrees(claim.tolerance, worst):
        return PASS
    return UNDECIDED if np.isnan(best) or agrees(claim.tolerance, best) else MISS


def judged(
    claim: Claim,
    where: tuple[str, str, str, str],
    ours: float,
    paper: float = NAN,
    interval: tuple[float, float] = (NAN, NAN),
    obstacle: str = "",
    detail: str = "",
) -> dict[str, object]:
    """Return one verdict as a row of COLUMNS, `kind`, `plain`, and whether our number alone `holds` to the tolerance.

    Args:
        claim: what is judged.
        where: artefact, scenario, setting, quantity.
        ours: our number; NaN where there is none.
        paper: the number in print; NaN where there is none.
        interval: of our number; of a statement both ends must be on one side of its limit to decide it.
        obstacle: why the two cannot be compared; empty if they can.
        detail: what else a reader should know of ours.
    """
    if np.isnan(ours):
        obstacle = obstacle or NOT_MEASURED
    verdict = NOT_COMPARABLE if obstacle else decided(claim, ours, paper, *interval)
    source = ": ".join(filter(None, [claim.source, claim.sentence]))
    reason = "; ".join(filter(None, [obstacle, detail]))
    values = [*where, ours, *interval, paper, claim.tolerance, claim.because, source, verdict, reason]
    return dict(zip(COLUMNS, values, strict=True)) | {
        "kind": KINDS.get(claim.measure, "statements"),
        "holds": bool(agrees(claim.tolerance, ours, paper, *interval)),
        "plain": claim.plain.format(subject=results.label(where[2])),
    }


def too_short(steps: float, needed: int) -> str:
    """Return why a run of `steps` steps cannot be compared with one of `needed`; empty if it can."""
    if steps >= WHOLE * needed:
        return ""
    return f"{artefact.steps(int(steps))} here, {artefact.steps(needed)} in the paper"
