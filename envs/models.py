"""Models of the three robots with their corridors, edited from the assets of gymnasium and gymnasium-robotics.

Nothing is written outside a temporary directory and no MJCF of the original benchmark is shipped. Ant and ManyAgent Ant
get walls folded by 30 degrees, HalfCheetah a straight corridor and a motorised obstacle on a slide joint. In the
original the walls are boxes of 1.1e-6 kg on free joints ("free"), which a robot walks through like paper; the default
"ghost" draws them as static geoms without collisions, about 2.6 times faster; "solid" walls contain the robot and make
a different task.
"""

import importlib.util
import tempfile
from math import cos, radians, sin
from pathlib import Path

import mujoco

from .scenarios import Scenario

WALL_COLOR = (0.45, 0.62, 0.8, 1.0)
CORRIDOR_HALF_WIDTH = {"ant": 5.0, "manyagent_ant": 4.5}  # m, from the centre line to a wall, along y
_WALL_HALF_SIZE = (20.0, 0.01, 0.7)  # m
_WALL_DENSITY = 1e-6  # kg/m3
_WALL_CENTRE_X = {"ant": (0.0, 40.0, 80.0), "manyagent_ant": (0.0,)}  # m; yaw +30, -30, +30 degrees in turn
_MANY_AGENT_ANT_TIMESTEP = 0.005  # s; the installed template says 0.01
_CHEETAH_TOTAL_MASS = 14.0  # kg, obstacle included


def _gymnasium_asset(name: str) -> str:
    """Path of an MJCF file of gymnasium, found without importing the package."""
    return str(package_folder("gymnasium") / "envs" / "mujoco" / "assets" / name)


def package_folder(package: str) -> Path:
    """Folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the robots' models come with {package}, which is not installed")
    return Path(spec.submodule_search_locations[0])


def _many_segment_ant(segments: int) -> mujoco.MjSpec:
    """The many-segment ant of gymnasium-robotics, generated into a directory of its own.

    The generator's file is executed alone: importing its package registers dozens of environments and takes seconds.
    """
    path = package_folder("gymnasium_robotics") / "envs" / "multiagent_mujoco" / "many_segment_ant.py"
    spec = importlib.util.spec_from_file_location("many_segment_ant", path)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    with tempfile.TemporaryDirectory() as folder:
        asset = str(Path(folder) / "many_segment_ant.xml")
        generator.gen_asset(segments, asset)
        return mujoco.MjSpec.from_file(asset)


def ant(scenario: Scenario, walls: str) -> mujoco.MjModel:
    """Compile an ant of either family between `ghost`, `free` or `solid` walls."""
    if scenario.family == "ant":
        spec, torso = mujoco.MjSpec.from_file(_gymnasium_asset("ant.xml")), "torso"
    else:
        spec, torso = _many_segment_ant(scenario.segments), "torso_0"
        spec.option.timestep = _MANY_AGENT_ANT_TIMESTEP
    _resize_floor(spec, x=30.0, half_size=(70.0, 25.0))
    for fold, x in enumerate(_WALL_CENTRE_X[scenario.family]):
        for side in (1, -1):
            yaw = radians(30.0 if fold % 2 == 0 else -30.0)
            _add_wall(spec, walls, (x, side * CORRIDOR_HALF_WIDTH[scenario.family], 1.0), yaw)
    # mujoco.batch does not compute cfrc_ext, which the contact term of the reward reads, unless a sensor needs it
    spec.body(torso).add_site(name="contact", pos=(0, 0, 0))
    spec.add_sensor(
        name="contact", type=mujoco.mjtSensor.mjSENS_FORCE, objtype=mujoco.mjtObj.mjOBJ_SITE, objname="contact"
    )
    return spec.compile()


def _resize_floor(spec: mujoco.MjSpec, x: float, half_size: tuple[float, float]) -> None:
    """Draw the floor under the whole corridor; for collisions a plane is infinite anyway."""
    floor = spec.geom("floor")
    floor.pos = (x, 0.0, 0.0)
    floor.size = (*half_size, 40.0)


def _add_wall(spec: mujoco.MjSpec, walls: str, position: tuple[float, float, float], yaw: float) -> None:
    name = f"wall{sum(geom.name.startswith('wall') for geom in spec.geoms) + 1}"
    quat = (cos(yaw / 2), 0.0, 0.0, sin(yaw / 2))
    collides = int(walls != "ghost")
    box = {
        "name": name,
        "type": mujoco.mjtGeom.mjGEOM_BOX,
        "size": _WALL_HALF_SIZE,
        "density": _WALL_DENSITY,
        "contype": collides,
        "conaffinity": collides,
        "rgba": WALL_COLOR,
    }
    if walls == "free":
        body = spec.worldbody.add_body(name=name, pos=position, quat=quat)
        body.add_freejoint()
        body.add_geom(**box)
    else:
        spec.worldbody.add_geom(pos=position, quat=quat, **box)


def half_cheetah() -> mujoco.MjModel:
    """Compile the cheetah with its obstacle."""
    spec = mujoco.MjSpec.from_file(_gymnasium_asset("half_cheetah.xml"))
    _resize_floor(spec, x=65.0, half_size=(150.0, 40.0))
    for x in (0.0, 50.0, 100.0, 150.0):
        for y in (-4.0, 4.0):
            _add_corridor_box(spec, x, y)
    _add_obstacle(spec)
    spec.compiler.settotalmass = -1.0  # deprecated in MuJoCo 4: the two calls below do the same
    model = spec.compile()
    mujoco.mj_setTotalmass(model, _CHEETAH_TOTAL_MASS)
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def _add_corridor_box(spec: mujoco.MjSpec, x: float, y: float) -> None:
    """Add decoration: the cheetah moves in the plane y = 0 and cannot touch it."""
    spec.worldbody.add_geom(
        name=f"wall_{x:.0f}_{'left' if y > 0 else 'right'}",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=(x, y, 1.0),
        size=(24.8, 0.1, 1.0),
        contype=0,
        conaffinity=0,
        rgba=WALL_COLOR,
    )


def _add_obstacle(spec: mujoco.MjSpec) -> None:
    """Add the box that moves along x; it comes after the cheetah, so the robot's indices stay gymnasium's."""
    body = spec.worldbody.add_body(name="obstacle", pos=(5.0, 0.0, 0.7))
    body.add_joint(
        name="obstacle",
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=(1, 0, 0),
        range=(-5000.0, 5000.0),
        damping=[0.2, 0.0, 0.0],
        stiffness=[0.0, 0.0, 0.0],
    )
    body.add_geom(
        name="obstacle",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=(5.0, 0.0, 0.7),
        size=(0.1, 2.3, 1.3),
        density=1e-4,
        contype=1,
        conaffinity=1,
        rgba=WALL_COLOR,
    )
    motor = spec.add_actuator(name="obstacle", target="obstacle", trntype=mujoco.mjtTrn.mjTRN_JOINT)
    motor.gear[0] = 120.0
