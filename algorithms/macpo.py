"""MACPO (Gu et al. 2023): a constrained trust-region step for one agent after another.

Agent i_h solves  max E[ratio M]  s.t.  J_C + E[ratio A_c] <= d  and  KL(pi_k || pi) <= delta, to first order in
objective and constraint and second order in the KL: a natural-gradient step by conjugate gradients and CPO's dual,
then a line search on the true quantities. M is not applied to the costs (the constraint has none). The constraint and
the standardised cost advantage are brought to the same scale: c = (J_C - d) / (episode length * sigma_c). Several
costs: all constraints enter the dual at once, and the line search asks for each of them.

The step s solves

    minimise g . s   subject to   c_j + b_j . s <= 0 for every cost j,   s . H s / 2 <= delta.

With one cost this is CPO's problem (Achiam et al. 2017) and `solve` gives CPO's answer, cases and all. With several it
is solved exactly too: a convex problem whose optimum is the only point that satisfies the Karush-Kuhn-Tucker
conditions, found by trying every set of active constraints (2^C of them; C is 1 or 2 here).

g and b are means over the rows, and the step that they give is judged by the same g and b. Of 16 000 rows and 5 500
parameters that is mostly noise: g . H^-1 g is too large by trace(H^-1 cov(g)), so the step promises several times the
gain, and tens of times the mended cost, that it brings. `cross_fit` takes the noise out, see `without_noise`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .core.config import LEGACY
from .core.config import Config as CoreConfig
from .core.learner import Batch
from .core.policy import STD_SCALE, Actor, Gaussian

RECOVERY, REPAIR, BOUNDARY, FREE = 0, 1, 2, 3  # see `solve`
TINY = 1e-8


class Solution(NamedTuple):
    """Weights of the step s = -(v + nu . w) / lam; a recovery step is s = -nu . w."""

    case: int
    lam: float
    nu: np.ndarray  # (C,)


@dataclass(frozen=True)
class Config(CoreConfig):
    """Settings of MACPO; kl_threshold is Table 5's.

    Table 5's fraction_coef of 0.3 belongs to the original's forty steps an iteration, each of which takes its own
    minibatch for the trust region (Q6): there the noise of 400 samples hides the constraint. One step on all data
    uses the full one.
    """

    kl_threshold: float = 0.008  # delta
    fraction_coef: float = 1.0  # first trial step, as a part of the full one
    line_search_fraction: float = 0.5
    line_search_steps: int = 10
    cg_iterations: int = 10
    damping: float = 0.1  # H = Fisher matrix + damping * I
    trust_region: str = "iteration"  # iteration: one step on all data | minibatch: one on each minibatch (Q6)
    max_step_norm: float = math.inf  # the original caps the step's Euclidean norm at 0.5
    cross_fit: bool = False  # judge steps by what they bring on other rows: keeps the bound, learns slower

    # errors of the original code, see `VARIANTS`
    legacy_kl: bool = False  # Q1: the KL's log-std term has the wrong sign
    legacy_unsummed: bool = False  # Q2: ratio and M by action dimension instead of the joint probability
    legacy_factor_on_cost: bool = False  # Q3: M multiplies the cost advantage too
    legacy_constraint_scale: bool = False  # Q5: c = (J_C - d)(1 - gamma), whatever the unit of the cost advantage

    def __post_init__(self) -> None:
        """Refuse an unknown trust_region."""
        super().__post_init__()
        if self.trust_region not in ("minibatch", "iteration"):
            raise ValueError(f"trust_region={self.trust_region} is not valid: choose minibatch or iteration")


class MACPO:
    """Sequential constrained trust-region steps; keeps no multipliers between iterations."""

    Config = Config
    VARIANTS = {  # noqa: RUF012
        "legacy": LEGACY
        | {
            "trust_region": "minibatch",
            "fraction_coef": "0.3",
            "max_step_norm": "0.5",
            "legacy_kl": "true",
            "legacy_unsummed": "true",
            "legacy_factor_on_cost": "true",
            "legacy_constraint_scale": "true",
        }
    }
    sequential = True

    def __init__(self, actors: list[Actor], config: Config, costs: int, generator: torch.Generator) -> None:
        """Improve `actors` under C = `costs` constraints with minibatches drawn by `generator`."""
        self.actors, self.config, self.generator = actors, config, generator
        self.state: dict[str, np.ndarray] = {}

    def update_agent(self, i: int, batch: Batch) -> dict[str, float]:
        """Improve policy i on `batch`, whose advantage is M^{1:h}, and return means over its steps."""
        actor, size = self.actors[i], self.config.minibatch_size
        if self.config.trust_region == "iteration":
            size = len(batch.action)
        found = [self.step(actor, mini) for mini in batch.minibatches(size, self.generator)]
        return {name: float(np.mean([step[name] for step in found])) for name in found[0]}

    def step(self, actor: Actor, batch: Batch) -> dict[str, float]:
        """Take one trust-region step of `actor` on `batch` and return what it did."""
        config, rows = self.config, len(batch.action)
        policy = actor.policy(batch.observation)
        ratio = self.ratio(policy, batch)
        on_cost = batch.factor if config.legacy_factor_on_cost else np.ones_like(batch.factor)
        costs = [batch.like_log_prob(cost) * on_cost for cost in batch.cost_advantage.T]
        signals = np.stack([-batch.advantage, *costs])  # (1 + C, B): each mean(ratio * signal) is to be decreased
        slopes = signals * ratio / rows
        gradients = torch.stack([actor.finite(actor.gradient(policy, batch.action, s)) for s in slopes])

        def hessian(direction: Tensor) -> Tensor:
            product = actor.fisher_vector_product(policy, direction)
            if config.legacy_kl:
                sigmoid = torch.from_numpy(policy.std / STD_SCALE).to(direction.device)
                product[-len(sigmoid) :] += 2 * sigmoid * (1 - sigmoid) * direction[-len(sigmoid) :]
            return product.add_(direction, alpha=config.damping)

        def solved(vectors: Tensor) -> tuple[Tensor, np.ndarray]:
            natural = torch.stack([conjugate_gradient(hessian, x, config.cg_iterations) for x in vectors])
            return natural, (vectors @ natural.T).double().cpu().numpy()

        natural, products = solved(gradients)  # q, r, s of the dual in one matrix
        basis, c = np.eye(len(products)), self.constraint(batch)
        if config.cross_fit:
            signs = np.where(np.arange(rows) % 2, -1, 1).astype(
                np.float32
            )  # an even number of worlds: half against half
            differences = slopes * batch.like_log_prob(signs)
            halves = [actor.finite(actor.gradient(policy, batch.action, s)) for s in differences]
            basis, products = without_noise(products, solved(torch.stack(halves))[1])
        solution = solve(products[0, 0], products[1:, 0], products[1:, 1:], c, config.kl_threshold)
        weights = basis @ np.concatenate([[solution.case != RECOVERY], solution.nu]) / solution.lam
        step = torch.tensor(weights, dtype=natural.dtype, device=natural.device) @ natural
        step = step * min(1.0, config.max_step_norm / (float(step.norm()) + 1e-12))
        searched = self.line_search(actor, batch, policy, signals, step, solution, c)
        return diagnostics(solution, products, c, config.kl_threshold) | searched

    def ratio(self, policy: Gaussian, batch: Batch) -> np.ndarray:
        """Return the probability ratio to the policy that acted (B,)."""
        return np.exp(policy.log_prob(batch.action, not self.config.legacy_unsummed) - batch.log_prob)

    def constraint(self, batch: Batch) -> np.ndarray:
        """Return c (C,): the violation per step, in units of the standardised cost advantage."""
        if self.config.legacy_constraint_scale:
            return batch.violation * (1 - self.config.gamma)
        return batch.violation / batch.episode_length / (batch.cost_scale + 1e-5)

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")  # far outside the trust region: refused below
    def line_search(
        self,
        actor: Actor,
        batch: Batch,
        old: Gaussian,
        signals: np.ndarray,
        step: Tensor,
        solution: Solution,
        c: np.ndarray,
    ) -> dict[str, float]:
        """Shorten `step` until the trust region, the reward (where it must improve) and every cost agree; else stay.

        A cost may rise by its slack max(-c, 0), and a violated one may not rise.
        """
        config, start = self.config, actor.theta.clone()
        slack = np.maximum(-c, 0)
        divergence = misprinted_kl if config.legacy_kl else Gaussian.kl
        before = self.ratio(old, batch)
        for trial in range(config.line_search_steps):
            torch.add(start, step, alpha=-config.fraction_coef * config.line_search_fraction**trial, out=actor.theta)
            new = actor.policy(batch.observation, taped=False)
            kl = float(divergence(old, new).mean())
            gain = (self.ratio(new, batch) - before) * signals
            change = gain.reshape(len(signals), -1).sum(1) / len(batch.action)
            improved = change[0] < 0 or solution.case < BOUNDARY
            if kl <= config.kl_threshold and improved and (change[1:] <= slack).all():
                return {"line_search": float(trial), "accepted": 1.0, "step_kl": kl}
        actor.theta.copy_(start)
        return {"line_search": float(config.line_search_steps), "accepted": 0.0, "step_kl": 0.0}


def diagnostics(solution: Solution, products: np.ndarray, c: np.ndarray, delta: float) -> dict[str, float]:
    """Return the case as four indicators, the multipliers, and the dual's constants in CPO's letters."""
    q, r, s = products[0, 0], products[1:, 0], products[1:, 1:]
    inverse = np.linalg.pinv(s)
    constants = {"q": q, "r": r.mean(), "s": s.diagonal().mean(), "c": c.mean()}
    left = {"A": q - r @ inverse @ r, "B": 2 * delta - c @ inverse @ c}  # of g, and of the ball, beside the constraints
    multipliers = {"lam": solution.lam, "nu": solution.nu.mean()}
    cases = {f"case_{k}": solution.case == k for k in range(4)}
    return {name: float(value) for name, value in (cases | multipliers | constants | left).items()}


def without_noise(products: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the dual's constants as they would be if steps were judged by rows that they were not fitted to.

    The difference of the gradients of two independent halves of the rows has the noise of their mean and none of its
    signal, so `products - noise` is an unbiased estimate U of the gains along v and w. A step x v + y w then gains
    U (x, y) while its KL is still (x, y) . products (x, y) / 2: the same problem as before, in the plane of v and w.

    Args:
        products: (v, w) . H (v, w) (1 + C, 1 + C): q, r and s.
        noise: the same of half the difference between the two halves' gradients.

    Returns:
        a matrix whose columns are the natural gradients of the plane in terms of v and w, and q, r, s there.
    """
    value, vector = np.linalg.eigh((products - noise + (products - noise).T) / 2)
    gains = (vector * np.maximum(value, 0)) @ vector.T  # no direction may gain less than nothing both ways
    basis = np.linalg.pinv((products + products.T) / 2, rcond=1e-10, hermitian=True) @ gains
    return basis, gains @ basis


def misprinted_kl(old: Gaussian, new: Gaussian) -> np.ndarray:
    """Return the original code's "KL(old || new)" (B,), in which the log-std term has the wrong sign (Q1)."""
    shift = np.square(old.mean - new.mean) + np.square(old.std)
    return (np.log(old.std / new.std) + shift / (2 * np.square(new.std)) - 0.5).sum(1)


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
