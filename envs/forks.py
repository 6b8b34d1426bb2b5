"""What the child of a fork cannot use: threads and OpenGL contexts stay with the parent.

Their destructors would wait for them for ever, so the child keeps such an object until it ends.
"""

import ctypes
import os
import weakref
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_watched: dict[weakref.ref, Callable] = {}


def in_every_child(thing: T, mend: Callable[[T], None]) -> None:
    """Call `mend(thing)` in every process that a fork makes from this one, as long as `thing` lives."""
    _watched[weakref.ref(thing, lambda gone: _watched.pop(gone, None))] = mend


def keep(thing: object) -> None:
    """Never destroy `thing` in this process."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _mend_all() -> None:
    for reference, mend in list(_watched.items()):
        thing = reference()
        if thing is not None:
            mend(thing)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_mend_all)
