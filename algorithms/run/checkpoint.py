"""Checkpoints: everything that a run needs to go on, in files that are used whole or not at all.

A checkpoint is a line of text - format version and SHA-256 - and what torch.save wrote; torch.load alone would notice a
file that ends early, but no changed byte. It holds tensors and plain data only, so that loading it runs no code of the
file's (`weights_only=True`).
"""

import hashlib
import io
import os
import re
import sys
from pathlib import Path

import numpy as np
import torch

from .folder import sync, write_part

FORMAT = 3  # to be raised whenever what a checkpoint holds changes
NEWEST, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
_HEADER = re.compile(rb"mafocops checkpoint (\d+) ([0-9a-f]{64})\n")
_ARRAY = "numpy.ndarray"  # marks the dict that stands for an array or a NumPy scalar


class Damaged(Exception):
    """A file is not, or no longer, a whole checkpoint."""


def save(folder: Path, state: dict) -> None:
    """Write `state` (nested dicts, lists and tuples of arrays, tensors and plain data) as the newest checkpoint.

    The one before stays beside it. A process that dies between the two renames leaves the one before only.

    Raises:
        OSError: it cannot be written; earlier checkpoints are untouched.
        TypeError: the state holds something that could not be loaded again.
    """
    buffer = io.BytesIO()
    torch.save(to_plain(state), buffer)
    content, newest = buffer.getvalue(), folder / NEWEST
    header = f"mafocops checkpoint {FORMAT} {_digest(FORMAT, content)}\n".encode()
    part = write_part(newest, header + content)
    if newest.exists():
        os.replace(newest, folder / PREVIOUS)
    os.replace(part, newest)
    sync(folder)


def load(folder: Path, identity: dict) -> dict | None:
    """Return the state of the newest whole checkpoint of the run `identity`; None if the run has to begin anew.

    A damaged checkpoint is reported on stderr and the one before takes its place. Without a whole one the run begins
    anew: it is a pure function of its settings, so that costs time and nothing else - but only where run.json tells
    that the folder is this run's.

    Raises:
        ValueError: the checkpoint has another format or is of another run, or nothing tells whose damaged file it is.
    """
    damaged = None
    for name in (NEWEST, PREVIOUS):
        path = folder / name
        try:
            state = read(path)
        except FileNotFoundError:
            continue
        except Damaged as error:
            print(f"warning: {path} is damaged ({error}), so an earlier checkpoint is tried", file=sys.stderr)
            damaged = path
            continue
        if state["identity"] | {"steps": None} != identity | {"steps": None}:
            raise ValueError(f"{path} belongs to another run or other settings; choose another --output")
        if name == PREVIOUS:
            os.replace(path, folder / NEWEST)  # else the next save would move the damaged one over the good one
        return state
    if damaged and not (folder / "run.json").exists():
        raise ValueError(f"{damaged} is damaged and {folder} holds no run.json to tell whose it is; delete it")
    if damaged:
        print(f"warning: {folder} holds no checkpoint that can be read, so the run begins anew", file=sys.stderr)
    return None


def read(path: Path) -> dict:
    """Return the state in a file.

    Raises:
        Damaged: it is not, or no longer, a whole checkpoint.
        ValueError: it has another format.
    """
    data = path.read_bytes()
    header = _HEADER.match(data)
    if not header:
        raise Damaged("it does not begin like a checkpoint")
    version, digest, content = int(header[1]), header[2].decode(), data[header.end() :]
    if _digest(version, content) != digest:
        raise Damaged("its checksum does not fit")
    if version != FORMAT:
        raise ValueError(
            f"{path} has checkpoint format {version}, this program reads format {FORMAT}; choose another --output"
        )
    return from_plain(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def to_plain(tree):
    """Return `tree` with NumPy arrays and scalars as tensors, for torch.load to accept; `from_plain` gives them back.

    Raises:
        TypeError: the tree holds something else than dicts, lists, tuples, arrays, tensors and plain data.
    """
    if isinstance(tree, np.ndarray | np.generic):
        return {_ARRAY: torch.from_numpy(np.array(tree)), "scalar": isinstance(tree, np.generic)}
    if isinstance(tree, dict):
        return {key: to_plain(value) for key, value in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(map(to_plain, tree))
    if tree is None or isinstance(tree, torch.Tensor) or type(tree) in (bool, int, float, str, bytes):
        return tree
    raise TypeError(f"a checkpoint cannot hold {tree!r} of type {type(tree).__name__}: use arrays and plain data")


def from_plain(tree):
    """Return what `to_plain` was given."""
    if isinstance(tree, dict):
        if _ARRAY in tree:
            array = tree[_ARRAY].numpy()
            return array[()] if tree["scalar"] else array
        return {key: from_plain(value) for key, value in tree.items()}
    return type(tree)(map(from_plain, tree)) if isinstance(tree, list | tuple) else tree


def _digest(version: int, content: bytes) -> str:
    return hashlib.sha256(b"%d\n" % version + content).hexdigest()
