"""RGB frames of one world, off screen.

The walls, the obstacle or the watched finger turn red on an unsafe step (the original reddens its obstacle), and yellow
lines on the floor show from where on a step is unsafe. The OpenGL context is made here and not by `mujoco.Renderer`,
whose backend is fixed when MuJoCo is first imported: a training machine without OpenGL must be able to import it, and a
machine without a display to render later in the same process.
"""

import copy
import ctypes
import os
import sys
from abc import ABC, abstractmethod
from ctypes.util import find_library

import mujoco
import numpy as np

from . import forks
from .ant import WALL_DISTANCE, lateral_offset
from .half_cheetah import SAFE_DISTANCE
from .models import WALL_COLOR
from .scenarios import Scenario
from .shadow_hand import SCENES

HEIGHT, WIDTH = 480, 640
UNSAFE_COLOR = (0.9, 0.05, 0.05, 1.0)
LIMIT_COLOR = (1.0, 0.8, 0.0, 1.0)
MISSING_OPENGL = (
    "rendering needs OpenGL without a display: install libegl1, libgl1-mesa-dri and libopengl0, "
    "or libosmesa6 and set MUJOCO_GL=osmesa"
)
FORKED = (
    "OpenGL does not survive a fork: start the process with multiprocessing's method spawn, "
    "or render in the child alone"
)
_processes: set[int] = set()  # in which OpenGL was started: this one and those it was forked from
_CAMERA = {  # distance in metres, elevation in degrees, metres ahead of the robot
    "ant": (9.5, -28.0, 1.0),
    "manyagent_ant": (12.0, -32.0, 0.5),
    "halfcheetah": (9.0, -20.0, 2.5),
}
_TURNS = ((16.0, 24.0, 56.0, 64.0, 96.0, 104.0), (30.0, -30.0, -30.0, 30.0, 30.0, 0.0))  # the corridor's azimuth at x
_CHEETAH_AZIMUTH = 30.0  # the obstacle stays in sight, however far ahead
_WATCHED_LINKS = (  # of the actuators whose action costs, two of the first hand and two of the second
    "first/robot0:V_ffmiddle",
    "first/robot0:V_ffdistal",
    "second/robot0:V_rfknuckle",
    "second/robot0:V_rfproximal",
)
_SMOOTHING = 0.2  # part of the way to the robot that the camera goes in a frame, so that it does not shake
_JUMP = 3.0  # metres: farther than that it is another episode


class Stage(ABC):
    """How a family of tasks is shown: what turns red, where the camera stands, what is drawn beside the model."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, scenario: Scenario) -> None:
        """Choose the geoms that turn red on an unsafe step, and soften the model's looks."""
        self._model, self._data, self._family = model, data, scenario.family
        self.options = mujoco.MjvOption()
        self.camera = mujoco.MjvCamera()

    @abstractmethod
    def colour(self, unsafe: bool) -> None:
        """Colour the model for a safe or an unsafe step."""

    def aim(self) -> None:  # noqa: B027 - a fixed camera needs none
        """Point the camera; `data` has the poses of the moment."""

    def draw(self, scene: mujoco.MjvScene) -> None:  # noqa: B027 - most have nothing to add
        """Add to the scene what the model does not have."""


class _Corridor(Stage):
    """The robots between walls; the camera follows, and lines on the floor show from where on a step is unsafe."""

    hazard = "wall"

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, scenario: Scenario) -> None:
        super().__init__(model, data, scenario)
        names = [model.geom(i).name for i in range(model.ngeom)]
        self._hazards = [i for i, name in enumerate(names) if name.startswith(self.hazard)]
        mujoco.mj_kinematics(model, data)
        self._walls = [(data.geom_xpos[i].copy(), data.geom_xmat[i].copy()) for i in self._hazards]
        self._soften()
        self.camera.distance, self.camera.elevation, self._ahead = _CAMERA[self._family]
        self._target: np.ndarray | None = None  # (2,) what the camera looks at

    def colour(self, unsafe: bool) -> None:
        self._model.geom_rgba[self._hazards] = UNSAFE_COLOR if unsafe else WALL_COLOR

    def _soften(self) -> None:
        """Calm the floor's black and white."""
        model = self._model
        floor = model.geom("floor").id
        model.geom_size[floor, :2] = 500.0  # a fast cheetah would leave the one of the model
        material = model.geom_matid[floor]
        model.mat_texuniform[material], model.mat_texrepeat[material] = True, 0.5  # squares of two metres
        texture = model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB.value]
        start, size = model.tex_adr[texture], model.tex_width[texture] * model.tex_height[texture] * 3
        model.tex_data[start : start + size] = 150 + model.tex_data[start : start + size] // 5

    def _heading(self) -> tuple[float, float]:
        """Return the corridor's direction and the camera's azimuth, in degrees."""
        turn = float(np.interp(self._target[0], *_TURNS))
        return turn, turn

    def aim(self) -> None:
        """Let the camera follow the robot, and turn with a folded corridor."""
        robot = self._data.subtree_com[1, :2]  # body 1 is the root of the robot
        if self._target is None or np.linalg.norm(robot - self._target) > _JUMP:
            self._target = robot.copy()
        self._target += _SMOOTHING * (robot - self._target)
        heading, self.camera.azimuth = self._heading()
        ahead = self._ahead * np.array([np.cos(np.radians(heading)), np.sin(np.radians(heading))])
        self.camera.lookat[:] = *(self._target + ahead), 0.6

    def draw(self, scene: mujoco.MjvScene) -> None:
        for position, turn in self._walls:
            inwards = -np.sign(lateral_offset(*position[:2]))
            _line(scene, position * (1, 1, 0) + (0, inwards * WALL_DISTANCE, 0), turn, (20.0, 0.04))


