"""Every field of every Config changes what comes out: a setting that is read and then forgotten is found here.

The cases are made from the fields, so a new one is tested as soon as it exists; it fails until it does something under
the settings of BUSY, in which every gradient is clipped, every trust region met and every constraint violated.
"""

import dataclasses
import functools
import math

import numpy as np
import pytest
import torch

from algorithms import ALGORITHMS
from algorithms.core.config import Config
from algorithms.core.learner import Sizes
from algorithms.run.checkpoint import to_plain

from .reference import make_learner, make_rollout

SIZES = Sizes(agents=2, costs=2, observation=5, action=2)
BUSY = {
    "actor_lr": 0.01,
    "critic_lr": 0.05,
    "epochs": 3,
    "critic_epochs": 3,
    "max_grad_norm": 0.05,
    "value_clip": 0.05,
    "huber_delta": 0.1,
}
BUSY_BY_ALGORITHM = {
    "mafocops": {"nu_lr": 0.05, "kl_threshold": 0.02, "actor_lr": 0.003},
    "macpo": {"trust_region": "minibatch", "fraction_coef": 3.0, "line_search_steps": 3, "cg_iterations": 3},
    "mappo_l": {"clip": 0.05, "lagrangian_coef_rate": 0.01},
    "happo": {"clip": 0.05},
    "mappo": {"clip": 0.05},
}
WORDS = {"time_limit": "failure", "trust_region": "iteration", "nu_update": "iteration", "kl_reduction": "mean"}
WITHOUT = {
    *(("macpo", name) for name in ("actor_lr", "epochs")),  # its step has a length of its own, and is one
    *((name, "legacy_stale_cost") for name in ("happo", "mappo")),  # they have no constraint
}
# What changes the task or the rollout, and where it does.
TASKS = {
    "walls": ("free", "ant_2x4"),
    "observation": ("full", "manyagent_ant_2x3"),
    "partition": ("declared", "ant_2x4d"),
    "costs": ("separate", "ant_2x4"),
    "fall": ("continue", "shadowhandover"),
    "episode_limit": ("7", "halfcheetah_2x3"),
    "safety_bound": ("3", "halfcheetah_2x3"),
    "num_envs": ("3", "halfcheetah_2x3"),
    "rollout_length": ("60", "halfcheetah_2x3"),
}


def other(name: str, value: object) -> object:
    """Return another value of a setting, near the one it has."""
    if isinstance(value, str):
        return WORDS[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (*value, 4)
    if isinstance(value, int):
        return value - 1 if value > 1 else 2
    return {0.0: 0.3, math.inf: 0.01}.get(value, 0.6 * value)


@functools.cache
def learned(algorithm: str, *changed: tuple[str, object]) -> bytes:
    """Return all parameters after three iterations."""
    settings = BUSY | BUSY_BY_ALGORITHM[algorithm] | dict(changed)
    learner = make_learner(ALGORITHMS[algorithm], SIZES, bound=2.0, **settings)
    for seed in range(3):
        learner.update(make_rollout(SIZES, seed=seed))
    return b"".join(n.theta.numpy().tobytes() for n in (*learner.actors, *learner.critics.networks))


LEARNING = [
    (algorithm, field.name)
    for algorithm, kind in ALGORITHMS.items()
    for field in dataclasses.fields(kind.Config)
    if field.name not in TASKS
]


@pytest.mark.parametrize(("algorithm", "name"), LEARNING)
def test_every_setting_of_learning_changes_what_is_learned(algorithm, name):
    small = {"hidden": (8, 8), "minibatch_size": 16, "critic_minibatch_size": 16}
    now = (small | BUSY | BUSY_BY_ALGORITHM[algorithm]).get(name, getattr(ALGORITHMS[algorithm].Config(), name))
    changed = learned(algorithm, (name, other(name, now))) != learned(algorithm)
    assert changed == ((algorithm, name) not in WITHOUT)


def collected(run) -> list[np.ndarray]:
    """Return what a learner is given by a run's task, and the state of its worlds where hands have let go."""
    env, leaves = run.env, [np.array(run.learner.bound)]
    for _ in range(45):
        leaves.append(env.step(np.full((env.num_envs, env.num_agents, env.action_size), -1.0)).terminated)
    tree = [to_plain(env.state_dict())]
    while tree:
        node = tree.pop()
        tree += node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else []
        leaves += [node.numpy()] if isinstance(node, torch.Tensor) else []
    return leaves + list(map(np.asarray, run.collector.collect(run.learner.policies())))


@pytest.mark.parametrize("name", TASKS)
def test_every_setting_of_the_task_changes_what_is_collected(name, make_run, tmp_path):
    value, scenario = TASKS[name]
    results = [collected(make_run(tmp_path, scenario, more=more)) for more in ((), (), (f"{name}={value}",))]
    same = [len(results[0]) == len(one) and all(map(np.array_equal, results[0], one)) for one in results[1:]]
    assert same == [True, False]


def test_what_changes_a_task_is_no_setting_of_learning():
    assert set(TASKS) <= {field.name for field in dataclasses.fields(Config)}


@pytest.mark.parametrize(("nu_init", "nu_max"), [(0.0, 1.3), (0.7, 1.3), (0.7, 0.4)])
def test_nu_starts_from_its_first_value(nu_init, nu_max):
    learner = make_learner(ALGORITHMS["mafocops"], SIZES, nu_init=nu_init, nu_max=nu_max, nu_lr=0.0)
    assert (learner.algorithm.state["nu"] == nu_init).all()
    learner.update(make_rollout(SIZES))
    assert (learner.algorithm.state["nu"] == min(nu_init, nu_max)).all()
