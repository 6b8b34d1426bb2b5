"""The tasks are those of the original: sizes, timing, obstacle, costs, rewards, resets."""

import mujoco
import numpy as np
import pytest

import envs
from envs.ant import lateral_offset
from envs.scenarios import PAPER, SCENARIOS

ANTS = [name for name in PAPER if SCENARIOS[name].family != "halfcheetah"]
FREE_SIZES = {"ant": {0: (57, 50)}, "manyagent_ant": {6: (45, 42), 8: (53, 50)}}  # nq, nv with loose walls
BASE = {"ant": {0: 29}, "halfcheetah": {0: 20}, "manyagent_ant": {6: 9, 8: 25}}
FULL_BASE = {"ant": {0: 29}, "halfcheetah": {0: 20}, "manyagent_ant": {6: 61, 8: 77}}
ACTUATORS = {"ant": {0: 8}, "halfcheetah": {0: 6}, "manyagent_ant": {6: 24, 8: 32}}


def quiet(env):
    """Remove the reset noise from the present episode: the model's pose at rest."""
    env.batch.reset()
    env._elapsed[:] = 0
    env._task.observe()
    return env


def test_there_are_the_thirteen_scenarios_of_the_paper_with_their_bounds():
    bounds = {name: SCENARIOS[name].bound for name in PAPER}
    assert len(bounds) == 13
    assert {bounds[f"ant_{split}"] for split in ("2x4", "2x4d", "4x2")} == {50}
    assert bounds["ant_8x1"] == 70
    assert {bounds[f"halfcheetah_{split}"] for split in ("2x3", "3x2", "6x1")} == {30}
    assert {bounds[f"manyagent_ant_{split}"] for split in ("2x3", "3x2", "6x1")} == {25}
    assert {bounds[f"manyagent_ant_{split}"] for split in ("2x4", "4x2", "8x1")} == {80}


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize(("observation", "base"), [("original", BASE), ("full", FULL_BASE)])
def test_observations_and_actions_have_the_original_sizes(name, observation, base):
    scenario = SCENARIOS[name]
    env = envs.make(name, num_envs=2, seed=0, num_threads=1, observation=observation)
    agents, actuators = scenario.agents, ACTUATORS[scenario.family][scenario.segments]
    assert env.observation_size == base[scenario.family][scenario.segments] + agents
    assert agents * env.action_size == actuators
    assert sorted(sum(scenario.declared, ())) == list(range(actuators))
    seen = env.reset()
    assert seen.shape == (2, agents, env.observation_size) and seen.dtype == np.float32
    np.testing.assert_allclose(seen.mean(-1), 0, atol=1e-6)
    np.testing.assert_allclose(seen.std(-1), 1, atol=1e-5)


@pytest.mark.parametrize("name", PAPER)
def test_observation_is_the_standardised_base_vector_with_a_one_hot_index(name):
    env = envs.make(name, num_envs=3, seed=0, num_threads=1)
    seen = env.reset()
    base = np.empty((3, env._task.base_size))
    env._task.fill(base)
    for i in range(env.num_agents):
        raw = np.concatenate([base, np.tile(np.eye(env.num_agents)[i], (3, 1))], 1)
        expected = (raw - raw.mean(1, keepdims=True)) / raw.std(1, keepdims=True)
        np.testing.assert_allclose(seen[:, i], expected, atol=1e-5)


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("observation", ["original", "full"])
def test_the_base_vector_lists_the_original_quantities_in_order(name, observation):
    env = _reset(envs.make(name, num_envs=2, seed=0, num_threads=1, observation=observation))
    env.batch.qpos[0, 0] += 200.0  # far from the obstacle, so that the distance is clipped
    env.batch.time[:] = (4.0, 5.0)
    qpos, qvel, x = env.batch.qpos.copy(), env.batch.qvel.copy(), env.batch.qpos[:, :1].copy()
    if SCENARIOS[name].family == "halfcheetah":
        motor = 0.02 * np.sin(env.batch.time[:, None] / 3) ** 2 - 0.004
        box = env.batch.bind("geom_xpos")[:, env.batch.model.geom("obstacle").id, :1]
        parts = [qpos[:, 1:9], qvel[:, :9], qvel[:, 9:], motor, np.clip((box - x) / 10, -5, 5)]
    else:
        short = {6: (3, 6), 8: (11, 14)}.get(SCENARIOS[name].segments)  # four walls too many are cut off
        positions, velocities = short if short and observation == "original" else (qpos.shape[1], qvel.shape[1])
        offset = lateral_offset(qpos[:, 0], qpos[:, 1])[:, None]
        parts = [qpos[:, 2:positions], qvel[:, :velocities], x / 5, offset]
    base = np.empty((2, env._task.base_size))
    env._task.fill(base)
    np.testing.assert_allclose(base, np.concatenate(parts, 1), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ANTS)
