"""P3O (Zhang et al. 2022, arXiv 2205.11814), agent by agent: PPO with the penalty kappa max(0, c + E[ratio A_c])."""

from dataclasses import dataclass
from functools import partial

import torch

from .core.learner import Batch
from .happo import HAPPO
from .happo import Config as HAPPOConfig


@dataclass(frozen=True)
class Config(HAPPOConfig):
    """Settings of P3O."""

    kappa: float = 20.0


class P3O(HAPPO):
    """Clipped policy ascent with an exact penalty; `loss` is all there is to differentiate."""

    Config = Config

    def update_agent(self, i: int, batch: Batch) -> dict[str, float]:
        """Improve policy i on `batch`; c is the violation per step in units of the standardised cost advantage."""
        actor, c = self.actors[i], batch.violation / batch.episode_length / (batch.cost_scale + 1e-5)
        for _ in range(self.config.epochs):
            for mini in batch.minibatches(self.config.minibatch_size, self.generator):
                loss = partial(self.loss, mini, torch.tensor(c, dtype=torch.float32))
                actor.descend(actor.gradient_of(loss, actor.policy(mini.observation), mini.action))
        return {"c": float(c.mean())}

    def loss(self, mini: Batch, c: torch.Tensor, log_prob: torch.Tensor, kl: torch.Tensor, _) -> torch.Tensor:
        """Return the loss of a minibatch; it needs neither kl nor the entropy, its last argument."""
        ratio, gain = torch.exp(log_prob - torch.from_numpy(mini.log_prob)), torch.from_numpy(mini.advantage)
        clipped = torch.minimum(ratio * gain, ratio.clamp(1 - self.config.clip, 1 + self.config.clip) * gain)
        rise = ratio @ torch.from_numpy(mini.cost_advantage) / len(ratio)  # (C,)
        return self.config.kappa * torch.relu(c + rise).sum() - clipped.mean()
