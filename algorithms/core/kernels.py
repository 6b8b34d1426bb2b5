"""The network's fast path on a CPU: forward, backward, Jacobian-vector product, clipping and Adam, compiled by numba.

The network is a chain of layers z = W (w * n + c) + b with ReLU between them, where n = N(a) is the input or the last
layer's activation a = max(z, 0), row by row free of mean and scaled to variance one, and w, c are LayerNorm's weight
and bias. These two fold into the Linear that follows:

    V = W diag(w),   u = b + W c;   z = V n + u.

So rows meet only N, ReLU and V, and what LayerNorm learns costs a few numbers per weight instead of a pass over the
rows. With G = sum dz n^T and s = sum dz over the rows, the gradient comes back out of the fold as

    dW = G diag(w) + s c^T,   db = s,   dw_i = sum_o W_oi G_oi,   dc = W^T s,

and a direction goes into it as dV = dW diag(w) + W diag(dw), du = db + dW c + W dc. Through N itself both ways are

    J x = (x - mean(x) - n mean(n x)) / deviation,

for its Jacobian is symmetric. Parameters are one flat vector: for each layer w (I), c (I), W (O, I), b (O), which is
the order of the torch module's `parameters()`; what stands behind them (the policy's std) is left alone. Matrix
products are BLAS's.

Sums over a row are the only places where the compiler may change the order of additions, for their vectors need it, and
they have functions of their own: in a loop that also stores, it would check at run time whether arrays may overlap, add
one by one if they lie close together, and so give bits that depend on addresses. Nothing is assumed to be finite.

`tape` holds, for each chunk of rows and each layer, a (B, I), n (B, I) and 1 / deviation (B).
"""

import functools
from collections.abc import Callable

import numba
import numpy as np

CHUNK = 1024  # rows at a time: more of them go through in chunks, so that activations stay in the cache
EPS_NORM = 1e-5  # of LayerNorm, PyTorch's default
REORDER = {"reassoc", "contract"}


def compiled(function: Callable, fastmath: set[str] | bool = False) -> Callable:
    """Compile `function` on its first call for each type of arguments, and keep that on disk where there is a place."""
    options = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither beside this file nor in the user's cache may be written
        return numba.njit(**options)(function)


reordered = functools.partial(compiled, fastmath=REORDER)


@reordered
def total(x, row):
    """Return the sum of row `row` of x (B, I); a view of the row would cost as much as the sum."""
    found = x.dtype.type(0)
    for k in range(x.shape[1]):
        found += x[row, k]
    return found


@reordered
def inner(x, y, row):
    """Return the inner product of row `row` of x and y (B, I)."""
    found = x.dtype.type(0)
    for k in range(x.shape[1]):
        found += x[row, k] * y[row, k]
    return found


@reordered
def squared_distance(x, row, mean):
    """Return the sum of (x - mean)^2 over row `row` of x (B, I)."""
    found = x.dtype.type(0)
    for k in range(x.shape[1]):
        found += (x[row, k] - mean) * (x[row, k] - mean)
    return found


@reordered
def product(matrix, row, x):
    """Return the inner product of row `row` of a matrix (O, I) and x (I,)."""
    found = x.dtype.type(0)
    for k in range(len(x)):
        found += matrix[row, k] * x[k]
    return found


@compiled
def tape_size(sizes):
    """Return the numbers that the tape has per row."""
    size = 0
    for i in sizes[:-1]:
        size += 2 * i + 1
    return size


@compiled
def folded_size(sizes):
    """Return the numbers that V and u of all layers are."""
    size = 0
    for layer in range(len(sizes) - 1):
        size += (sizes[layer] + 1) * sizes[layer + 1]
    return size


@compiled
def unpacked(folded, to, i, o):
    """Return V (O, I) and u (O,) of the layer whose part of `folded` begins at `to`."""
    return folded[to : to + o * i].reshape((o, i)), folded[to + o * i : to + o * i + o]


@compiled
def parameters(theta, at, i, o):
    """Return w (I,), c (I,), W (O, I), b (O,) of the layer whose part of theta (or of a gradient) begins at `at`."""
    w, c, weight, bias = theta[at:], theta[at + i :], theta[at + 2 * i :], theta[at + 2 * i + o * i :]
    return w[:i], c[:i], weight[: o * i].reshape((o, i)), bias[:o]


