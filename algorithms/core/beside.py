"""The critics' regression beside the actors' updates, in a process of its own: what a second thread of a run is for.

Neither needs the other's result, and each is a core's work; two threads of one process would take turns at Python's
interpreter lock. The arithmetic is the same wherever it runs, so a run has the same bytes at any number of threads.
"""

import contextlib
import multiprocessing
import pickle
import resource
import signal
import sys

import numpy as np
import torch
from torch import Tensor

from .critic import Critics


class Beside:
    """Regresses `critics` in another process, which keeps nothing between calls and ends with this one."""

    def __init__(self, critics: Critics) -> None:
        """Start the process; it is ready after some seconds, which the first rollout covers."""
        self.critics, self.peak_rss_mib = critics, 0.0
        context = multiprocessing.get_context("spawn")
        self._connection, end = context.Pipe()
        context.Process(target=_serve, args=(end, critics.arguments), daemon=True).start()
        end.close()

    def begin(self, observation: Tensor, target: np.ndarray, output: np.ndarray) -> None:
        """Begin `critics.regress` with these arguments."""
        self._work = (observation.contiguous(), target, output)  # a view would be sent with all it is a view of
        with contextlib.suppress(OSError):  # it was killed: `finish` finds out as well
            self._connection.send_bytes(pickle.dumps((self.critics.state_dict(), *self._work)))

    def finish(self) -> None:
        """Wait for the result. If the other process was killed, do its work here: nothing is lost but time."""
        try:
            state, self.peak_rss_mib = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            self.critics.regress(*self._work)
        else:
            self.critics.load_state_dict(state)


def peak_rss_mib() -> float:
    """Return the largest resident set of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _serve(connection, arguments: tuple) -> None:
    """Answer requests until the other end is closed, or a number is not finite: that is found again over there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches this process as well: no traceback
    torch.set_num_threads(1)
    critics = Critics(*arguments)
    with torch.no_grad(), contextlib.suppress(EOFError, OSError, ArithmeticError):
        while True:
            state, *work = pickle.loads(connection.recv_bytes())  # send() would pass tensors on as file descriptors
            critics.load_state_dict(state)
            critics.regress(*work)
            connection.send_bytes(pickle.dumps((critics.state_dict(), peak_rss_mib())))
