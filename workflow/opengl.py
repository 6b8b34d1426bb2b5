"""Whether this machine can render without a display, found out without importing anything that renders."""

import os
import sys
from ctypes.util import find_library

NEEDED = {"egl": "libegl1, libgl1-mesa-dri and libopengl0", "osmesa": "libosmesa6"}  # Debian's packages by MUJOCO_GL


def missing() -> str:
    """Return one sentence on what to install before videos can be made; nothing if they can.

    MuJoCo's variable MUJOCO_GL chooses between EGL and OSMesa, or disables rendering; else either of them will do.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    if chosen in ("disable", "disabled", "off", "false", "0"):
        return f"MUJOCO_GL={chosen} disables rendering: unset it to make videos"
    if sys.platform != "linux" or chosen not in ("", *NEEDED) or (os.environ.get("DISPLAY") and not chosen):
        return ""  # a display's own OpenGL
    egl = find_library("EGL") and (find_library("OpenGL") or find_library("GL"))
    if (egl and chosen != "osmesa") or (chosen != "egl" and find_library("OSMesa")):
        return ""
    packages = NEEDED.get(chosen, " or ".join(NEEDED.values()))
    return f"videos are left out, for there is no OpenGL: install {packages} (Debian's names)"
