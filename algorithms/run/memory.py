"""How much memory a run takes: peak resident set, peak tensor bytes during the update, and a GPU's own figures."""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MIB = 2**20


def gpu_process_mib(device: torch.device) -> float | None:
    """Return what the driver says this process holds on the GPU, in MiB; None without one or without its word."""
    if device.type != "cuda":
        return None
    import pynvml  # only needed with a GPU

    try:
        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(device).uuid)
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
        for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
            if process.pid == os.getpid() and process.usedGpuMemory is not None:
                return process.usedGpuMemory / MIB
    except pynvml.NVMLError:
        pass
    return None


class TensorTrace(TorchDispatchMode):
    """Counts the bytes of tensor storages that operations create while it is active, and their peak.

    Storages alive before are not seen; add them with `held`. Scratch space inside an operation is not seen either, nor
    NumPy's arrays, of which an update holds a few numbers per row.
    """

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__()
        self.alive, self.peak = 0, 0
        self._known: set[int] = set()

    def held(self, tensors: list[torch.Tensor]) -> None:
        """Count tensors that exist already."""
        for tensor in tensors:
            self._count(tensor)

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        if not size or key in self._known:
            return
        self._known.add(key)
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.alive -= size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: D105
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf)
        return result


@contextmanager
def update_peak(device: torch.device, trace: bool, tensors: list[torch.Tensor]) -> Iterator[dict[str, float]]:
    """Measure the peak of tensor memory inside the block; the yielded dict then holds it as "mib".

    On a GPU it is the peak of torch's allocator, for free. On the CPU every operation is traced, which takes several
    times longer: only with `trace`, and a row measured this way does not count for speed.
    """
    found: dict[str, float] = {}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield found
        found["mib"] = torch.cuda.max_memory_allocated(device) / MIB
    elif trace:
        with TensorTrace() as tracer:
            tracer.held(tensors)
            yield found
        found["mib"] = tracer.peak / MIB
    else:
        yield found
