"""Whether this machine can render without a display, found out without importing anything that renders."""

import ctypes.util
import os
import sys

LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}  # by MUJOCO_GL


def missing() -> str:
    """Return one sentence on what to install before videos can be made; nothing if they can.

    MuJoCo's variable MUJOCO_GL chooses between EGL and OSMesa, or disables rendering; else either of them will do.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    if chosen in ("disable", "disabled", "off", "false", "0"):
        return f"MUJOCO_GL={chosen} disables rendering: unset it to make videos"
    if sys.platform != "linux" or chosen not in ("", *LIBRARIES) or (os.environ.get("DISPLAY") and not chosen):
        return ""  # a display's own OpenGL
    names = [LIBRARIES[chosen]] if chosen else LIBRARIES.values()
    if any(map(ctypes.util.find_library, names)):
        return ""
    package = "libosmesa6" if chosen == "osmesa" else "libegl1 and libgl1-mesa-dri"
    return f"there is no OpenGL, so no videos are made: install {package} (Debian's names)"
