"""What a run does when it is asked to end, by SIGTERM or Ctrl-C: exit with status 128 + the signal's number."""

import contextlib
import os
import signal
import time

GRACE = 1.0  # seconds; a launcher often passes on a signal that the terminal or scheduler sent to the run as well


def end_at_once() -> None:
    """End at once when asked to: before training there is nothing to save."""
    _handle(lambda number, _: os._exit(128 + number))


def end_after_iteration() -> list[int]:
    """Return a list that receives the signal's number when the process is asked to end.

    Asked again after `GRACE`, it ends at once: as harmless as a kill, and as costly.
    """
    received: list[int] = []
    first = 0.0

    def ask(number: int, _) -> None:
        nonlocal first
        now = time.monotonic()
        if received and now - first > GRACE:
            os._exit(128 + number)
        if not received:
            first = now
            with contextlib.suppress(OSError):
                os.write(2, b"asked to end: saving after this iteration; once more to end at once\n")
        received.append(number)

    _handle(ask)
    return received


def _handle(handler) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)
