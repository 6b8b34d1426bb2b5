"""Safe multi-agent MuJoCo: fifteen tasks with a cost, simulated many worlds at a time.

`make` gives the vector environment, `parallel_env` the same task as a PettingZoo environment. MuJoCo is imported when
one of them is called, so that reading `SCENARIOS` costs nothing.
"""

from typing import TYPE_CHECKING

from .scenarios import OPTIONS, PAPER, SCENARIOS, TASK_VERSION, Scenario, get, options_in

if TYPE_CHECKING:
    from .parallel import SafeParallelEnv
    from .vector import VectorEnv

__all__ = ["OPTIONS", "PAPER", "SCENARIOS", "TASK_VERSION", "Scenario", "get", "make", "options_in", "parallel_env"]


def make(
    name: str, num_envs: int = 1, seed: int | None = None, num_threads: int | None = None, **options: str | int
) -> "VectorEnv":
    """Make `num_envs` worlds of the scenario `name`.

    Args:
        name: one of SCENARIOS.
        num_envs: number of worlds E.
        seed: of the reset noise; None takes entropy from the system.
        num_threads: of the simulation; None takes the CPUs this process may use.
        **options: of the task, by the names in OPTIONS; the first value of each is the default.

    Raises:
        ValueError: if the name, an option or a number is not valid.
    """
    scenario = get(name)
    from .vector import VectorEnv

    return VectorEnv(scenario, num_envs, seed, num_threads, **options)


def parallel_env(
    name: str, render_mode: str | None = None, keep_last_info: bool = False, **options: str | int
) -> "SafeParallelEnv":
    """Make the scenario `name` as a PettingZoo ParallelEnv with one world.

    Args:
        name: one of SCENARIOS.
        render_mode: None or `rgb_array`.
        keep_last_info: whether `reset` repeats the infos of the step that ended the episode before, for vectorisers
            that reset by themselves and hand out the infos of the reset instead of those of that step.
        **options: as for `make`.

    Raises:
        ValueError: if the name, the render mode or an option is not valid.
    """
    scenario = get(name)
    from .parallel import SafeParallelEnv

    return SafeParallelEnv(scenario, render_mode, keep_last_info, **options)
