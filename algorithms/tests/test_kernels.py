"""What the compiled kernels promise beside their values: the same bits wherever arrays lie, and a way without them."""

import os
import subprocess
import sys
import time

import numba
import numpy as np
import pytest
import torch

from algorithms.core import kernels, networks, policy

from .conftest import TINY
from .reference import make_actor

SIZES = np.array([22, 64, 64, 3])
COMMAND = [sys.executable, "-m", "algorithms.train", "--scenario", "halfcheetah_2x3", "--algorithm", "macpo"]


def test_bits_do_not_depend_on_where_arrays_lie():
    """Near neighbours, too: a loop that checks whether arrays overlap would go another way there."""
    rng, rows = np.random.default_rng(0), 100
    size = kernels.folded_size(SIZES) + 2 * SIZES[:-1].sum() + 3
    arrays = [0.3 * rng.standard_normal(n).astype(np.float32) for n in (size, rows * 22, rows * 3, size)]
    sizes = [len(array) for array in arrays] + [rows * kernels.tape_size(SIZES)]
    arena, found = np.empty(sum(sizes) + 5 * 64, np.float32), set()
    for _ in range(200):
        order, at, placed = rng.permutation(len(sizes)), 0, {}
        for k in order:
            at += int(rng.integers(0, 64))
            placed[k] = arena[at : at + sizes[k]]
            at += sizes[k]
        for k, array in enumerate(arrays):
            placed[k][:] = array
        theta, x, dy, direction, tape = (placed[k] for k in range(5))
        y, folded = kernels.forward(theta, SIZES, x.reshape(rows, 22), tape, True)
        gradient = kernels.backward(theta, SIZES, folded, tape, dy.reshape(rows, 3), y[0])
        product = kernels.gauss_newton(theta, SIZES, folded, tape, rows, direction, y[0], y[1])
        change = kernels.fold_jvp(theta, direction, SIZES)
        found.add(b"".join(array.tobytes() for array in (y, folded, gradient, product, change)))
    assert len(found) == 1


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("by_dimension", [False, True])
def test_chain_rule_is_that_of_numpy(size, by_dimension):
    rng, rows = np.random.default_rng(0), 17
    mean, old_mean, action, slopes = rng.standard_normal((4, rows, size))
    std, old_std = rng.uniform(0.1, 0.4, (2, size))
    slopes = slopes if by_dimension else slopes[:, :1]
    arguments = (mean, std, old_mean, old_std, rng.standard_normal(rows), action, slopes)
    for found, wanted in zip(kernels.chain_rule(*arguments), policy.chain_rule(*arguments), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["observation", "parameter"])
def test_what_is_not_finite_stays_so(place, bad):
    actor, seen = make_actor(dtype=torch.float32), torch.ones(4, 5).cumsum(1)
    if place == "observation":
        seen[1, 2] = bad
    else:
        actor.theta[12] = bad  # a weight of the first layer
    output = actor.forward(seen)
    assert not np.isfinite(output[1]).all() and not torch.isfinite(actor.backward(np.ones_like(output))).all()


def test_without_a_place_to_keep_them_kernels_are_compiled_all_the_same(monkeypatch):
    compile_ = numba.njit

    def homeless(**options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return compile_(**options)

    monkeypatch.setattr(numba, "njit", homeless)
    assert kernels.compiled(lambda x: x + x)(21) == 42


def test_without_a_compiler_training_goes_on_and_says_so_once(tmp_path):
    command = [*COMMAND, "--steps", "200", "--output", str(tmp_path / "run"), "--set", *TINY]
    done = subprocess.run(command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "run/policy.pt").exists()
    warning = "warning: no compiled kernels (NUMBA_DISABLE_JIT is set); torch's autograd takes several times longer"
    assert done.stderr.splitlines() == [warning]
    assert '"networks": "torch"' in (tmp_path / "run/run.json").read_text()


def test_one_is_told_what_one_waits_for_only_if_it_takes_long(capsys):
    with networks.patience("compiling"):
        pass
    assert capsys.readouterr().err == ""
    with networks.patience("compiling", after=0.1):
        time.sleep(0.5)
    assert capsys.readouterr().err == "compiling\n"


@pytest.mark.slow
def test_eight_processes_at_once_on_a_cold_cache(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    runs = [tmp_path / f"run{k}" for k in range(8)]
    started = [
        subprocess.Popen([*COMMAND, "--steps", "200", "--output", str(run), "--set", *TINY], env=environment, stderr=-1)
        for run in runs
    ]
    heard = [process.communicate()[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 8
    assert all("compiling the network's kernels" in text and text.count("\n") == 1 for text in heard)
    policies = {(run / "policy.pt").read_bytes() for run in runs}
    assert len(policies) == 1