def test_an_ant_is_healthy_between_two_heights_and_up_to_a_tilt_of_134_degrees(name):
    env = _reset(envs.make(name, num_envs=6, seed=0, num_threads=1))
    half_tilt = np.radians([0, 0, 0, 0, 133, 135]) / 2
    env.batch.qpos[:, 2] = (0.19, 0.21, 0.99, 1.01, 0.5, 0.5)
    env.batch.qpos[:, 3:7] = np.stack(
        [np.cos(half_tilt), 0.6 * np.sin(half_tilt), 0.8 * np.sin(half_tilt), 0 * half_tilt], 1
    )
    assert env._task._healthy().tolist() == [False, True, True, False, True, False]


@pytest.mark.parametrize("name", PAPER)
def test_the_integration_is_that_of_the_original(name):
    timestep, integrator, substeps = {
        "ant": (0.01, mujoco.mjtIntegrator.mjINT_RK4, 5),
        "halfcheetah": (0.01, mujoco.mjtIntegrator.mjINT_EULER, 5),
        "manyagent_ant": (0.005, mujoco.mjtIntegrator.mjINT_RK4, 4),
    }[SCENARIOS[name].family]
    env = envs.make(name, seed=0, num_threads=1)
    assert (env.batch.model.opt.timestep, env.batch.model.opt.integrator) == (timestep, integrator)
    assert env._frame_skip == substeps


@pytest.mark.parametrize("name", PAPER)
def test_a_control_step_lasts_as_long_as_in_the_original(name):
    env = quiet(_reset(envs.make(name, seed=0, num_threads=1)))
    env.step(np.zeros((1, env.num_agents, env.action_size)))
    expected = 0.02 if SCENARIOS[name].family == "manyagent_ant" else 0.05
    assert env.batch.time[0] == pytest.approx(expected)


def _reset(env):
    env.reset()
    return env


def test_the_obstacle_moves_as_in_the_original_and_backs_up_first():
    env = quiet(_reset(envs.make("halfcheetah_2x3", seed=0, num_threads=1)))
    env.batch.qpos[:, 0] = -1000.0  # keep the cheetah out of its way
    where = {0.5: 9.59, 1.0: 8.79, 1.5: 8.17, 3.0: 10.3, 5.0: 24.7, 9.42: 44.9, 20.0: 76.5, 30.0: 109.9, 50.0: 179.5}
    where_it_is = env.batch.bind("geom_xpos")[:, env.batch.model.geom("obstacle").id, 0]
    path = []
    for _ in range(999):
        env.step(np.zeros((1, 2, 3)))
        path.append(where_it_is[0])
    for seconds, x in where.items():
        k = min(round(seconds / 0.05), len(path)) - 1
        assert path[k] == pytest.approx(x, abs=0.25 if seconds > 9 else 0.06), seconds
    assert 34 <= int(np.argmin(path)) + 1 <= 38 and min(path) == pytest.approx(8.03, abs=0.03)
    speed = np.diff(path) / 0.05
    assert speed.min() == pytest.approx(-2.1, abs=0.15) and speed.max() == pytest.approx(9.3, abs=0.2)


