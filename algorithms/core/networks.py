"""The network of actors and critics, and the two ways in which it is computed.

`layers` is the network (original code, r_actor_critic.py and mlp.py). `MLP` keeps its parameters in one flat vector, so
that Adam, trust-region steps and checkpoints are one-liners. What needs its arithmetic asks `MLP`, which has it done by

    Compiled  on a CPU: the kernels of kernels.py. A minibatch is so small that starting torch's operations, one by one
              and once more for autograd, would take several times as long as what they compute.
    Autograd  on a GPU, and where no kernel can be compiled. The tests hold `Compiled` against it.

Observations and parameters are torch, on a GPU if there is one. What has a few numbers per row (outputs,
log-probabilities, KL, the slopes of a loss) is NumPy everywhere: operations on so little data take torch more than
twice as long.
"""

import functools
import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters


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


def layers(sizes: tuple[int, ...]) -> nn.Sequential:
    """Return the network: LayerNorm of the input, Linear - ReLU - LayerNorm for each hidden layer, and Linear.

    Args:
        sizes: input size, hidden sizes, output size.
    """
    modules: list[nn.Module] = [nn.LayerNorm(sizes[0])]
    for i, o in pairwise(sizes[:-1]):
        modules += [nn.Linear(i, o), nn.ReLU(), nn.LayerNorm(o)]
    return nn.Sequential(*modules, nn.Linear(*sizes[-2:]))


class MLP:
    """The network of `layers` as a function of `theta` (P,), which is `module`'s parameters and `extra` more."""

    def __init__(self, sizes: tuple[int, ...], output_gain: float, generator: torch.Generator, extra: int = 0) -> None:
        """Initialise orthogonally: gain sqrt(2) for hidden layers, `output_gain` for the last; zero biases.

        Args:
            sizes: input size, hidden sizes, output size.
            output_gain: gain of the last layer.
            generator: source of the initial weights.
            extra: further parameters (the policy's std), kept at the end of `theta`.
        """
        self.sizes, self.extra, self.module = sizes, extra, layers(sizes)
        linear = [module for module in self.module if isinstance(module, nn.Linear)]
        for module in linear:
            nn.init.orthogonal_(module.weight, output_gain if module is linear[-1] else math.sqrt(2), generator)
            nn.init.zeros_(module.bias)
        self.bind(torch.cat([parameters_to_vector(self.module.parameters()).detach(), torch.zeros(extra)]))

    def bind(self, theta: Tensor) -> None:
        """Use `theta` (P,) as the parameters: views, not copies."""
        self.theta = theta
        vector_to_parameters(theta, self.module.to(theta).parameters())
        compiled = theta.device.type == "cpu" and kernels()
        self._way = Compiled(compiled, theta, self.sizes) if compiled else Autograd(self.module)

    def forward(self, x: Tensor, taped: bool = True) -> np.ndarray:
        """Map x (B, I) to (B, O); with `taped`, keep what derivatives need: they refer to the last x so mapped."""
        if taped:
            self.taped_input = x
        return self._way.forward(x, taped)

    def kept(self) -> list[Tensor]:
        """Return what stays in memory from one call to the next: the parameters, and room for what derivatives need."""
        return [self.theta, *self._way.kept()]

    def backward(self, dy: np.ndarray, extra: np.ndarray | None = None) -> Tensor:
        """Return the gradient (P,) of sum(dy * output) for dy (B, O); `extra` (or 0) is that of further parameters."""
        return self._way.backward(dy, np.zeros(self.extra, dy.dtype) if extra is None else extra)

    def gauss_newton(self, direction: Tensor, metric: np.ndarray, extra: np.ndarray | None = None) -> Tensor:
        """Return J^T diag(metric) J d (P,) of d = `direction` (P,), metric (O,), with J the output's Jacobian.

        `extra` (or 0) is that of further parameters.
        """
        return self._way.gauss_newton(direction, metric, np.zeros(self.extra, metric.dtype) if extra is None else extra)


class Autograd:
    """The arithmetic of `MLP` by torch."""

    def __init__(self, module: nn.Sequential) -> None:
        """Differentiate `module` with respect to its parameters."""
        self._module, self._names = module, [name for name, _ in module.named_parameters()]
        self._parameters = list(module.parameters())

    def forward(self, x: Tensor, taped: bool) -> np.ndarray:
        """See `MLP`."""
        with torch.set_grad_enabled(taped):
            output = self._module(x)
        if taped:
            self._input, self._output = x, output
        return output.detach().cpu().numpy()

    def kept(self) -> list[Tensor]:
        """See `MLP`: autograd's own room is new at every call."""
        return []

    def backward(self, dy: np.ndarray, extra: np.ndarray) -> Tensor:
        """See `MLP`."""
        return self._backward(torch.from_numpy(dy).to(self._output.device), extra)

    def _backward(self, dy: Tensor, extra: np.ndarray) -> Tensor:
        gradients = torch.autograd.grad(self._output, self._parameters, dy, retain_graph=True)
        flat = parameters_to_vector(gradients)
        return torch.cat([flat, torch.from_numpy(extra).to(flat)])

    def _jvp(self, direction: Tensor) -> Tensor:
        parts = direction[: sum(map(Tensor.numel, self._parameters))].split([p.numel() for p in self._parameters])
        tangents = tuple(part.view_as(p) for part, p in zip(parts, self._parameters, strict=True))

        def output(*parameters: Tensor) -> Tensor:
            named = dict(zip(self._names, parameters, strict=True))
            return torch.func.functional_call(self._module, named, self._input)

        return torch.func.jvp(output, tuple(p.detach() for p in self._parameters), tangents)[1]

    def gauss_newton(self, direction: Tensor, metric: np.ndarray, extra: np.ndarray) -> Tensor:
        """See `MLP`."""
        return self._backward(self._jvp(direction) * torch.from_numpy(metric).to(direction.device), extra)


