"""The trust-region step of MACPO: a linear objective and C linear constraints inside a quadratic ball.

    minimise g . s   subject to   c_j + b_j . s <= 0 for every cost j,   s . H s / 2 <= delta.

With one cost this is CPO's problem (Achiam et al. 2017) and the solution below is CPO's, cases and all. With several
it is solved exactly too: a convex problem whose optimum is the only point that satisfies the Karush-Kuhn-Tucker
conditions, found by trying every set of active constraints (2^C of them; C is 1 or 2 here).
"""

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

RECOVERY, REPAIR, BOUNDARY, FREE = 0, 1, 2, 3  # see `solve`
TINY = 1e-8


class Solution(NamedTuple):
    """Weights of the step s = -(v + nu . w) / lam; a recovery step is s = -nu . w."""

    case: int
    lam: float
    nu: np.ndarray  # (C,)


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], b: Tensor, iterations: int = 10, tolerance: float = 1e-10
) -> Tensor:
    """Return x (P,) with `product(x)` close to b (P,), for a symmetric positive definite `product`."""
    x, residual = torch.zeros_like(b), b.clone()
    direction, squared = b.clone(), b @ b
    for _ in range(iterations):
        if squared < tolerance:
            break
        image = product(direction)
        step = squared / (direction @ image)
        x += step * direction
        residual -= step * image
        previous, squared = squared, residual @ residual
        direction = residual + squared / previous * direction
    return x


def solve(q: float, r: np.ndarray, s: np.ndarray, c: np.ndarray, delta: float) -> Solution:
    """Return the optimal multipliers of the problem above.

    Args:
        q: g . H^-1 g.
        r: b_j . H^-1 g (C,).
        s: b_j . H^-1 b_k (C, C).
        c: constraint values at the present policy (C,); positive means violated.
        delta: radius.

    Returns:
        The solution with its case: FREE, no constraint binds; BOUNDARY, some bind and all hold now; REPAIR, some are
        violated now and the step mends them; RECOVERY, no point of the ball satisfies all: go down the violated
        costs' sum.
    """
    for size in range(len(c) + 1):
        for active in map(list, combinations(range(len(c)), size)):
            found = _stationary(q, r, s, c, delta, active)
            if found is not None:
                lam, nu = found
                case = FREE if size == 0 else REPAIR if (c >= 0).any() else BOUNDARY
                return Solution(case, lam, nu)
    violated = (c > 0).astype(float)
    curvature = violated @ s @ violated
    return Solution(RECOVERY, 1.0, violated * (np.sqrt(2 * delta / curvature) if curvature > TINY else 0.0))


def _stationary(
    q: float, r: np.ndarray, s: np.ndarray, c: np.ndarray, delta: float, active: list[int]
) -> tuple[float, np.ndarray] | None:
    """Return (lam, nu) of the KKT point with these constraints active, or None if there is none."""
    inner = s[np.ix_(active, active)]
    if active and np.linalg.eigvalsh(inner)[0] <= TINY * max(1.0, inner.max()):
        return None
    solved = np.linalg.solve(inner, np.stack([r[active], c[active]], 1)) if active else np.zeros((0, 2))
    numerator = q - r[active] @ solved[:, 0]  # A: what of g is left beside the active constraints
    denominator = 2 * delta - c[active] @ solved[:, 1]  # B: what of the ball is left on the active boundary
    if denominator <= 0:
        return None
    lam = np.sqrt(max(numerator, TINY**2) / denominator)
    nu = np.zeros(len(c))
    nu[active] = lam * solved[:, 1] - solved[:, 0]
    value = c - (r + s @ nu) / lam  # c_j + b_j . s at the candidate
    slack = np.delete(value, active)
    return (lam, nu) if (nu >= 0).all() and (slack <= 1e-10 * (1 + np.abs(np.delete(c, active)))).all() else None
