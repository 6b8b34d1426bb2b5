"""Two Shadow hands pass an egg (ShadowHandOver) or turn a cube each (ShadowHandReOrientation), with one finger watched.

The tasks of Safe Multi-Agent Isaac Gym as its code has them, on other physics: the hands are the open MJCF that
gymnasium-robotics ships, edited in memory, with their own gains. Returns are not comparable with those of PhysX.

Reward, shared: exp(-10 d - 0.2 theta) for the egg, d metres and theta radians from its goal; for the cubes the sum of
-10 d + 1.5 / (theta + 0.1), less 0.0002 times the squared clamped actions. Cost, shared: 1 where the action on joint
FFJ1 of hand 1 leaves [-0.1, 0.1]; with the cubes also that on RFJ3 of hand 2, where the original counts 24 joints for
20 actions. It is an action that costs, not a motion, and equation 27 prints no clearer. `fall="end"` ends the episode
when an object falls, as published, which makes dropping it cheap; `fall="continue"` lets the episode run to its limit.

Deviations: joints start inside their limits with the coupled pairs in step, and objects free of the palm; the first
observation of an episode is shown; joint and fingertip forces are MuJoCo's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch

from .models import package_folder
from .scenarios import Scenario
from .task import Task

HANDS = ("first/", "second/")
FINGERS = ("ff", "mf", "rf", "lf", "th")
SAFE_ACTION = 0.1  # of the watched actuators
WATCHED = ("first", "second")  # names of the costs, one per hand
WATCHED_ACTUATORS = (4, 28)  # FFJ1 of the first hand, RFJ3 of the second
FALLEN = 0.2  # m, height of an object's centre
REACHED = 0.05  # m from the goal at the end of an episode: ours, the original has no success

_TIMESTEP = 1 / 240  # s
_MOUNT = 0.5  # m, height of the hands' mounts
_PALM_TOP = 0.5011  # m
_CLEARANCE = 0.004  # m, between the palm and a new object
_DENSITY = 500.0  # kg/m3
_JOINTS, _ACTUATORS = 24, 20  # of a hand
_UNDRIVEN = (5, 9, 13, 18)  # FFJ0, MFJ0, RFJ0, LFJ0, each coupled to the joint before it
_COUPLING = 0.00805 / 0.00705  # of J0 to J1
_HAND, _OBJECT = 187, 24  # numbers of an observation
_OBSERVED = 5.0  # every entry of an observation is clamped to this
_START_OF_JOINTS, _START_OF_OBJECTS = 0.2, 0.01  # part of the joints' range; metres
_DRAWS = 31  # of a start: 3 of position, 2 of rotation, 24 joints, 2 of the goal's rotation
_HAND_XML = """<mujoco><compiler angle="radian" meshdir="{assets}/stls/hand"/>
<include file="{assets}/hand/shared.xml"/>
<asset><include file="{assets}/hand/shared_asset.xml"/></asset>
<worldbody><include file="{assets}/hand/robot.xml"/></worldbody></mujoco>"""


@dataclass(frozen=True)
class Scene:
    """What distinguishes the two tasks.

    Attributes:
        second: y of the second hand's mount, in metres; the first is at 0.
        kind: geom type of the objects.
        size: semi-axes or half edges of the objects, in metres.
        starts: of the objects, (x, y, z) in metres.
        goals: of the objects.
        colors: of the objects.
    """

    second: float
    kind: mujoco.mjtGeom
    size: tuple[float, float, float]
    starts: tuple[tuple[float, float, float], ...]
    goals: tuple[tuple[float, float, float], ...]
    colors: tuple[tuple[float, float, float], ...]


_FIRST, _SECOND = (0.0, -0.39, 0.54), (0.0, -0.78, 0.54)
SCENES = {
    "shadowhandover": Scene(
        second=-1.0,
        kind=mujoco.mjtGeom.mjGEOM_ELLIPSOID,
        size=(0.03, 0.03, 0.04),
        starts=(_FIRST,),
        goals=((0.0, -0.64, 0.54),),
        colors=((0.4, 0.55, 0.85),),
    ),
    "shadowhandreorientation": Scene(
        second=-1.15,
        kind=mujoco.mjtGeom.mjGEOM_BOX,
        size=(0.025, 0.025, 0.025),
        starts=(_FIRST, _SECOND),
        goals=(_FIRST, _SECOND),
        colors=((0.4, 0.55, 0.85), (0.3, 0.6, 0.45)),
    ),
}


def model_of(scene: Scene) -> mujoco.MjModel:
    """Compile two hands, the objects and the goals; nothing is written to disk."""
    spec = mujoco.MjSpec()
    spec.option.timestep = _TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    world = spec.worldbody
    world.add_light(type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=(0, -0.5, 2), dir=(0, 0, -1))
    for prefix, y, quat in zip(HANDS, (0.0, scene.second), ((1, 0, 0, 0), (0, 0, 0, 1)), strict=True):
        frame = world.add_frame(pos=(0, y, _MOUNT), quat=quat)
        spec.attach(_hand(), frame=frame, prefix=prefix)
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(2, 2, 0.1),
        contype=1,
        conaffinity=0,
        rgba=(0.3, 0.33, 0.38, 1),
    )
    for k, start in enumerate(scene.starts):
        body = world.add_body(name=f"object{k}", pos=start)
        body.add_freejoint()
        body.add_geom(
            name=f"object{k}",
            type=scene.kind,
            size=scene.size,
            density=_DENSITY,
            condim=4,
            friction=(1, 0.005, 0.001),
            contype=1,
            conaffinity=1,
            rgba=(*scene.colors[k], 1),
        )
    for k, goal in enumerate(scene.goals):
        body = world.add_body(name=f"goal{k}", pos=goal, mocap=True)  # its pose is part of the integration state
        body.add_geom(
            name=f"goal{k}", type=scene.kind, size=scene.size, contype=0, conaffinity=0, rgba=(*scene.colors[k], 0.35)
        )
    _add_sensors(spec)
    return spec.compile()


def _hand() -> mujoco.MjSpec:
    """A right hand at the origin, without what this task does not have."""
    spec = mujoco.MjSpec.from_string(_HAND_XML.format(assets=package_folder("gymnasium_robotics") / "envs" / "assets"))
    spec.njmax = spec.nconmax = -1  # obsolete sizes: MuJoCo would warn into the working directory
    spec.nuser_jnt = spec.nuser_site = spec.nuser_tendon = spec.nuser_sensor = spec.nuser_actuator = -1
    for tendon in list(spec.tendons):
        if not tendon.name.endswith("J1c"):  # the others repeat the joints' limits
            spec.delete(tendon)
    skies = [texture for texture in spec.textures if texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX]
    for unwanted in [*spec.sensors, *skies]:
        spec.delete(unwanted)
    mount = spec.body("robot0:hand mount")
    mount.pos = (0, 0, 0)
    mount.add_site(name="force")
    for name in ("V_thbase", "V_thhub"):  # boxes of a millimetre that are only to be seen
        geom = spec.geom(f"robot0:{name}")
        geom.contype = geom.conaffinity = 0
    for body in spec.bodies[1:]:
        body.gravcomp = 1
    for joint in spec.joints:
        joint.frictionloss = 0  # 48 rows of every solve that move nothing
    return spec


def _add_sensors(spec: mujoco.MjSpec) -> None:
    """Add the fingertips' velocities, 6 numbers each, and a force without which MuJoCo leaves cfrc_ext empty."""
    body, site = mujoco.mjtObj.mjOBJ_XBODY, mujoco.mjtObj.mjOBJ_SITE
    kinds = {"linear": mujoco.mjtSensor.mjSENS_FRAMELINVEL, "angular": mujoco.mjtSensor.mjSENS_FRAMEANGVEL}
    for prefix in HANDS:
        for finger in FINGERS:
            for name, kind in kinds.items():
                spec.add_sensor(
                    name=f"{prefix}{finger} {name}", type=kind, objtype=body, objname=f"{prefix}robot0:{finger}distal"
                )
    spec.add_sensor(name="force", type=mujoco.mjtSensor.mjSENS_FORCE, objtype=site, objname="first/force")


