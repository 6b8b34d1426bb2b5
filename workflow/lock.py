"""Locks on files that vanish with the process that holds them, however it ends.

Snakemake's own lock is a file that outlives a killed process and then has to be removed by hand (`--unlock`);
profiles/default switches it off, and `hold` takes its place. The locks are advisory (flock). On a network file system
they hold between machines only if the mount passes them on to the server (NFS by default, Lustre with `-o flock`).
"""

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: nothing there vanishes with the process as surely
    fcntl = None

NAME = "snakemake.lock"


def hold(folder: Path) -> IO[str]:
    """Return an open file that keeps `folder`, made if need be, for this Snakemake until it ends.

    Raises:
        ValueError: another process holds the folder, or this system has no such locks.
    """
    if fcntl is None:
        raise ValueError(f"the workflow needs bash and file locks, which {platform.system()} lacks: use WSL or Linux")
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / NAME).open("a+")
    refusal = f"{folder} is being made by {{}}: wait for it or end it first"
    claim(file, refusal, f"start no second Snakemake in {folder}")
    return file


def claim(file: IO[str], refusal: str, advice: str) -> None:
    """Lock an open file and write this process into it; where there are no locks at all, one sentence says so.

    Args:
        file: open for reading and appending; closed if it is refused.
        refusal: what to say if another process has it, `{}` in it.
        advice: what not to do where nothing can be locked.

    Raises:
        ValueError: another process holds it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise ValueError(refusal.replace("{}", holder)) from None
    except OSError as error:
        print(f"warning: {file.name} cannot be locked ({error.strerror}): {advice}", file=sys.stderr)
    with contextlib.suppress(OSError):  # on a full disk the lock holds without a name as well
        file.truncate(0)
        os.write(file.fileno(), f"process {os.getpid()} on {platform.node()}\n".encode())


def wait(file: IO[str]) -> None:
    """Lock an open file as soon as nobody else has it; where there are no locks, at once."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)


def held(path: Path) -> bool:
    """Return whether another process has a file locked."""
    if fcntl is not None:
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
    return False