def test_a_cheetah_that_does_nothing_costs_33_to_36_an_episode():
    env = envs.make("halfcheetah_2x3", num_envs=5, seed=0)
    env.reset()
    cost = sum(env.step(np.zeros((5, 2, 3))).cost[:, 0] for _ in range(1000))
    assert ((cost >= 32) & (cost <= 37)).all() and 33 <= cost.mean() <= 36


def test_the_cheetah_pays_within_nine_metres_of_the_obstacle_on_either_side():
    env = _reset(envs.make("halfcheetah_2x3", seed=0, num_threads=1))
    for x, expected in ((0.5, 0), (1.5, 1), (10.0, 1), (18.5, 1), (20.5, 0)):
        quiet(env)
        env.batch.qpos[:, 0] = x
        assert env.step(np.zeros((1, 2, 3))).cost[0, 0] == expected, x


def test_the_cheetah_has_one_cost_under_either_name():
    shared = _reset(envs.make("halfcheetah_2x3", seed=0, num_threads=1))
    separate = _reset(envs.make("halfcheetah_2x3", seed=0, num_threads=1, costs="separate"))
    assert (shared.cost_names, separate.cost_names) == (("cost",), ("obstacle",))
    costs = [[env.step(np.zeros((1, 2, 3))).cost[0, 0] for _ in range(60)] for env in (shared, separate)]
    assert costs[0] == costs[1] and 0 < sum(costs[0]) < 60


def test_the_corridor_folds_continuously_at_20_60_and_100_metres():
    x = np.linspace(-30, 130, 16001)
    offset = lateral_offset(x, np.zeros_like(x))
    slope = np.tan(np.pi / 6)
    pieces = [x < 20, (x > 20) & (x < 60), (x > 60) & (x < 100), x > 100]
    for piece, expected in zip(
        pieces, (-x * slope, (x - 40) * slope, -(x - 80) * slope, -20 * slope + 0 * x), strict=True
    ):
        np.testing.assert_allclose(offset[piece], expected[piece], atol=1e-12)
    assert np.abs(np.diff(offset)).max() < 0.01


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("ant_2x4", [(5.54, 11.78), (28.22, 34.46), (45.54, 51.78), (68.22, 74.46), (85.54, 91.78)]),
        ("manyagent_ant_2x3", [(4.68, 10.91), (29.09, 35.32), (44.68, 50.91), (69.09, 75.32), (84.68, 90.91)]),
    ],
)
def test_an_ant_on_the_x_axis_pays_on_the_five_published_stretches(name, bands):
    env = _reset(envs.make(name, num_envs=601, seed=0))
    quiet(env)
    x = np.linspace(0.0, 120.0, 601)
    env.batch.qpos[:, 0] = x
    step = env.step(np.zeros((601, env.num_agents, env.action_size)))
    moved = env.batch.qpos[:, 0]  # where the robots are after the step
    inside = np.any([(moved > low) & (moved < high) for low, high in bands], axis=0)
    edge = np.any([np.abs(moved - limit) < 0.05 for band in bands for limit in band], axis=0)
    assert (step.cost[:, 0].astype(bool) == inside)[~edge].all() and not step.terminated.any()


@pytest.mark.parametrize("name", ["ant_2x4", "manyagent_ant_2x3"])
def test_there_is_no_cost_beyond_the_wall(name):
    half_width = {"ant_2x4": 5.0, "manyagent_ant_2x3": 4.5}[name]
    env = quiet(_reset(envs.make(name, num_envs=4, seed=0)))
    env.batch.qpos[:, 1] = half_width + np.array([-1.9, -1.7, 1.7, 1.9])
    cost = env.step(np.zeros((4, env.num_agents, env.action_size))).cost[:, 0]
    assert cost.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("name", ANTS)
