"""The blocks of README.md's section "With your library", each run by the real library in a foreign folder."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
SECTION = README.partition("## With your library\n")[2].partition("\n## ")[0]
BLOCKS = dict(re.findall(r"^### (.+?)\n.*?^```python\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL))

# What a block's library must be able to do with what the block made, and where the cost must be.
THEN = {
    "Stable-Baselines3": """
def falls(cpus):
    vector = supersuit.pettingzoo_env_to_vec_env_v1(game)
    vector = supersuit.concat_vec_envs_v1(vector, 3, num_cpus=cpus, base_class="stable_baselines3")
    vector.reset()
    rng, fallen, steps = np.random.default_rng(0), 0, 0
    while fallen < 6:
        _, _, done, infos = vector.step(rng.uniform(-1, 1, (6, 4)).astype(np.float32))
        steps += 1
        for over, info in zip(done, infos, strict=True):
            ended_early = over and not info.get("TimeLimit.truncated", False)
            assert info["cost"] == max(info["cost_wall"], info["cost_fall"])
            assert info["cost_fall"] == ended_early
            fallen += ended_early
    vector.close()
    return steps


assert model.num_timesteps == 512
assert falls(0) < 5000 and falls(2) < 5000
""",
    "TorchRL": """
import torch
from torchrl.envs.utils import check_env_specs

check_env_specs(env)
assert cost.shape == (100, 2) and rollout["agent", "info", "cost"].shape == (100, 2)
assert rollout["state"].shape == (100, 31)
torch.manual_seed(0)
env.set_seed(0)
played = env.rollout(500, break_when_any_done=False)["next"]
ended = played["terminated"].squeeze(-1)
assert ended.any() and (played["agent", "info", "cost"][ended] == 1).all()
""",
    "BenchMARL": """
from pathlib import Path

from benchmarl.algorithms import MappoConfig
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig

config = ExperimentConfig.get_from_yaml()
config.max_n_iters, config.max_n_frames = 2, None
config.on_policy_collected_frames_per_batch = config.evaluation_interval = 100
config.on_policy_minibatch_size, config.on_policy_n_minibatch_iters = 50, 1
config.evaluation_episodes, config.on_policy_n_envs_per_worker = 1, 1
config.render, config.loggers, config.save_folder = False, ["csv"], "."
net = MlpConfig.get_from_yaml()
experiment = Experiment(task, MappoConfig.get_from_yaml(), net, 0, config, critic_model_config=net)
experiment.run()
assert experiment.total_frames == 200
(file,) = Path(".").rglob("collection_agent_info_cost.csv")
assert len(file.read_text().splitlines()) == 2
""",
    "skrl": """
from skrl.memories.torch import RandomMemory
from skrl.multi_agents.torch.mappo import MAPPO, MAPPO_CFG
from skrl.trainers.torch import SequentialTrainer
from skrl.utils.model_instantiators.torch import deterministic_model, gaussian_model

observed, acted, states = env.observation_spaces, env.action_spaces, env.state_spaces
net = {"name": "net", "layers": [16], "activations": "elu"}
models = {
    a: {
        "policy": gaussian_model(
            observation_space=observed[a],
            action_space=acted[a],
            network=[net | {"input": "OBSERVATIONS"}],
            output="ACTIONS",
        ),
        "value": deterministic_model(
            observation_space=observed[a],
            state_space=states[a],
            action_space=acted[a],
            network=[net | {"input": "STATES"}],
            output="ONE",
        ),
    }
    for a in env.possible_agents
}
config = MAPPO_CFG()
config.rollouts, config.experiment.write_interval, config.experiment.checkpoint_interval = 16, 1000, 0
for name in [name for name in vars(config) if name.endswith("_kwargs")]:  # 2.1 refuses its own default
    setattr(config, name, {agent: {} for agent in env.possible_agents})
agent = MAPPO(
    possible_agents=env.possible_agents,
    models=models,
    memories={agent: RandomMemory(memory_size=16) for agent in env.possible_agents},
    cfg=config,
    observation_spaces=observed,
    action_spaces=acted,
    state_spaces=states,
)
SequentialTrainer(env=env, agents=agent, cfg=trainer | {"headless": True, "close_environment_at_exit": False}).train()
tracked = agent.tracking_data["Info / cost"]
assert len(tracked) == 64 and set(tracked) <= {0.0, 1.0}
assert env.state()["agent_0"].shape == (1, 31)
""",
    "RLlib": """
from ray.rllib.callbacks.callbacks import RLlibCallback


class Cost(RLlibCallback):
    def on_episode_end(self, *, episode, metrics_logger, **rest):
        infos = episode.agent_episodes["agent_0"].get_infos()[1:]
        fallen = episode.agent_episodes["agent_0"].is_terminated
        assert infos[-1]["cost_fall"] == fallen
        metrics_logger.log_value("episode_cost", sum(info["cost"] for info in infos))


config.env_runners(num_env_runners=0).callbacks(Cost).training(train_batch_size=400, minibatch_size=50, num_epochs=1)
algorithm = config.build_algo()
algorithm.train()
found = algorithm.train()["env_runners"]
assert found["num_env_steps_sampled_lifetime"] == 800 and found["episode_cost"] >= 0
""",
    "AgileRL": """
fallen = 0
rng = np.random.default_rng(0)
while fallen < 3:
    actions = {agent: rng.uniform(-1, 1, (2, 4)).astype(np.float32) for agent in env.agents}
    _, _, terminated, _, info = env.step(actions)
    assert (info["agent_0"]["cost_fall"] == terminated["agent_0"]).all()
    fallen += terminated["agent_0"].sum()

from agilerl.algorithms import IPPO
from agilerl.training.train_multi_agent_on_policy import train_multi_agent_on_policy

agents = env.possible_agents
spaces = [[space(agent) for agent in agents] for space in (env.single_observation_space, env.single_action_space)]
population = [IPPO(*spaces, agents, learn_step=64, batch_size=32)]
train_multi_agent_on_policy(
    env, "ant_2x4", "IPPO", population, max_steps=256, evo_steps=128, eval_steps=20, verbose=False
)
assert population[0].steps == 256
env.close()
""",
}
MODULES = {
    "Stable-Baselines3": ("stable_baselines3", "supersuit"),
    "TorchRL": ("torchrl",),
    "BenchMARL": ("benchmarl",),
    "skrl": ("skrl",),
    "RLlib": ("ray",),
    "AgileRL": ("agilerl",),
}


def test_every_block_of_the_page_is_run():
    assert list(BLOCKS) == list(THEN) == list(MODULES)


def run(foreign, code):
    """Run a script in the foreign folder."""
    (foreign / "client.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "client.py"],
        cwd=foreign,
        env={**os.environ, "PYTHONPATH": str(foreign / "site"), "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_block_of_the_section_use_runs(foreign):
    block = re.search(r"^## Use\n.*?^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[1]
    actions = "import numpy as np\nactions = np.zeros((16, 2, 4))\n"
    run(
        foreign,
        f"{actions}{block}env.load_state_dict(state)\nassert step.cost.shape == (16, 1) and game.reset(seed=0)\n",
    )


@pytest.mark.clients
@pytest.mark.parametrize("name", BLOCKS)
def test_the_library_trains_and_sees_the_cost(name, foreign):
    if missing := [module for module in MODULES[name] if importlib.util.find_spec(module) is None]:
        pytest.skip(f"{missing[0]} is not installed: see the extras of pyproject.toml")
    run(foreign, f"import numpy as np\nimport safe_mamujoco\n{BLOCKS[name]}{THEN[name]}")