@compiled
def fold(theta, sizes):
    """Return V (O, I) and u (O,) of each layer, all in one vector (F,)."""
    folded, at, to = np.empty(folded_size(sizes), theta.dtype), 0, 0
    for layer in range(len(sizes) - 1):
        i, o = sizes[layer], sizes[layer + 1]
        w, c, weight, bias = parameters(theta, at, i, o)
        v, u = unpacked(folded, to, i, o)
        for row in range(o):
            for k in range(i):
                v[row, k] = weight[row, k] * w[k]
            u[row] = bias[row] + product(weight, row, c)
        at += 2 * i + o * i + o
        to += o * i + o
    return folded


@compiled
def fold_jvp(theta, direction, sizes):
    """Return dV (O, I) and du (O,) of each layer along `direction` (P,), as `fold` does."""
    folded, at, to = np.empty(folded_size(sizes), theta.dtype), 0, 0
    for layer in range(len(sizes) - 1):
        i, o = sizes[layer], sizes[layer + 1]
        w, c, weight, _ = parameters(theta, at, i, o)
        dw, dc, dweight, dbias = parameters(direction, at, i, o)
        dv, du = unpacked(folded, to, i, o)
        for row in range(o):
            for k in range(i):
                dv[row, k] = dweight[row, k] * w[k] + weight[row, k] * dw[k]
            du[row] = dbias[row] + product(dweight, row, c) + product(weight, row, dc)
        at += 2 * i + o * i + o
        to += o * i + o
    return folded


@compiled
def unfold(theta, sizes, sums, extra):
    """Return the gradient (P,) with respect to theta from that with respect to V and u: G and s, in `sums` (F,).

    `extra` is the gradient with respect to what stands behind the network's parameters.
    """
    grad, at, to = np.zeros_like(theta), 0, 0
    grad[len(grad) - len(extra) :] = extra
    for layer in range(len(sizes) - 1):
        i, o = sizes[layer], sizes[layer + 1]
        w, c, weight, _ = parameters(theta, at, i, o)
        dw, dc, dweight, dbias = parameters(grad, at, i, o)
        g, s = unpacked(sums, to, i, o)
        for row in range(o):
            for k in range(i):
                dweight[row, k] = g[row, k] * w[k] + s[row] * c[k]
            for k in range(i):
                dw[k] += weight[row, k] * g[row, k]
            for k in range(i):
                dc[k] += weight[row, k] * s[row]
            dbias[row] = s[row]
        at += 2 * i + o * i + o
        to += o * i + o
    return grad


@compiled
def normalise(a, n, scale):
    """Write N(a) (B, I) and 1 / deviation (B,) of the rows a (B, I)."""
    one, size, eps = a.dtype.type(1), a.dtype.type(a.shape[1]), a.dtype.type(EPS_NORM)
    for row in range(len(a)):
        mean = total(a, row) / size
        scale[row] = one / np.sqrt(squared_distance(a, row, mean) / size + eps)
        for k in range(a.shape[1]):
            n[row, k] = (a[row, k] - mean) * scale[row]


@compiled
def add_and_rectify(z, u):
    """Replace z (B, O) by max(z + u, 0); NaN stays NaN."""
    zero = z.dtype.type(0)
    for row in range(len(z)):
        for k in range(z.shape[1]):
            value = z[row, k] + u[k]
            z[row, k] = zero if value < zero else value


@compiled
def through_normalisation(dx, n, scale):
    """Replace dx (B, I) by J dx."""
    size = n.dtype.type(n.shape[1])
    for row in range(len(n)):
        mean, along = total(dx, row) / size, inner(dx, n, row) / size
        for k in range(n.shape[1]):
            dx[row, k] = (dx[row, k] - mean - n[row, k] * along) * scale[row]


@compiled
def where_active(dx, a):
    """Set dx (B, I) to zero where ReLU's output a (B, I) is."""
    zero = dx.dtype.type(0)
    for row in range(len(a)):
        for k in range(a.shape[1]):
            dx[row, k] = dx[row, k] if a[row, k] > zero else zero


