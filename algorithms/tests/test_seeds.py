"""Every random stream: the same seed repeats it, another one does not, and no two streams are copies of each other."""

import itertools

import numpy as np
import pytest
import torch

from algorithms import evaluate
from algorithms.core.policy import Actor
from algorithms.core.rollout import Ensemble

WORLDS, STEPS = 2, 50  # of a tiny run


def exploration(run) -> np.ndarray:
    """Return the standardised exploration noise (E, T, N, A) of the next rollout."""
    ensemble = Ensemble(run.learner.policies())
    rollout = run.collector.collect(run.learner.policies())
    seen = rollout.observation[:-1].numpy()
    mean = np.stack([ensemble.mean(seen[t]) for t in range(len(seen))])
    return ((rollout.action.numpy() - mean) / ensemble.std).swapaxes(0, 1)


STREAMS = {
    "reset": lambda run: run.collector.observation.copy(),
    "exploration": exploration,
    "policies": lambda run: torch.stack([actor.theta for actor in run.learner.actors]).numpy(),
    "value networks": lambda run: torch.stack([n.theta for n in run.learner.critics.networks]).numpy(),
    "minibatches of policies": lambda run: torch.randperm(1000, generator=run.learner.generator).numpy()[None],
    "minibatches of critics": lambda run: torch.randperm(1000, generator=run.learner.critics.generator).numpy()[None],
    "order of agents": lambda run: run.learner.order.permutation(1000)[None],
}
EACH = pytest.mark.parametrize("stream", STREAMS)


@EACH
def test_the_same_seed_repeats_a_stream_and_five_seeds_share_none(stream, make_run, tmp_path):
    drawn = [STREAMS[stream](make_run(tmp_path / "none", seed=seed)) for seed in (0, 0, 1, 2, 3, 4)]
    assert np.array_equal(drawn[0], drawn[1])
    for one, other in itertools.combinations(drawn[1:], 2):
        assert not np.isclose(one, other).all(axis=tuple(range(1, one.ndim))).any()  # no agent, world or network


@EACH
def test_worlds_agents_and_networks_do_not_share_a_stream(stream, make_run, tmp_path):
    drawn = STREAMS[stream](make_run(tmp_path / "none"))
    for one, other in itertools.combinations(drawn, 2):
        assert not np.allclose(one, other)
    if stream == "exploration":
        for one, other in itertools.combinations(drawn.reshape(WORLDS * STEPS, -1).T, 2):  # agents, their actions
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_no_stream_is_a_copy_of_another(make_run, tmp_path):
    run = make_run(tmp_path / "none")
    learner, own = run.learner, run.learner.actors[0]
    seeds = [g.initial_seed() for g in (run.collector.generator, learner.generator, learner.critics.generator)]
    assert len(set(seeds)) == 3
    for seed in seeds:  # that of the policies is not kept
        again = Actor(own.sizes[0], own.action_size, own.sizes[1:-1], torch.Generator().manual_seed(seed), 1.0, 1.0)
        assert not torch.equal(again.theta, own.theta)
    worlds = [generator.bit_generator.state["state"] for generator in run.env._generators]
    assert learner.order.bit_generator.state["state"] not in worlds


@pytest.mark.parametrize("exploring", [False, True])
def test_evaluation_repeats_itself_and_no_training_of_twenty_seeds(exploring, make_run, tmp_path):
    """Neither its starts nor its exploration are those that a policy was trained with."""
    record = make_run(tmp_path / "none").task.identity() | {"settings": make_run(tmp_path / "none").task.settings()}

    class Standing:
        """Acts by zero, so that actions are the exploration."""

        std = np.ones((2, 3), np.float32)

        def mean(self, observation):
            return np.zeros((len(observation), 2, 3), np.float32)

    def start(seed: int) -> np.ndarray:
        env, told = evaluate.make_env(record | {"seed": seed}, WORLDS), []
        reset, step = env.reset, env.step
        env.reset = lambda: told.append(reset()) or told[-1]
        env.step = lambda action: told.append(action) or step(action)
        next(evaluate.play(env, Standing(), seed, exploring))
        return told[1] if exploring else told[0]

    def trained(seed: int) -> np.ndarray:
        run = make_run(tmp_path / "none", seed=seed)
        return exploration(run)[:, 0] if exploring else run.collector.observation

    evaluated = [start(seed) for seed in (0, 0, 1, 2)]
    assert np.array_equal(evaluated[0], evaluated[1])
    everything = [*evaluated[1:], *map(trained, range(20))]
    for one, other in itertools.combinations(everything, 2):
        for first, second in itertools.product(one, other):
            assert not np.allclose(first, second)
