"""One process per run folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from workflow import lock

NAME = "run.lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`, made if need be, for this process alone; afterwards an empty one is removed.

    Where the system knows no such locks (Windows) nothing is held; see `workflow.lock`.

    Raises:
        ValueError: another process holds the folder.
        OSError: the folder cannot be made or written to.
    """
    if lock.fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    refusal = f"{folder} is being trained in by {{}}; wait for it, or choose another --output"
    while True:
        file = path.open("a+")
        lock.claim(file, refusal, f"start no other run in {folder}")
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()  # the holder before us removed this file between our opening and locking it
    with file:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # what is left behind here does no harm
                path.unlink()
                if not any(folder.iterdir()):
                    folder.rmdir()