class _Chase(_Corridor):
    """The cheetah behind its obstacle; its walls are decoration."""

    hazard = "obstacle"

    def _soften(self) -> None:
        """Calm the floor and hide the wall before the camera."""
        super()._soften()
        near = [self._model.geom(i).name.endswith("right") for i in range(self._model.ngeom)]
        self._model.geom_rgba[near, 3] = 0.0

    def _heading(self) -> tuple[float, float]:
        return 0.0, _CHEETAH_AZIMUTH

    def draw(self, scene: mujoco.MjvScene) -> None:
        x = self._data.geom_xpos[self._hazards[0], 0]
        for side in (-1, 1):
            _line(scene, np.array([x + side * SAFE_DISTANCE, 0.0, 0.0]), np.eye(3).ravel(), (0.05, 3.9))


class _Table(Stage):
    """Two hands before a camera that stands still; the links of the watched joints are yellow, and red when unsafe."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, scenario: Scenario) -> None:
        super().__init__(model, data, scenario)
        objects = len(SCENES[scenario.name].starts)
        self._watched = [model.geom(name).id for name in _WATCHED_LINKS[: 2 * objects]]
        model.geom_matid[self._watched] = -1  # a material's colour would win
        self.options.geomgroup[:] = (1, 1, 1, 0, 0, 0)
        distance, y = (0.55, -0.5) if objects == 1 else (0.75, -0.585)
        self.camera.distance, self.camera.lookat[:] = distance, (0.0, y, 0.51)
        self.camera.azimuth, self.camera.elevation = 15.0, -22.0

    def colour(self, unsafe: bool) -> None:
        self._model.geom_rgba[self._watched] = UNSAFE_COLOR if unsafe else LIMIT_COLOR


_STAGES: dict[str, type[Stage]] = {
    "ant": _Corridor,
    "manyagent_ant": _Corridor,
    "halfcheetah": _Chase,
    "shadowhand": _Table,
}


class Renderer:
    """Draws one world of a batch, on the stage of its family."""

    def __init__(self, model: mujoco.MjModel, scenario: Scenario, width: int = WIDTH, height: int = HEIGHT) -> None:
        """Prepare an OpenGL context; raise RuntimeError, saying what to install, if there is none."""
        self._model = copy.copy(model)  # recoloured freely
        self._data = mujoco.MjData(self._model)
        self._size = (width, height)
        self._stage = _STAGES[scenario.family](self._model, self._data, scenario)
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = self._size
        self._model.vis.headlight.ambient[:] = 0.6  # the installed models have one lamp, above: walls would be black
        self._scene = mujoco.MjvScene(self._model, maxgeom=1000)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag.value] = 0  # two thirds of the time on a CPU
        self._gl = _gl_context(width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        forks.in_every_child(self, Renderer._leave_context)

    def _leave_context(self) -> None:
        """Give up drawing in a child process, where the driver's threads do not run and would be waited for."""
        forks.keep(self._context)
        forks.keep(self._gl)
        self._gl = None

    def frame(self, state: np.ndarray, unsafe: bool) -> np.ndarray:
        """Draw the integration state of a world; return (height, width, 3) uint8.

        Raises:
            RuntimeError: in a child process that was forked since.
        """
        if self._gl is None:
            raise RuntimeError(FORKED)
        stage = self._stage
        stage.colour(unsafe)
        mujoco.mj_setState(self._model, self._data, state, mujoco.mjtState.mjSTATE_INTEGRATION.value)
        for place in (mujoco.mj_kinematics, mujoco.mj_comPos, mujoco.mj_camlight):  # no more is drawn
            place(self._model, self._data)
        stage.aim()
        self._gl.make_current()
        category = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, self._data, stage.options, None, stage.camera, category, self._scene)
        stage.draw(self._scene)
        rectangle = mujoco.MjrRect(0, 0, *self._size)
        mujoco.mjr_render(rectangle, self._scene, self._context)
        pixels = np.empty((*self._size[::-1], 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, rectangle, self._context)
        return pixels[::-1].copy()  # OpenGL's first row is the bottom one

    def close(self) -> None:
        """Free the OpenGL context, in the order the driver wants."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()


def _line(scene: mujoco.MjvScene, position: np.ndarray, turn: np.ndarray, half_size: tuple[float, float]) -> None:
    """Add a flat box to the scene."""
    geom, size = scene.geoms[scene.ngeom], np.array([*half_size, 0.01])
    mujoco.mjv_initGeom(geom, mujoco.mjtGeom.mjGEOM_BOX, size, position, turn, np.array(LIMIT_COLOR, np.float32))
    scene.ngeom += 1


def _gl_context(width: int, height: int) -> "mujoco.GLContext":
    """Make MuJoCo's own context where MUJOCO_GL or a display decides, else one that needs no display."""
    if _processes - {os.getpid()}:
        raise RuntimeError(FORKED)
    _processes.add(os.getpid())
    try:
        if os.environ.get("MUJOCO_GL") or os.environ.get("DISPLAY") or sys.platform != "linux":
            from mujoco import GLContext
        elif find_library("EGL") and (find_library("OpenGL") or find_library("GL")):  # PyOpenGL needs both
            from mujoco.egl import GLContext
        else:
            from mujoco.osmesa import GLContext
        return GLContext(width, height)
    except (ImportError, AttributeError, OSError, RuntimeError, ctypes.ArgumentError) as error:  # missing libraries
        raise RuntimeError(MISSING_OPENGL) from error
