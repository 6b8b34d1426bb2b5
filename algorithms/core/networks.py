"""Networks of the MACPO code base with their derivatives written out, on one flat parameter vector each.

The architecture is fixed (LayerNorm on the input, then Linear - ReLU - LayerNorm twice, then Linear; original code,
r_actor_critic.py and mlp.py), so the backward pass is a page of matrix products. At minibatches of 256 rows an
autograd graph costs three times the arithmetic; this is what makes training run at the speed of the physics. The
tests hold every derivative here against autograd. One flat vector per network makes Adam, trust-region steps and
checkpoints one-liners.

Networks are torch, on a GPU if there is one. What has a few numbers per row (log-probabilities, KL, the slopes of a
loss) is NumPy everywhere: operations on so little data take torch more than twice as long.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

EPS_NORM = 1e-5  # of LayerNorm, PyTorch's default
CHUNK = 1024  # rows at a time: larger batches go through in chunks, so that activations stay in the cache


class NotFinite(ArithmeticError):
    """A number became infinite or NaN: which one, and what it was computed from.

    Attributes:
        place: where it happened; whoever lets the error pass puts its own name in front.
        arrays: what the number was computed from, in that order, by name.
    """

    def __init__(self, place: str, arrays: dict[str, Tensor | np.ndarray]) -> None:
        """Name the first of `arrays` that is not finite everywhere."""
        finite = {name: bool(torch.isfinite(torch.as_tensor(array)).all()) for name, array in arrays.items()}
        self.place, self.arrays = place, arrays
        self.name = next((name for name, fine in finite.items() if not fine), "the result")

    def __str__(self) -> str:
        """Return one sentence."""
        return f"{self.place}: {self.name} is not finite"


class MLP:
    """Multi-layer perceptron with LayerNorm; `theta` (P,) holds all parameters, `grad` (P,) the last gradient."""

    def __init__(self, sizes: tuple[int, ...], output_gain: float, generator: torch.Generator, extra: int = 0) -> None:
        """Initialise orthogonally: gain sqrt(2) for hidden layers, `output_gain` for the last; zero biases.

        Args:
            sizes: input size, hidden sizes, output size.
            output_gain: gain of the last layer.
            generator: source of the initial weights.
            extra: further parameters (the policy's std) kept at the end of `theta`.
        """
        self.sizes = sizes
        shapes = [(sizes[0],), (sizes[0],)]  # LayerNorm: weight, bias
        for i, o in pairwise(sizes[:-1]):
            shapes += [(i, o), (o,), (o,), (o,)]  # Linear: weight, bias; LayerNorm: weight, bias
        shapes += [sizes[-2:], (sizes[-1],), (extra,)]
        self._shapes = shapes
        self.bind(torch.zeros(sum(math.prod(s) for s in shapes)))
        for k, view in enumerate(self.parameters[:-1]):
            if view.dim() == 2:
                last = k == len(shapes) - 3
                torch.nn.init.orthogonal_(view, output_gain if last else math.sqrt(2), generator=generator)
            elif k == 0 or (k >= 2 and (k - 2) % 4 == 2):
                view.fill_(1.0)

    def bind(self, theta: Tensor) -> None:
        """Use `theta` (P,) as the parameters: views, not copies."""
        self.theta, self.grad, self._part = theta, torch.zeros_like(theta), torch.zeros_like(theta)
        self.parameters, self._grads, self._parts = map(self._views, (self.theta, self.grad, self._part))
        self._tapes: tuple[list[tuple[Tensor, ...]], ...] = ()

    def _views(self, flat: Tensor) -> list[Tensor]:
        parts = flat.split([math.prod(s) for s in self._shapes])
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def forward(self, x: Tensor, taped: bool = True) -> Tensor:
        """Map x (B, I) to (B, O); with `taped`, keep what `backward` and `jvp` need."""
        outputs, tapes = zip(*map(self._forward, _chunks(x)), strict=True)
        if taped:
            self._tapes = tapes
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _forward(self, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """Map one chunk; the tape has a row per LayerNorm: its input, mean, 1 / deviation and output."""
        p = self.parameters
        h, mean, rstd = torch.native_layer_norm(x, (x.shape[1],), p[0], p[1], EPS_NORM)
        tape = [(x, mean, rstd, h)]
        for k in range(2, len(p) - 3, 4):
            a = torch.addmm(p[k + 1], h, p[k]).relu_()
            h, mean, rstd = torch.native_layer_norm(a, (a.shape[1],), p[k + 2], p[k + 3], EPS_NORM)
            tape.append((a, mean, rstd, h))
        return torch.addmm(p[-2], h, p[-3]), tape

    def backward(self, dy: Tensor) -> Tensor:
        """Return the gradient (P,) of sum(dy * output) over the last taped forward; dy (B, O). Valid until the next."""
        for k, (tape, rows) in enumerate(zip(self._tapes, _chunks(dy), strict=True)):
            self._backward(tape, rows, self._parts if k else self._grads)
            if k:
                self.grad.add_(self._part)
        return self.grad

    def _backward(self, tape: list[tuple[Tensor, ...]], dy: Tensor, g: list[Tensor]) -> None:
        """Write the gradient of one chunk into the views `g`."""
        p = self.parameters
        torch.mm(tape[-1][3].t(), dy, out=g[-3])
        torch.sum(dy, 0, out=g[-2])
        dh = torch.mm(dy, p[-3].t())
        for layer in range(len(tape) - 1, 0, -1):
            k = 4 * layer - 2
            a, mean, rstd, _ = tape[layer]
            dh, dweight, dbias = torch.ops.aten.native_layer_norm_backward(
                dh, a, (a.shape[1],), mean, rstd, p[k + 2], p[k + 3], (True, True, True)
            )
            g[k + 2].copy_(dweight)
            g[k + 3].copy_(dbias)
            dz = torch.ops.aten.threshold_backward(dh, a, 0.0)  # zero where ReLU was
            torch.mm(tape[layer - 1][3].t(), dz, out=g[k])
            torch.sum(dz, 0, out=g[k + 1])
            dh = torch.mm(dz, p[k].t())
        x, mean, rstd, _ = tape[0]
        _, dweight, dbias = torch.ops.aten.native_layer_norm_backward(
            dh, x, (x.shape[1],), mean, rstd, p[0], p[1], (False, True, True)
        )
        g[0].copy_(dweight)
        g[1].copy_(dbias)

    def taped_input(self) -> Tensor:
        """Return the rows (B, I) of the last taped forward."""
        return torch.cat([tape[0][0] for tape in self._tapes])

    def jvp(self, direction: Tensor) -> Tensor:
        """Return the change (B, O) of the last taped output along `direction` (P,), to first order."""
        views = self._views(direction)
        return torch.cat([self._jvp(tape, views) for tape in self._tapes])

    def _jvp(self, tape: list[tuple[Tensor, ...]], v: list[Tensor]) -> Tensor:
        """Return the change of one chunk's output."""
        p = self.parameters
        x, mean, rstd, h = tape[0]
        dh = torch.addcmul(v[1], (x - mean).mul_(rstd), v[0])
        for layer in range(1, len(tape)):
            k = 4 * layer - 2
            dz = torch.addmm(v[k + 1], h, v[k]).addmm_(dh, p[k])
            a, mean, rstd, h = tape[layer]
            normal = (a - mean).mul_(rstd)
            da = torch.ops.aten.threshold_backward(dz, a, 0.0)
            change, _, _ = torch.ops.aten.native_layer_norm_backward(  # the Jacobian of `normal` is symmetric
                da, a, (a.shape[1],), mean, rstd, None, None, (True, False, False)
            )
            dh = torch.addcmul(v[k + 3], normal, v[k + 2]).addcmul_(change, p[k + 2])
        return torch.addmm(v[-2], h, v[-3]).addmm_(dh, p[-3])


def _chunks(rows: Tensor) -> tuple[Tensor, ...]:
    return rows.split(CHUNK) if len(rows) > CHUNK else (rows,)


class Adam:
    """Adam (Kingma and Ba 2015) on one flat vector, with the gradient's norm clipped first.

    The step is PyTorch's own fused kernel; `torch.optim` around it would cost every process 1.6 s of importing, and
    each step more than the network's backward.
    """

    def __init__(self, theta: Tensor, lr: float, max_grad_norm: float, eps: float = 1e-5) -> None:
        """Start with zero moments; eps 1e-5 as in the MACPO code base."""
        self.lr, self.max_grad_norm, self.eps = lr, max_grad_norm, eps
        self.m, self.v = torch.zeros_like(theta), torch.zeros_like(theta)
        self.t = torch.zeros((), device=theta.device)  # steps taken

    def step(self, theta: Tensor, grad: Tensor) -> bool:
        """Move `theta` (P,) one step against `grad` (P,), which is clipped in place; False if `grad` is not finite."""
        norm = float(torch.linalg.vector_norm(grad)) + 1e-6  # as in PyTorch
        if not math.isfinite(norm):
            return False
        if norm > self.max_grad_norm:
            grad.mul_(self.max_grad_norm / norm)
        self.t.add_(1)
        torch._fused_adam_(
            *([tensor] for tensor in (theta, grad, self.m, self.v)), [], [self.t],
            lr=self.lr, beta1=0.9, beta2=0.999, weight_decay=0.0, eps=self.eps, amsgrad=False, maximize=False,
        )  # fmt: skip
        return True

    def state_dict(self) -> dict:
        """Return moments and step count."""
        return {"m": self.m, "v": self.v, "t": self.t}

    def load_state_dict(self, state: dict) -> None:
        """Continue from `state_dict()`."""
        for name, value in self.state_dict().items():
            value.copy_(state[name])


def minibatches(
    columns: tuple[Tensor | np.ndarray, ...], size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor | np.ndarray, ...]]:
    """Yield the columns' rows in random order, `size` at a time: a random partition; the smaller tail is kept.

    Each column is shuffled once, as a whole, for gathering small pieces costs more.
    """
    order = torch.randperm(len(columns[0]), generator=generator)
    shuffled = [
        column.index_select(0, order.to(column.device)) if isinstance(column, Tensor) else column[order.numpy()]
        for column in columns
    ]
    for start in range(0, len(order), size):
        yield tuple(column[start : start + size] for column in shuffled)
