"""The workflow's own Python: which runs a suite needs, with which settings, and how far they are.

Nothing here imports torch, mujoco or pandas: Snakemake reads these modules at every call. The rules stay free of logic.
"""

import os
import sys
from pathlib import Path


def use_this_code() -> None:
    """Let the rules run this Python and this repository, whatever is activated and wherever Snakemake is called."""
    for name, first in (("PATH", Path(sys.executable).parent), ("PYTHONPATH", Path(__file__).resolve().parent.parent)):
        os.environ[name] = os.pathsep.join(filter(None, [str(first), os.environ.get(name)]))
