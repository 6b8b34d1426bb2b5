"""Where results come from: versions of code and libraries, hardware, threads. No host name, no user."""

import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from ..core.networks import kernels

PACKAGES = ("torch", "mujoco", "numpy", "numba", "gymnasium", "gymnasium-robotics")


def provenance(device: torch.device, threads: int | None) -> dict:
    """Return what a run's record says of the machine and the code; `threads` are those of the physics."""
    return {
        **_commit(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "hardware": {
            "machine": platform.machine(),
            "cpu": _cpu(),
            "capability": torch.backends.cpu.get_cpu_capability(),  # instructions: others round other last bits
            "cores": psutil.cpu_count(logical=False),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "system": platform.system(),
        },
        "networks": "compiled" if device.type == "cpu" and kernels() else "torch",
        "threads": {"physics": threads, "torch": torch.get_num_threads()},
    }


def now() -> str:
    """Return the time by the system's clock, ISO 8601 in UTC; for people to read: nothing is computed from it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(name: str) -> str | None:
    """Return the version of a package, None of one that is not installed: training does without a compiler."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    """Return the processor's model as far as the system tells it."""
    path = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", path.read_text(), re.MULTILINE) if path.exists() else None
    return found.group(1) if found else platform.processor() or platform.machine()


def _commit() -> dict:
    """Return the commit of the source tree and whether tracked files differ from it; None for both outside of git."""
    command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent)]
    command += ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": text.removesuffix("-dirty"), "dirty": text.endswith("-dirty")}
