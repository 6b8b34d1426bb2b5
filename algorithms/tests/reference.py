"""What the tests compare with: plain torch modules under autograd, and batches and rollouts made of random numbers.

Nothing here uses the package's derivatives, losses or optimiser; only the layout of the flat parameters is shared.
"""

import dataclasses
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch.distributions import Independent, Normal
from torch.func import functional_call

from algorithms.core.learner import Batch, Learner, Sizes
from algorithms.core.networks import MLP, Adam
from algorithms.core.policy import Actor, Gaussian
from algorithms.core.rollout import Rollout

CPU = torch.device("cpu")


class Plain:
    """The documented architecture out of torch.nn, as a function of the flat parameter vector."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        layers: list[torch.nn.Module] = [torch.nn.LayerNorm(sizes[0])]
        for i, o in pairwise(sizes[:-1]):
            layers += [torch.nn.Linear(i, o), torch.nn.ReLU(), torch.nn.LayerNorm(o)]
        self.net = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-2], sizes[-1]))

    def named(self, theta: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Cut `theta` into the modules' parameters and the rest."""
        found, at = {}, 0
        for name, parameter in self.net.named_parameters():
            part = theta[at : at + parameter.numel()]
            at += parameter.numel()
            found[name] = part.view(parameter.shape)
        return found, theta[at:]

    def output(self, theta: torch.Tensor, observation: torch.Tensor) -> torch.Tensor:
        return functional_call(self.net, self.named(theta)[0], observation)

    def policy(self, theta: torch.Tensor, observation: torch.Tensor) -> Independent:
        std = 0.5 * torch.sigmoid(self.named(theta)[1])
        return Independent(Normal(self.output(theta, observation), std), 1)


def plain_of(network: MLP) -> Plain:
    return Plain(network.sizes)


def make_actor(observation=5, action=3, hidden=(7, 6), seed=0, lr=9e-5, grad=10.0, dtype=torch.float64) -> Actor:
    """Return an actor none of whose parameters has a special value."""
    generator = torch.Generator().manual_seed(seed)
    actor = Actor(observation, action, hidden, generator, lr, grad)
    actor.bind((actor.theta + 0.3 * torch.randn(actor.theta.shape, generator=generator)).to(dtype))
    actor.optimiser = Adam(actor.theta, lr, grad)
    return actor


def make_batch(actor: Actor, rows=40, costs=1, seed=0, violation=0.5, scale=1.0) -> Batch:
    """Return a batch collected by `actor` with random advantages."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> np.ndarray:
        return torch.randn(shape, generator=generator, dtype=actor.theta.dtype).numpy()

    observation = torch.from_numpy(normal(rows, actor.sizes[0]))
    old = actor.policy(observation, taped=False)
    action = old.mean + old.std * normal(rows, actor.action_size)
    return Batch(
        observation,
        action,
        old.log_prob(action),
        old,
        scale * normal(rows),
        scale * normal(rows, costs),
        np.ones(rows, action.dtype),
        np.full(costs, violation),
        np.ones(costs, action.dtype),
        10.0,
    )


def tensors(columns: Batch | Gaussian) -> Batch | Gaussian:
    """Return the same with torch in place of NumPy, for references under autograd."""
    convert = {np.ndarray: torch.from_numpy, Gaussian: tensors}
    return columns._make(convert.get(type(column), lambda same: same)(column) for column in columns)


def minibatches(batch: Batch, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Cut a batch of tensors along a random permutation, as the references do; the smaller tail is kept."""
    for rows in torch.randperm(len(batch.action), generator=generator).split(size):
        by_row = {name: getattr(batch, name)[rows] for name in (*Batch._fields[:3], *Batch._fields[4:7])}
        yield batch._replace(**by_row, old=batch.old._replace(mean=batch.old.mean[rows]))


def independent(policy: Gaussian) -> Independent:
    """Return a Gaussian of tensors or arrays as a torch distribution."""
    return Independent(Normal(*map(torch.as_tensor, policy)), 1)


def make_algorithm(kind: type, actors: list[Actor], costs=1, seed=3, **changes):
    """Return an algorithm on `actors` with its default settings but for `changes`."""
    config = dataclasses.replace(kind.Config(), **changes)
    return kind(actors, config, costs, torch.Generator().manual_seed(seed))


def make_rollout(sizes: Sizes, steps=20, worlds=2, seed=0, ends=0.15) -> Rollout:
    """Return a random rollout in which episodes terminate and are truncated, with probability `ends` a step each."""
    rng = np.random.default_rng(seed)
    terminated = rng.random((steps, worlds)) < ends
    truncated = (rng.random((steps, worlds)) < ends) & ~terminated
    ended = terminated | truncated
    wide = (steps + 1, worlds, sizes.agents, sizes.observation)
    observation = torch.from_numpy(rng.standard_normal(wide)).float()
    action = torch.from_numpy(0.4 * rng.standard_normal((steps, worlds, sizes.agents, sizes.action))).float()
    final = torch.from_numpy(rng.standard_normal((ended.sum(), *wide[2:]))).float()
    reward, cost = rng.standard_normal((steps, worlds)), rng.random((steps, worlds, sizes.costs))
    episodes = 1 + 9 * rng.random((max(int(ended.sum()), 0), 2 + sizes.costs))
    unfinished = np.concatenate([rng.integers(1, 9, (worlds, 2)), 9 * rng.random((worlds, sizes.costs))], 1)
    ends = (terminated, truncated, final, episodes, unfinished, 90)
    return Rollout(observation, action, reward, cost, *ends, np.zeros(worlds, int))


def make_learner(kind: type, sizes: Sizes, seed=0, bound=5.0, beside=False, **changes) -> Learner:
    small = {"hidden": (8, 8), "minibatch_size": 16, "critic_minibatch_size": 16, "epochs": 2, "critic_epochs": 1}
    config = dataclasses.replace(kind.Config(), **(small | changes))
    return Learner(kind, config, sizes, np.full(sizes.costs, bound), seed, CPU, beside)