def test_a_fall_ends_the_episode_and_costs_one_and_separate_costs_tell_it_from_the_wall(name):
    shared = quiet(_reset(envs.make(name, num_envs=3, seed=0)))
    separate = quiet(_reset(envs.make(name, num_envs=3, seed=0, costs="separate")))
    assert separate.cost_names == ("wall", "fall") and shared.num_costs == 1
    wall = 5.0 if SCENARIOS[name].family == "ant" else 4.5
    for env in (shared, separate):
        env.batch.qpos[1, 3:7] = (0, 1, 0, 0)  # on its back
        env.batch.qpos[2, 1] = wall
        step = env.step(np.zeros((3, env.num_agents, env.action_size)))
        assert step.terminated.tolist() == [False, True, False] and not step.truncated.any()
        expected = [[0], [1], [1]] if env is shared else [[0, 0], [0, 1], [1, 0]]
        assert step.cost.tolist() == expected
        assert step.terms["reward_survive"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", PAPER)
def test_the_reward_is_forward_speed_less_raw_control_less_contact(name):
    env = _reset(envs.make(name, num_envs=3, seed=1))
    action = 3 * np.random.default_rng(0).standard_normal(
        (3, env.num_agents, env.action_size)
    )  # beyond the motors' range
    before = env.batch.qpos[:, 0].copy()
    step = env.step(action)
    moved = (env.batch.qpos[:, 0] - before) / SCENARIOS[name].dt
    weight, survive = (0.1, 0) if SCENARIOS[name].family == "halfcheetah" else (0.5, 1)
    contact = step.terms.get("reward_contact", 0)
    alive = ~step.terminated
    expected = moved - weight * (action**2).sum((1, 2)) + contact + survive
    np.testing.assert_allclose(step.reward[alive], expected[alive], rtol=1e-12)
    total = sum(term for key, term in step.terms.items() if key.startswith("reward_"))
    np.testing.assert_allclose(step.reward, total, rtol=1e-12)


@pytest.mark.parametrize("name", ["ant_2x4", "manyagent_ant_2x3"])
def test_the_contact_term_is_that_of_a_plain_simulation_with_rne_post_constraint(name):
    env = _reset(envs.make(name, num_envs=2, seed=0, num_threads=1))
    model, skip = env.batch.model, round(SCENARIOS[name].dt / env.batch.model.opt.timestep)
    rng, exact, gap = np.random.default_rng(0), [], []
    data = mujoco.MjData(model)
    spec = mujoco.mjtState.mjSTATE_INTEGRATION.value
    for _ in range(60):
        mujoco.mj_setState(model, data, env.batch.state[0], spec)
        action = rng.uniform(-1, 1, (2, env.num_agents, env.action_size))
        step = env.step(action)
        data.ctrl[:] = action[0].ravel()
        mujoco.mj_step(model, data, skip)
        mujoco.mj_rnePostConstraint(model, data)
        original = -5e-4 * (np.clip(data.cfrc_ext, -1, 1) ** 2).sum()
        mujoco.mj_forward(model, data)
        mujoco.mj_rnePostConstraint(model, data)
        ours = -5e-4 * (np.clip(data.cfrc_ext, -1, 1) ** 2).sum()
        exact.append(step.terms["reward_contact"][0] - ours)
        gap.append(abs(step.terms["reward_contact"][0] - original))
    np.testing.assert_allclose(exact, 0, atol=1e-15)
    assert 0 < np.mean(gap) < 2e-3  # the original reads the last Runge-Kutta stage: see envs/ant.py


@pytest.mark.parametrize("name", PAPER)
def test_reset_noise_covers_what_the_original_perturbs_and_nothing_else(name):
    scenario = SCENARIOS[name]
    env = _reset(envs.make(name, num_envs=64, seed=0))
    qpos, qvel = env.batch.qpos.copy(), env.batch.qvel.copy()
    rest = env.batch.model.qpos0
    positions, velocities = {"ant": (15, 14), "halfcheetah": (10, 10)}.get(
        scenario.family, {6: (3, 6), 8: (11, 14)}.get(scenario.segments)
    )
    free = [i for i in range(positions) if scenario.family == "halfcheetah" or not 3 <= i < 7]  # no quaternion entries
    noise = (qpos - rest)[:, free]
    assert np.abs(noise).max() <= 0.1 and (noise.std(0) > 0.04).all()
    assert (qpos[:, positions:] == rest[positions:]).all() and (qvel[:, velocities:] == 0).all()
    assert 0.07 < qvel[:, :velocities].std() < 0.13
    if scenario.family != "halfcheetah":
        np.testing.assert_allclose(np.linalg.norm(qpos[:, 3:7], axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("name", ANTS)
def test_loose_walls_have_the_dimensions_and_mass_of_the_original(name):
    scenario = SCENARIOS[name]
    model = envs.make(name, seed=0, num_threads=1, walls="free").batch.model
    assert (model.nq, model.nv) == FREE_SIZES[scenario.family][scenario.segments]
    ghost = envs.make(name, seed=0, num_threads=1).batch.model
    segments = scenario.segments
    assert (ghost.nq, ghost.nv, ghost.nu) == (
        (7 + 4 * segments, 6 + 4 * segments, 4 * segments) if segments else (15, 14, 8)
    )
    walls = [model.body(i) for i in range(model.nbody) if model.body(i).name.startswith("wall")]
    assert len(walls) == (6 if scenario.family == "ant" else 2)
    half_width = 5.0 if scenario.family == "ant" else 4.5
    for k, body in enumerate(walls):
        geom = model.geom(body.name)
        np.testing.assert_allclose(geom.size, (20, 0.01, 0.7))
        assert body.mass[0] == pytest.approx(1.12e-6, rel=1e-3)
        assert body.pos.tolist() == [40 * (k // 2), half_width * (1 if k % 2 == 0 else -1), 1]
        yaw = 2 * np.degrees(np.arctan2(body.quat[3], body.quat[0]))
        assert yaw == pytest.approx(30 if k // 2 % 2 == 0 else -30)
        assert geom.contype[0] == geom.conaffinity[0] == 1
    np.testing.assert_array_equal(model.body_mass[: ghost.nbody], ghost.body_mass)
    masses = {0: 0.9109, 6: 19.47, 8: 27.14}
    assert ghost.body_mass.sum() == pytest.approx(masses[segments], rel=1e-3)


def test_the_cheetah_and_its_obstacle_have_the_masses_and_the_range_of_the_original():
    model = envs.make("halfcheetah_2x3", seed=0, num_threads=1).batch.model
    assert (model.nq, model.nv, model.nu) == (10, 10, 7)
    assert model.body_mass.sum() == pytest.approx(14.0)
    assert model.body("obstacle").mass[0] == pytest.approx(1.58e-4, rel=0.02)
    joint = model.joint("obstacle")
    assert joint.damping[0] == 0.2 and joint.armature[0] == 0.1 and joint.range.tolist() == [-5000, 5000]
    assert model.actuator_gear[6, 0] == 120 and model.joint("rootx").qposadr[0] == 0


def test_loose_walls_drop_and_stand_on_edge():
    env = _reset(envs.make("ant_2x4", seed=0, num_threads=1, walls="free"))
    height = env.batch.qpos[:, -5]  # of the last wall
    assert height[0] == 1.0
    for _ in range(40):
        env.step(np.zeros((1, 2, 4)))
    assert height[0] == pytest.approx(0.72, abs=0.03)
    upright = env.batch.qpos[0, -4:]
    assert 1 - 2 * (upright[1] ** 2 + upright[2] ** 2) > 0.99


@pytest.mark.parametrize("name", ANTS)
@pytest.mark.parametrize("observation", ["original", "full"])
def test_observations_do_not_see_loose_walls(name, observation):
    ghost = _reset(envs.make(name, seed=0, num_threads=1, observation=observation))
    loose = envs.make(name, seed=0, num_threads=1, observation=observation, walls="free")
    np.testing.assert_array_equal(loose.reset(), ghost.observation)  # nor does the reset noise
    robot = ghost.batch.model.nq, ghost.batch.model.nv
    loose.batch.qpos[:, robot[0] :] += 1.0
    loose.batch.qvel[:, robot[1] :] += 1.0
    np.testing.assert_array_equal(loose._task.observe(), ghost.observation)


def test_a_robot_walks_through_loose_walls_as_through_ghosts():
    paths = {}
    for walls in ("ghost", "free", "solid"):
        env = quiet(_reset(envs.make("ant_2x4", seed=0, num_threads=1, walls=walls)))
        env.batch.qpos[:, 1] = 4.0
        env.batch.qvel[:, 1] = 5.0  # towards the wall at y = 5
        rng = np.random.default_rng(0)
        y = []
        for _ in range(40):
            env.step(rng.uniform(-1, 1, (1, 2, 4)))
            y.append(env.batch.qpos[0, 1])
        paths[walls] = np.array(y)
    gap = np.abs(paths["ghost"] - paths["free"])
    assert gap[:16].max() < 0.02 and gap[29] < 0.2
    assert np.abs(paths["ghost"] - paths["solid"]).max() > 0.5


def test_the_tail_of_eight_segments_knocks_a_loose_wall_over():
    env = quiet(_reset(envs.make("manyagent_ant_2x4", seed=0, num_threads=1, walls="free")))
    tilt = []
    for _ in range(8):
        env.step(np.zeros((1, 2, 16)))
        tilts = env.batch.qpos[0, 39:].reshape(2, 7)[:, 3:]
        tilt.append(np.degrees(np.arccos(1 - 2 * (tilts[:, 1] ** 2 + tilts[:, 2] ** 2))).max())
    assert tilt[0] < 5 and tilt[-1] > 20


@pytest.mark.parametrize("partition", ["original", "declared"])
def test_2x4d_is_2x4_under_the_original_partition_alone(partition):
    seen = []
    for name in ("ant_2x4", "ant_2x4d"):
        env = _reset(envs.make(name, num_envs=2, seed=3, num_threads=1, partition=partition))
        rng = np.random.default_rng(0)
        seen.append([env.step(rng.uniform(-1, 1, (2, 2, 4))).observation for _ in range(10)])
    assert np.array_equal(*seen) == (partition == "original")


@pytest.mark.parametrize("name", PAPER)
def test_agents_drive_the_actuators_of_their_partition(name):
    scenario = SCENARIOS[name]
    count = scenario.agents * scenario.actions_per_agent
    contiguous = np.arange(count).reshape(scenario.agents, -1)
    for partition, expected in (("original", contiguous), ("declared", np.array(scenario.declared))):
        env = _reset(envs.make(name, num_envs=scenario.agents, seed=0, num_threads=1, partition=partition))
        action = np.zeros((scenario.agents, scenario.agents, scenario.actions_per_agent))
        for i in range(scenario.agents):
            action[i, i] = 0.5  # in world i, agent i alone acts
        env.step(action)
        for i in range(scenario.agents):
            assert set(np.flatnonzero(env.batch.ctrl[i, :count])) == set(expected[i])


def test_declared_ant_agents_own_the_legs_of_the_original_configuration():
    model = envs.make("ant_2x4", seed=0, num_threads=1).batch.model
    joints = [model.joint(model.actuator_trnid[k, 0]).name for k in range(8)]
    legs = {
        name: [{int(joints[k][-1]) for k in agent} for agent in SCENARIOS[name].declared]
        for name in SCENARIOS
        if name.startswith("ant")
    }
    assert joints == ["hip_4", "ankle_4", "hip_1", "ankle_1", "hip_2", "ankle_2", "hip_3", "ankle_3"]
    assert legs["ant_2x4"] == [{1, 2}, {3, 4}] and legs["ant_2x4d"] == [{1, 3}, {2, 4}]
    assert legs["ant_4x2"] == [{1}, {2}, {3}, {4}]
