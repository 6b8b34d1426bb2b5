"""One Snakemake per results folder.

Snakemake's own lock is a file that outlives a killed process and then has to be removed by hand (`--unlock`). This one
belongs to the process and vanishes with it, however that ends; profiles/default switches the other off.
"""

import contextlib
import fcntl
import os
import platform
import sys
from pathlib import Path
from typing import IO

NAME = "snakemake.lock"


def hold(folder: Path) -> IO[str]:
    """Return an open file that keeps `folder`, made if need be, for this process until it ends.

    On a network file system this holds between machines only if the mount passes locks on to the server (NFS by
    default, Lustre with `-o flock`); where there are no locks at all, one sentence says so.

    Raises:
        ValueError: another process holds the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / NAME).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise ValueError(f"{folder} is being made by {holder}: wait for it or end it first") from None
    except OSError as error:
        print(
            f"warning: {folder} cannot be locked ({error.strerror}): start no second Snakemake in it", file=sys.stderr
        )
    with contextlib.suppress(OSError):  # on a full disk the lock holds without a name as well
        file.truncate(0)
        os.write(file.fileno(), f"process {os.getpid()} on {platform.node()}\n".encode())
    return file