@compiled
def column_sums(dz, s):
    """Write the sums over rows of dz (B, O) into s (O,)."""
    s[:] = 0
    for row in range(len(dz)):
        for k in range(dz.shape[1]):
            s[k] += dz[row, k]


@compiled
def taped(tape, at, rows, i):
    """Return a (B, I), n (B, I) and 1 / deviation (B,) of the layer whose part of the tape begins at `at`."""
    a, n, scale = tape[at:], tape[at + rows * i :], tape[at + 2 * rows * i :]
    return a[: rows * i].reshape((rows, i)), n[: rows * i].reshape((rows, i)), scale[:rows]


@compiled
def forward_chunk(x, sizes, folded, tape, y):
    """Write the output at x (B, I) into y (B, O) and what its derivatives need into `tape`."""
    rows, last = len(x), len(sizes) - 2
    at, to, a = 0, 0, x
    for layer in range(last + 1):
        i, o = sizes[layer], sizes[layer + 1]
        _kept, n, scale = taped(tape, at, rows, i)
        v, u = unpacked(folded, to, i, o)
        normalise(a, n, scale)
        at += rows * (2 * i + 1)
        to += o * i + o
        if layer < last:
            a, _, _ = taped(tape, at, rows, o)
            np.dot(n, v.T, a)
            add_and_rectify(a, u)
        else:
            np.dot(n, v.T, y)
            y += u


@compiled
def backward_chunk(dy, sizes, folded, tape, sums):
    """Write G (O, I) and s (O,) of each layer, for dy (B, O), into `sums`."""
    rows, at, to, dz = len(dy), len(dy) * tape_size(sizes), len(folded), dy
    for layer in range(len(sizes) - 2, -1, -1):
        i, o = sizes[layer], sizes[layer + 1]
        at -= rows * (2 * i + 1)
        to -= o * i + o
        a, n, scale = taped(tape, at, rows, i)
        g, s = unpacked(sums, to, i, o)
        np.dot(dz.T, n, g)
        column_sums(dz, s)
        if layer:
            v, _ = unpacked(folded, to, i, o)
            dz = np.dot(dz, v)
            through_normalisation(dz, n, scale)
            where_active(dz, a)


@compiled
def jvp_chunk(sizes, folded, change, tape, dy):
    """Write the change of the output along `change`, that of `folded`, into dy (B, O)."""
    rows, at, to, last = len(dy), 0, 0, len(sizes) - 2
    dn = dy
    for layer in range(last + 1):
        i, o = sizes[layer], sizes[layer + 1]
        a, n, scale = taped(tape, at, rows, i)
        v, _ = unpacked(folded, to, i, o)
        dv, du = unpacked(change, to, i, o)
        dz = np.dot(n, dv.T)
        if layer:
            where_active(dn, a)
            through_normalisation(dn, n, scale)
            dz += np.dot(dn, v.T)
        dz += du
        at += rows * (2 * i + 1)
        to += o * i + o
        dn = dz
    dy[:] = dn


@compiled
def forward(theta, sizes, x, tape, keep):
    """Return the output (B, O) at x (B, I), and V and u; to `keep` it, `tape` has what derivatives need besides."""
    folded, y = fold(theta, sizes), np.empty((len(x), sizes[-1]), x.dtype)
    for start in range(0, len(x), CHUNK):
        stop = min(start + CHUNK, len(x))
        at = start * tape_size(sizes) if keep else 0
        forward_chunk(x[start:stop], sizes, folded, tape[at:], y[start:stop])
    return y, folded


@compiled
def backward(theta, sizes, folded, tape, dy, extra):
    """Return the gradient (P,) of sum(dy * y) for dy (B, O) after a forward that kept its tape; ends with `extra`."""
    sums, part = np.zeros_like(folded), np.empty_like(folded)
    for start in range(0, len(dy), CHUNK):
        stop = min(start + CHUNK, len(dy))
        backward_chunk(dy[start:stop], sizes, folded, tape[start * tape_size(sizes) :], part)
        sums += part
    return unfold(theta, sizes, sums, extra)


