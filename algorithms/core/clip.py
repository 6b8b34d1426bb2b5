"""The clipped surrogate of PPO (Schulman et al. 2017), shared by MAPPO, HAPPO and MAPPO-Lagrangian."""

import numpy as np
import torch

from .config import Config
from .learner import Batch
from .policy import Actor


def clipped_slope(ratio: np.ndarray, advantage: np.ndarray, clip: float) -> np.ndarray:
    """Return d/d log pi (B,) of min(ratio * advantage, clamp(ratio, 1 - clip, 1 + clip) * advantage).

    Since d ratio / d log pi = ratio, this is ratio * advantage, and 0 where the clamp is what the minimum picks.
    """
    limit = np.where(advantage > 0, ratio <= 1 + clip, ratio >= 1 - clip)
    return ratio * advantage * limit


def clipped_update(actor: Actor, batch: Batch, config: Config, generator: torch.Generator) -> dict[str, float]:
    """Improve `actor` by minibatch ascent on the clipped surrogate plus the entropy bonus; return diagnostics.

    `config` needs clip and entropy_coef. The bonus is the entropy averaged over action dimensions, as in the MACPO
    code.
    """
    clipped = []
    for _ in range(config.epochs):
        for mini in batch.minibatches(config.minibatch_size, generator):
            policy = actor.policy(mini.observation)
            ratio = np.exp(policy.log_prob(mini.action) - mini.log_prob)
            slope = clipped_slope(ratio, mini.advantage, config.clip)
            bonus = config.entropy_coef / actor.action_size
            actor.descend(actor.gradient(policy, mini.action, -slope / len(slope), d_entropy=-bonus))
            clipped.append(slope == 0)
    return {"clipped": float(np.concatenate(clipped).mean())}
