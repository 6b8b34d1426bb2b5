"""The workflow's own Python: which runs a suite needs, with which settings, and how far they are.

Nothing here imports torch, mujoco or pandas: Snakemake reads these modules at every call. The rules stay free of logic.
"""

import os
import sys
from pathlib import Path


def use_this_python() -> None:
    """Let the `python` of the rules be the one that runs Snakemake, also where its environment is not activated."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