@compiled
def gauss_newton(theta, sizes, folded, tape, rows, direction, metric, extra):
    """Return J^T diag(metric) J d (P,) for direction d (P,), metric (O,) and J the Jacobian of the taped outputs.

    Chunk by chunk: the way back finds in the cache what the way out has read.
    """
    change, sums, part = fold_jvp(theta, direction, sizes), np.zeros_like(folded), np.empty_like(folded)
    dy = np.empty((min(rows, CHUNK), sizes[-1]), theta.dtype)
    for start in range(0, rows, CHUNK):
        chunk, here = dy[: min(CHUNK, rows - start)], tape[start * tape_size(sizes) :]
        jvp_chunk(sizes, folded, change, here, chunk)
        chunk *= metric
        backward_chunk(chunk, sizes, folded, here, part)
        sums += part
    return unfold(theta, sizes, sums, extra)


@compiled
def chain_rule(mean, std, old_mean, old_std, d_kl, action, d_log_prob):
    """Return dL/dmean (B, A) and dL/dlog std (A,), as `policy.chain_rule` does; sums over rows are of 64 bit."""
    rows, size = action.shape
    own = d_log_prob.shape[1] == size  # each dimension has its own derivative
    precision, old_precision = 1 / np.square(std), 1 / np.square(old_std)
    d_mean, sums, total_kl = np.empty_like(mean), np.zeros(size), 0.0
    for row in range(rows):
        for k in range(size):
            slope, shift = d_log_prob[row, k if own else 0], action[row, k] - mean[row, k]
            towards = shift * slope * precision[k]
            sums[k] += shift * towards - slope
            d_mean[row, k] = towards + (mean[row, k] - old_mean[row, k]) * d_kl[row] * old_precision[k]
        total_kl += d_kl[row]
    sums += (old_precision / precision - 1) * total_kl
    return d_mean, sums.astype(mean.dtype)


@compiled
def act(folded, sizes, observation, mean):
    """Write the outputs of N networks, `folded` (N, F), at observation (E, N, I) into mean (E, N, O)."""
    worlds = len(observation)
    x, y = np.empty((worlds, sizes[0]), mean.dtype), np.empty((worlds, sizes[-1]), mean.dtype)
    tape = np.empty(worlds * tape_size(sizes), mean.dtype)
    for agent in range(len(folded)):
        x[:] = observation[:, agent]
        forward_chunk(x, sizes, folded[agent], tape, y)
        mean[:, agent] = y


@compiled
def adam(grad, theta, m, v, t, lr, max_norm, eps):
    """Move theta (P,) one step of Adam against grad (P,), scaled to `max_norm` at most; False if it is not finite."""
    kind = theta.dtype.type
    row = grad.reshape((1, len(grad)))
    norm = np.sqrt(inner(row, row, 0)) + kind(1e-6)  # as in PyTorch
    if not np.isfinite(norm):
        return False
    t[0] += 1
    scale = kind(max_norm) / norm if norm > kind(max_norm) else kind(1)
    first, second = kind(0.9), kind(0.999)
    step = kind(lr / (1 - 0.9 ** t[0]))
    root = kind(1 / np.sqrt(1 - 0.999 ** t[0]))
    for k in range(len(theta)):
        g = grad[k] * scale
        m[k] = first * m[k] + (kind(1) - first) * g
        v[k] = second * v[k] + (kind(1) - second) * g * g
        theta[k] -= step * m[k] / (np.sqrt(v[k]) * root + kind(eps))
    return True


def compile_all() -> None:
    """Compile every kernel for numbers of 32 bit, or load what an earlier process has compiled.

    Raises:
        RuntimeError: numba is told not to compile.
    """
    if numba.config.DISABLE_JIT:
        raise RuntimeError("NUMBA_DISABLE_JIT is set")
    sizes, x = np.array([2, 3, 1]), np.ones((1, 2), np.float32)
    theta = np.ones(4 + 6 + 3 + 6 + 3 + 1, np.float32)
    tape = np.empty(tape_size(sizes), np.float32)
    y, folded = forward(theta, sizes, x, tape, True)
    grad = backward(theta, sizes, folded, tape, y, theta[:0])
    act(folded[None], sizes, x[None], y[None].copy())
    chain_rule(y, theta[:1], y, theta[:1], y[0], y, y)
    gauss_newton(theta, sizes, folded, tape, 1, theta, y[0], theta[:0])
    adam(grad, theta, np.zeros_like(theta), np.zeros_like(theta), np.zeros(1), 1e-3, 1.0, 1e-5)
