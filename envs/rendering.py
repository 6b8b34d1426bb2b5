"""RGB frames of one world, off screen.

The walls or the obstacle turn red on an unsafe step (the original reddens its obstacle). The OpenGL context is made
here and not by `mujoco.Renderer`, whose backend is fixed when MuJoCo is first imported: a training machine without
OpenGL must be able to import it, and a machine without a display to render later in the same process.
"""

import copy
import ctypes.util
import os
import sys

import mujoco
import numpy as np

from envs.models import WALL_COLOR

HEIGHT, WIDTH = 480, 640  # MuJoCo's default offscreen buffer
UNSAFE_COLOR = (0.9, 0.05, 0.05, 1.0)
MISSING_OPENGL = (
    "rendering needs OpenGL without a display: install libegl1 and libgl1-mesa-dri, "
    "or libosmesa6 and set MUJOCO_GL=osmesa"
)
_CAMERA = {  # distance in metres, azimuth and elevation in degrees: behind the robot, with both walls in sight
    "ant": (12.0, 30.0, -26.0),
    "manyagent_ant": (14.0, 30.0, -30.0),
    "halfcheetah": (9.0, 22.0, -18.0),
}


class Renderer:
    """Draws one world of a batch from behind and above the robot."""

    def __init__(self, model: mujoco.MjModel, family: str) -> None:
        """Prepare an OpenGL context; raise RuntimeError, saying what to install, if there is none."""
        self._model = copy.copy(model)  # recoloured freely
        self._data = mujoco.MjData(self._model)
        names = [self._model.geom(i).name for i in range(self._model.ngeom)]
        hazard = "obstacle" if "obstacle" in names else "wall"  # the cheetah's walls are decoration
        self._hazards = [i for i, name in enumerate(names) if name.startswith(hazard)]
        self._model.vis.headlight.ambient[:] = 0.6  # the installed models have one lamp, above: walls would be black
        self._camera = mujoco.MjvCamera()
        self._camera.distance, self._camera.azimuth, self._camera.elevation = _CAMERA[family]
        self._scene = mujoco.MjvScene(self._model, maxgeom=1000)
        self._gl = _gl_context()
        self._gl.make_current()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)

    def frame(self, state: np.ndarray, unsafe: bool) -> np.ndarray:
        """Draw the integration state of a world; return (480, 640, 3) uint8."""
        self._model.geom_rgba[self._hazards] = UNSAFE_COLOR if unsafe else WALL_COLOR
        mujoco.mj_setState(self._model, self._data, state, mujoco.mjtState.mjSTATE_INTEGRATION.value)
        mujoco.mj_forward(self._model, self._data)
        self._camera.lookat[:] = self._data.subtree_com[1]  # body 1 is the root of the robot
        self._gl.make_current()
        options, category = mujoco.MjvOption(), mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, self._data, options, None, self._camera, category, self._scene)
        rectangle = mujoco.MjrRect(0, 0, WIDTH, HEIGHT)
        mujoco.mjr_render(rectangle, self._scene, self._context)
        pixels = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, rectangle, self._context)
        return pixels[::-1].copy()  # OpenGL's first row is the bottom one

    def close(self) -> None:
        """Free the OpenGL context, in the order the driver wants."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()


def _gl_context() -> "mujoco.GLContext":
    """Make MuJoCo's own context where MUJOCO_GL or a display decides, else one that needs no display."""
    try:
        if os.environ.get("MUJOCO_GL") or os.environ.get("DISPLAY") or sys.platform != "linux":
            from mujoco import GLContext
        elif ctypes.util.find_library("EGL"):
            from mujoco.egl import GLContext
        else:
            from mujoco.osmesa import GLContext
        return GLContext(WIDTH, HEIGHT)
    except (ImportError, AttributeError, OSError, RuntimeError) as error:  # PyOpenGL's ways to miss a library
        raise RuntimeError(MISSING_OPENGL) from error
