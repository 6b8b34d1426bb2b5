"""One process per run folder."""

import contextlib
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: nothing there vanishes with the process as surely, so nothing is locked
    fcntl = None

NAME = "run.lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`, made if need be, for this process alone; afterwards an empty one is removed.

    The lock is advisory (flock) and vanishes with the process, however that ends. On a network file system it holds
    between machines only if the mount passes locks on to the server (NFS by default, Lustre with `-o flock`); where
    there are no locks at all, one sentence says so and the run goes on.

    Raises:
        ValueError: another process holds the folder.
        OSError: the folder cannot be made or written to.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    while True:
        file = path.open("a+")
        _lock(file, folder)
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()  # the holder before us removed this file between our opening and locking it
    with file:
        with contextlib.suppress(OSError):  # on a full disk the lock holds without a name as well
            file.truncate(0)
            os.write(file.fileno(), f"process {os.getpid()} on {platform.node()}\n".encode())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # what is left behind here does no harm
                path.unlink()
                if not any(folder.iterdir()):
                    folder.rmdir()


def _lock(file: IO[str], folder: Path) -> None:
    """Lock an open file, or raise ValueError with the holder's name."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise ValueError(f"{folder} is being trained in by {holder}; wait for it, or choose another --output") from None
    except OSError as error:
        print(f"warning: {folder} cannot be locked ({error.strerror}): start no other run in it", file=sys.stderr)