class Compiled:
    """The arithmetic of `MLP` by compiled kernels."""

    def __init__(self, module: ModuleType, theta: Tensor, sizes: tuple[int, ...]) -> None:
        """Compute with the kernels of `module`, on `theta` (P,) where it lies."""
        self._kernels, self._theta, self._sizes = module, theta.numpy(), np.array(sizes)
        self._rows = 0
        self._tape = self._scratch = theta.new_empty(0).numpy()

    def forward(self, x: Tensor, taped: bool) -> np.ndarray:
        """See `MLP`."""
        rows = len(x) if taped else min(len(x), self._kernels.CHUNK)
        tape = self._tape if taped else self._scratch
        size = rows * self._kernels.tape_size(self._sizes)
        if len(tape) < size:
            tape = x.new_empty(size).numpy()  # torch's memory: there its size is measured
        work = (self._theta, self._sizes, x.contiguous().numpy(), tape, taped)
        output, folded = self._kernels.forward(*work)
        if taped:
            self._rows, self._tape, self._folded = rows, tape, folded
        else:
            self._scratch = tape
        return output

    def kept(self) -> list[Tensor]:
        """See `MLP`."""
        return [torch.from_numpy(self._tape), torch.from_numpy(self._scratch)]

    def backward(self, dy: np.ndarray, extra: np.ndarray) -> Tensor:
        """See `MLP`."""
        work = (self._theta, self._sizes, self._folded, self._tape, np.ascontiguousarray(dy), extra)
        return torch.from_numpy(self._kernels.backward(*work))

    def gauss_newton(self, direction: Tensor, metric: np.ndarray, extra: np.ndarray) -> Tensor:
        """See `MLP`."""
        work = (self._theta, self._sizes, self._folded, self._tape, self._rows, direction.numpy(), metric, extra)
        return torch.from_numpy(self._kernels.gauss_newton(*work))


@functools.cache
def kernels() -> ModuleType | None:
    """Return the module of compiled kernels; None, and a warning, where there is no compiler.

    What can go wrong is a compiler's business (no numba, one too old for this NumPy, a disk without space, a processor
    it does not know), and training is possible all the same: hence every exception.
    """
    try:
        from . import kernels as module

        with patience("compiling the network's kernels; once per machine, some ten seconds"):
            module.compile_all()
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        print(f"warning: no compiled kernels ({reason}); torch's autograd takes several times longer", file=sys.stderr)
        return None
    return module


@contextmanager
def patience(text: str, after: float = 4.0) -> Iterator[None]:
    """Say what one waits for, if the block takes more than `after` seconds: loading alone may take two."""
    timer = threading.Timer(after, print, [text], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Adam:
    """Adam (Kingma and Ba 2015) on one flat vector, with the gradient's norm clipped first.

    `torch.optim` would cost every process 1.6 s of importing, and each step more than the network's backward.
    """

    def __init__(self, theta: Tensor, lr: float, max_grad_norm: float, eps: float = 1e-5) -> None:
        """Start with zero moments; eps 1e-5 as in the MACPO code base."""
        self.theta, self.lr, self.max_grad_norm, self.eps = theta, lr, max_grad_norm, eps
        self.m, self.v = torch.zeros_like(theta), torch.zeros_like(theta)
        self.t = torch.zeros(1, dtype=torch.float64)  # steps taken
        self._kernels = kernels() if theta.device.type == "cpu" else None
        if self._kernels:
            self._arrays = tuple(tensor.numpy() for tensor in (theta, self.m, self.v, self.t))

    def step(self, grad: Tensor) -> bool:
        """Move `theta` (P,) one step against `grad` (P,); False if `grad` is not finite."""
        if self._kernels:
            return self._kernels.adam(grad.numpy(), *self._arrays, self.lr, self.max_grad_norm, self.eps)
        norm = float(torch.linalg.vector_norm(grad)) + 1e-6  # as in PyTorch
        if not math.isfinite(norm):
            return False
        grad = grad * min(1.0, self.max_grad_norm / norm)
        self.t += 1
        self.m.lerp_(grad, 0.1)
        self.v.mul_(0.999).addcmul_(grad, grad, value=0.001)
        first, second = 1 - 0.9 ** float(self.t), 1 - 0.999 ** float(self.t)
        self.theta.addcdiv_(self.m, (self.v / second).sqrt_().add_(self.eps), value=-self.lr / first)
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
        column.index_select(0, order.to(column.device)) if isinstance(column, Tensor) else column.take(order.numpy(), 0)
        for column in columns
    ]
    for start in range(0, len(order), size):
        yield tuple(column[start : start + size] for column in shuffled)
