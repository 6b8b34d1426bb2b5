"""The critics: one V for the reward and one V_C per cost, shared by all agents and trained once per iteration.

The critics read the state, see `state_columns` of `envs.VectorEnv`. The original code trains one pair per agent on the
same targets (facts: all agents share reward and cost); a shared pair is what Algorithm 1 calls the global value
network.
"""

import numpy as np
import torch
from torch import Tensor

from .config import Config
from .networks import MLP, Adam, NotFinite, minibatches


class Normaliser:
    """Running mean and variance of K return signals, exponentially weighted and debiased (original: popart.py)."""

    def __init__(self, signals: int, beta: float, shared: bool) -> None:
        """Track K = `signals`; with `shared` (quirk Q7) one mean and variance is fed by all of them."""
        self.beta, self.shared = beta, shared
        self.state = np.zeros((3, signals))  # running mean, mean square, debiasing weight

    def update(self, target: np.ndarray) -> None:
        """Take in a batch of returns (B, K), float64: the variance is a small difference of large numbers."""
        batch = np.stack([target.mean(0), np.square(target).mean(0), np.ones(target.shape[1])])
        for signal in batch.T[:, :, None] if self.shared else [batch]:
            self.state += (1 - self.beta) * (signal - self.state)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean (K,) and standard deviation (K,); variance is floored at 0.01."""
        mean, square, weight = self.state
        weight = np.maximum(weight, 1e-300)  # before the first update all three are zero
        mean, square = mean / weight, square / weight
        return mean, np.sqrt(np.maximum(square - np.square(mean), 1e-2))


class Critics:
    """1 + C value networks with their normaliser and optimisers."""

    def __init__(self, state_size: int, costs: int, config: Config, seed: int, device: torch.device) -> None:
        """Initialise from `seed`; minibatches are drawn from a generator of their own."""
        self.arguments = (state_size, costs, config, seed, device)
        self.config, self.device = config, device
        self.generator = torch.Generator().manual_seed(seed)
        sizes = (state_size, *config.hidden, 1)
        self.networks = [MLP(sizes, 1.0, self.generator) for _ in range(1 + costs)]
        for network in self.networks:
            network.bind(network.theta.to(device))
        self.optimisers = [Adam(n.theta, config.critic_lr, config.max_grad_norm) for n in self.networks]
        self.normaliser = Normaliser(1 + costs, config.value_norm_beta, config.legacy_shared_normaliser)

    def normalised(self, state: Tensor) -> np.ndarray:
        """Return the networks' outputs (B, 1 + C), in units of the normaliser."""
        return np.concatenate([network.forward(state, taped=False) for network in self.networks], 1)

    def denormalise(self, output: np.ndarray) -> np.ndarray:
        """Return values (..., 1 + C) of outputs, in units of reward and cost."""
        mean, std = self.normaliser.moments()
        return output * std + mean  # float64

    def regress(self, observation: Tensor, target: np.ndarray, output: np.ndarray) -> None:
        """Fit the networks to `target` (B, 1 + C), starting from their outputs `output` (B, 1 + C) at collection.

        Raises:
            NotFinite: a gradient is not finite.
        """
        self.normaliser.update(target)
        mean, std = self.normaliser.moments()
        columns = (observation, *((target - mean) / std).astype(output.dtype).T, *output.T)
        models = list(zip(self.networks, self.optimisers, strict=True))
        for _ in range(self.config.critic_epochs):
            for seen, *rows in minibatches(columns, self.config.critic_minibatch_size, self.generator):
                for k, (network, optimiser) in enumerate(models):
                    value = network.forward(seen)
                    slope = value_loss_slope(value[:, 0], rows[k], rows[k + len(models)], self.config)
                    gradient = network.backward(slope[:, None] / len(seen))
                    if not optimiser.step(gradient):
                        raise NotFinite(
                            f"critic of {f'cost {k - 1}' if k else 'the reward'}",
                            {"parameter": network.theta, "observation": seen, "target": rows[k], "value": value}
                            | {"loss slope": slope, "gradient": gradient},
                        )

    def state_dict(self) -> dict:
        """Return parameters, moments, statistics and the generator."""
        return {
            "theta": [network.theta for network in self.networks],
            "adam": [optimiser.state_dict() for optimiser in self.optimisers],
            "normaliser": self.normaliser.state,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue from `state_dict()`."""
        for network, theta in zip(self.networks, state["theta"], strict=True):
            network.theta.copy_(theta)
        for optimiser, adam in zip(self.optimisers, state["adam"], strict=True):
            optimiser.load_state_dict(adam)
        self.normaliser.state[:] = state["normaliser"]
        self.generator.set_state(state["generator"])


def value_loss_slope(value: np.ndarray, target: np.ndarray, old: np.ndarray, config: Config) -> np.ndarray:
    """Return dL/dvalue (B,) by rows of the clipped Huber loss L = max(h(target - value), h(target - clip(value))).

    clip keeps the value within `value_clip` of its output at collection `old` (B,). Where the clipped error is the
    larger one the value lies outside and the clipped branch is flat: no gradient.
    """
    delta, error, moved = config.huber_delta, target - value, value - old
    clipped = target - old - np.minimum(np.maximum(moved, -config.value_clip), config.value_clip)
    inside = np.abs(moved) <= config.value_clip  # there both errors are one number, but for rounding
    unclipped = inside | (np.abs(clipped) <= np.abs(error))
    slope = np.minimum(np.maximum(error, -delta), delta)
    if config.legacy_one_sided_huber:  # Q8: the linear branch tests error > delta instead of |error| > delta
        unclipped |= clipped < -delta
        slope = slope * (error >= -delta)
    return -slope * unclipped