def turned(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Quaternion w x y z, (..., 4), of Rx(x) Ry(y)."""
    a, b, c, d = np.cos(x / 2), np.sin(x / 2), np.cos(y / 2), np.sin(y / 2)
    return np.stack([a * c, b * c, a * d, b * d], -1)


def relative(quat: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The rotation `quat` goal*, w x y z, of quaternions (..., 4): what turns the goal into the object."""
    w, x, y, z = np.moveaxis(quat, -1, 0)
    a, b, c, d = np.moveaxis(goal, -1, 0)
    return np.stack(
        [
            w * a + x * b + y * c + z * d,
            x * a - w * b + z * c - y * d,
            y * a - z * b - w * c + x * d,
            z * a + y * b - x * c - w * d,
        ],
        -1,
    )


def rotate(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Turn vectors (..., 3) by unit quaternions w x y z (..., 4)."""
    w, u = quat[..., :1], quat[..., 1:]
    t = 2.0 * np.cross(u, vector)
    return vector + w * t + np.cross(u, t)


class ShadowHand(Task):
    """Reward, cost, observation and starts of E pairs of hands, on the arrays of a batch."""

    stage = (
        mujoco.mjtStage.mjSTAGE_VEL.value
    )  # poses, velocities and sensors of the new state, forces of the last substep
    observation_limit = _OBSERVED
    outcomes = ("dropped", "success")

    @staticmethod
    def build(scenario: Scenario, options: Mapping[str, str]) -> mujoco.MjModel:
        """Compile the hands, their objects and goals."""
        return model_of(SCENES[scenario.name])

    def __init__(self, batch: Batch, scenario: Scenario, options: Mapping[str, str]) -> None:
        """Take views of the batch's arrays."""
        model, worlds = batch.model, batch.nsim
        self._scene = SCENES[scenario.name]
        self._objects = len(self._scene.starts)
        self._ends = options["fall"] == "end"
        self.cost_names = WATCHED[: self._objects]  # the cubes' task watches both hands
        rewards = ("reward_pose",) if self._objects == 1 else ("reward_distance", "reward_turn", "reward_control")
        costs = (f"cost_{name}" for name in self.cost_names)
        self.term_names = (*rewards, *costs, "distance", "turn", "dropped", "success")
        self._watched = WATCHED_ACTUATORS[: self._objects]
        qpos, qvel = batch.bind("qpos"), batch.bind("qvel")
        joints = len(HANDS) * _JOINTS
        self._joints, self._speeds = qpos[:, :joints], qvel[:, :joints]
        self._forces = batch.bind("qfrc_actuator")[:, :joints]
        self._poses = qpos[:, joints:].reshape(worlds, self._objects, 7)
        self._velocities = qvel[:, joints:].reshape(worlds, self._objects, 6)
        self._goal_position, self._goal_turn = batch.bind("mocap_pos"), batch.bind("mocap_quat")
        self._ctrl = batch.bind("ctrl")
        self._actions = np.zeros_like(self._ctrl)
        low, high = model.jnt_range[:joints].T
        self._joint_middle, self._joint_half = (low + high) / 2, (high - low) / 2
        low, high = model.actuator_ctrlrange.T
        self._middle, self._half = (low + high) / 2, (high - low) / 2
        self._driven = [i for i in range(_JOINTS) if i not in _UNDRIVEN]
        self._bind_tips(batch)
        own, objects = _HAND, self._objects * _OBJECT
        self.observation_size = size = own + objects
        self.state_columns = np.r_[:own, size : size + own, own:size]

    def _bind_tips(self, batch: Batch) -> None:
        """Take views of what belongs to the fingertips, T = 10."""
        model = batch.model
        tips = [model.body(f"{prefix}robot0:{finger}distal").id for prefix in HANDS for finger in FINGERS]
        self._tips, self._roots = np.array(tips), model.body_rootid[tips]
        self._position, self._turn = batch.bind("xpos"), batch.bind("xquat")
        self._centre, self._contact = batch.bind("subtree_com"), batch.bind("cfrc_ext")
        self._tip_speeds = batch.bind("sensordata")[:, : 6 * len(tips)].reshape(batch.nsim, len(HANDS), len(FINGERS), 6)

    def act(self, flat: np.ndarray) -> None:
        """Set the joints' targets, which span their ranges; actions count as clamped to [-1, 1]."""
        np.clip(flat, -1.0, 1.0, out=self._actions)
        np.multiply(self._actions, self._half, out=self._ctrl)
        self._ctrl += self._middle

    def outcome(self, control: np.ndarray, failed: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Judge the step that has just been simulated; see `Task.outcome`.

        Beside the addends, the terms are `distance` and `turn`, the largest of the objects' in metres and radians,
        `dropped`, whether an object lies below, and `success`, whether all are REACHED.
        """
        distance, turn = self.errors()  # (E, K)
        dropped = (self._poses[:, :, 2] <= FALLEN).any(1)
        terms = self._rewards(distance, turn)
        for name in terms:
            terms[name] = np.where(failed, 0.0, terms[name])
        reward = sum(terms.values())
        for name, actuator in zip(self.cost_names, self._watched, strict=True):
            terms[f"cost_{name}"] = np.abs(self._actions[:, actuator]) > SAFE_ACTION
        farthest = distance.max(1)
        terms |= {"distance": farthest, "turn": turn.max(1), "dropped": dropped, "success": farthest < REACHED}
        return reward, failed | dropped if self._ends else failed, terms

    def initial_terms(self, worlds: int) -> dict[str, np.ndarray]:
        """Return the terms before the first step; the errors are those of the present state."""
        distance, turn = self.errors()
        farthest = distance.max(1)
        now = {"distance": farthest, "turn": turn.max(1), "success": farthest < REACHED}
        return super().initial_terms(worlds) | now

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return how far the objects are from their goals, metres and radians in [0, pi], (E, K) each."""
        offset = self._poses[:, :, :3] - self._goal_position
        vector = relative(self._poses[:, :, 3:], self._goal_turn)[..., 1:]
        distance = np.sqrt(np.einsum("ekx,ekx->ek", offset, offset))
        return distance, 2.0 * np.arcsin(np.minimum(1.0, np.sqrt(np.einsum("ekx,ekx->ek", vector, vector))))

    def _rewards(self, distance: np.ndarray, turn: np.ndarray) -> dict[str, np.ndarray]:
        """Return the addends of the reward, (E,) each, for errors (E, K)."""
        if self._objects == 1:
            return {"reward_pose": np.exp(-0.2 * (50.0 * distance[:, 0] + turn[:, 0]))}
        return {
            "reward_distance": -10.0 * distance.sum(1),
            "reward_turn": (1.5 / (turn + 0.1)).sum(1),
            "reward_control": -0.0002 * np.einsum("ea,ea->e", self._actions, self._actions),
        }

    def observe(self) -> np.ndarray:
        """Return (E, 2, O) float32: the agent's own hand, then every object with its goal; quaternions are x y z w."""
        worlds = len(self._ctrl)
        seen = np.empty((worlds, len(HANDS), self.observation_size), dtype=np.float32)
        self._show_hands(seen[:, :, :_HAND])
        for k in range(self._objects):
            self._show_object(k, seen[:, :, _HAND + k * _OBJECT : _HAND + (k + 1) * _OBJECT])
        np.minimum(np.maximum(seen, -_OBSERVED, out=seen), _OBSERVED, out=seen)
        return seen

    def _show_hands(self, seen: np.ndarray) -> None:
        """Write the two hands, (E, 2, 187)."""
        hands, tips = (len(seen), len(HANDS), _JOINTS), self._tips
        seen[:, :, :24] = ((self._joints - self._joint_middle) / self._joint_half).reshape(hands)
        seen[:, :, 24:48] = 0.2 * self._speeds.reshape(hands)
        seen[:, :, 48:72] = 10.0 * self._forces.reshape(hands)
        position, contact = self._position[:, tips], self._contact[:, tips]  # (E, T, 3), (E, T, 6) torque, force
        five = (len(seen), len(HANDS), len(FINGERS), -1)
        tip = np.empty((*five[:3], 13))
        tip[..., :3] = position.reshape(five)
        tip[..., 3:7] = self._turn[:, tips][..., [1, 2, 3, 0]].reshape(five)
        tip[..., 7:] = self._tip_speeds
        seen[:, :, 72:137] = tip.reshape(len(seen), len(HANDS), -1)
        arm, force = self._centre[:, self._roots] - position, contact[..., 3:]
        wrench = np.concatenate([force, contact[..., :3] + np.cross(arm, force)], -1)  # the torque at the body's origin
        seen[:, :, 137:167] = 10.0 * wrench.reshape(len(seen), len(HANDS), -1)
        seen[:, :, 167:] = ((self._ctrl - self._middle) / self._half).reshape(len(seen), len(HANDS), _ACTUATORS)

    def _show_object(self, k: int, seen: np.ndarray) -> None:
        """Write one object and its goal, (E, 24), for both hands."""
        order = [1, 2, 3, 0]
        pose, velocity = self._poses[:, k], self._velocities[:, k]
        goal, turn = self._goal_position[:, k], self._goal_turn[:, k]
        parts = (
            pose[:, :3],
            pose[:, 3:][:, order],
            velocity[:, :3],
            0.2 * rotate(pose[:, 3:], velocity[:, 3:]),  # MuJoCo has it in the body's axes
            goal,
            turn[:, order],
            relative(pose[:, 3:], turn)[:, order],
        )
        seen[:] = np.concatenate(parts, 1)[:, None]

    def begin(self, worlds: np.ndarray, generators: Sequence[np.random.Generator]) -> None:
        """Place joints, objects and goals at random; both hands alike, both objects alike, both goals alike."""
        draws = np.stack([generators[world].uniform(-1.0, 1.0, _DRAWS) for world in worlds])  # (W, 31)
        low, high = (self._joint_middle - self._joint_half)[:_JOINTS], (self._joint_middle + self._joint_half)[:_JOINTS]
        joints = np.clip(_START_OF_JOINTS * (low + (high - low) * draws[:, 5:29]), low, high)
        for j in _UNDRIVEN:
            joints[:, j] = np.minimum(joints[:, j - 1] * _COUPLING, high[j])
        self._joints[worlds] = np.tile(joints, 2)
        targets = np.tile(joints[:, self._driven], 2)
        self._ctrl[worlds] = np.clip(targets, self._middle - self._half, self._middle + self._half)
        quat = turned(np.pi * draws[:, 3], np.pi * draws[:, 4])
        for k, start in enumerate(self._scene.starts):
            position = start + _START_OF_OBJECTS * draws[:, :3]
            position[:, 2] = np.maximum(position[:, 2], _PALM_TOP + self._half_height(quat) + _CLEARANCE)
            self._poses[worlds, k] = np.concatenate([position, quat], 1)
        self._goal_turn[worlds] = turned(np.pi * draws[:, 29], np.pi * draws[:, 30])[:, None]

    def _half_height(self, quat: np.ndarray) -> np.ndarray:
        """Half the vertical extent of an object in its orientation (W, 4), in metres."""
        inverse = quat * (1, -1, -1, -1)
        up = rotate(inverse, np.broadcast_to((0.0, 0.0, 1.0), (len(quat), 3))) * self._scene.size  # third row of R
        if self._scene.kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
            return np.linalg.norm(up, axis=1)
        return np.abs(up).sum(1)
