"""Copies, pickles and other processes: in mid-episode they go on bit for bit, move nothing, and end."""

import copy
import multiprocessing
import os
import pickle
import signal
import sys

import numpy as np
import pytest

import envs
from envs.scenarios import SCENARIOS

KINDS = ("vector", "parallel")
LIMIT = 60  # seconds after which a process counts as hanging


def started(kind, name, **options):
    """Return an environment in mid-episode, near its time limit so that resets come, and its next actions."""
    rng = np.random.default_rng(0)
    if kind == "vector":
        env = envs.make(name, num_envs=3, seed=1, num_threads=2, episode_limit=12, **options)
        shape = (3, env.num_agents, env.action_size)
    else:
        env = envs.parallel_env(name, episode_limit=12, **options)
        shape = (env.max_num_agents, *env.action_space("agent_0").shape)
    actions = rng.uniform(-1, 1, (20, *shape))
    env.reset() if kind == "vector" else env.reset(seed=1)
    play(env, actions[:8])
    return env, actions[8:]


def play(env, actions):
    """Step, and reset where an episode has ended; return everything that came out."""
    found = []
    for action in actions:
        if hasattr(env, "possible_agents"):
            if not env.agents:
                found.append(env.reset())
            found.append(env.step(dict(zip(env.agents, action, strict=True))))
            found.append(env.state())
        else:
            found.append(tuple(env.step(action)))
    return pickle.dumps(found)


def played_elsewhere(env, actions, answer):
    """In another process: play and send what came out."""
    answer.send_bytes(play(env, actions))
    answer.close()


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda env: pickle.loads(pickle.dumps(env))}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", COPIES)
def test_a_copy_goes_on_bit_for_bit_and_does_not_move_the_original(name, kind, way):
    env, actions = started(kind, name)
    twin, _ = started(kind, name)
    other = COPIES[way](env)
    again = COPIES[way](other)  # of a copy that has not moved
    copied = play(other, actions)
    expected = play(twin, actions)
    assert copied == expected
    assert play(env, actions) == expected  # the copy's steps did not move it
    assert play(again, actions) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_keeps_what_was_set_and_what_was_counted(kind):
    env, _ = started(kind, "ant_2x4", walls="free")
    env.note = ["mine"]
    other = copy.deepcopy(env)
    assert other.note == ["mine"] and other.note is not env.note
    if kind == "vector":
        env.auto_reset, env.unstable[1] = False, 4
        other = pickle.loads(pickle.dumps(env))
        assert not other.auto_reset and other.unstable.tolist() == [0, 4, 0] and other.batch.nthread == 2
        np.testing.assert_array_equal(other.batch.state, env.batch.state)


def test_an_unstable_world_is_unstable_in_a_copy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo logs the event in the working directory
    env, actions = started("vector", "halfcheetah_2x3")
    env.auto_reset = False
    env.batch.qvel[0] = 1e12
    env.step(actions[0])
    other = copy.deepcopy(env)
    assert (
        env.step(actions[1]).terminated.tolist() == other.step(actions[1]).terminated.tolist() == [True, False, False]
    )


@pytest.mark.parametrize("name", ["ant_2x4", "halfcheetah_2x3", "manyagent_ant_2x3", "shadowhandover"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_another_process_goes_on_bit_for_bit(name, kind, method):
    env, actions = started(kind, name)
    context = multiprocessing.get_context(method)
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=played_elsewhere, args=(env, actions, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        assert mine.poll(LIMIT)
        assert mine.recv_bytes() == play(env, actions)
        process.join(LIMIT)
        assert process.exitcode == 0
    finally:
        process.kill()


def in_a_fork(task):
    """Run `task` in a forked child, which ends as a program does, and return its exit code; None if it hangs."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(LIMIT)
        try:
            code = task()
        except BaseException:
            code = 99
        os._exit(code or 0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return None if code == -signal.SIGALRM else code


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_may_drop_step_and_fork_again():
    env, actions = started("vector", "ant_2x4")
    expected = play(copy.deepcopy(env), actions)
    box = [env]
    assert in_a_fork(lambda: box.clear()) == 0  # the destructor has no threads to wait for
    assert in_a_fork(lambda: in_a_fork(lambda: play(env, actions) != expected)) == 0
    assert play(env, actions) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux's drivers")
def test_a_forked_child_refuses_to_draw_and_does_not_hang():
    env, actions = started("parallel", "ant_2x4", render_mode="rgb_array")
    try:
        picture = env.render()
    except RuntimeError as missing:
        pytest.skip(str(missing))
    np.testing.assert_array_equal(copy.deepcopy(env).render(), picture)

    def refuses(game):
        with pytest.raises(RuntimeError, match=r"does not survive a fork: start the process with .* spawn"):
            game.render()
        game.close()

    assert in_a_fork(lambda: refuses(env)) == 0
    assert in_a_fork(lambda: refuses(started("parallel", "ant_2x4", render_mode="rgb_array")[0])) == 0
    assert in_a_fork(lambda: play(env, actions) and 0) == 0
    env.close()
