"""Break the algorithms on purpose, one line at a time, and see whether the tests notice.

    python -m algorithms.tests.mutations

Each row of MUTATIONS names a file, a text in it and what replaces it; the tree is copied to a temporary folder, changed
there, and the tests named run until one fails. Prints a Markdown table, after some minutes; exits with status 1 if a
mutation survives.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
WORKERS = 2


class Mutation(NamedTuple):
    """One deliberate error."""

    name: str
    file: str  # below algorithms/
    old: str
    new: str
    tests: str  # files below algorithms/tests/, without test_ and .py


MUTATIONS = [
    # networks, distributions, optimiser
    Mutation(
        "KL direction reversed",
        "core/policy.py",
        "        variance = np.square(other.std)\n        ratio = np.square(self.std) / variance",
        "        variance = np.square(self.std)\n        ratio = np.square(other.std) / variance",
        "networks",
    ),
    Mutation("KL without its log term", "core/policy.py", "(ratio - 1 - np.log(ratio))", "(ratio - 1)", "networks"),
    Mutation(
        "log-probability not summed",
        "core/policy.py",
        "constant.sum() if summed else",
        "constant.sum() if False else",
        "networks mafocops",
    ),
    Mutation(
        "log-probability without 2 pi", "core/policy.py", "+ 0.5 * math.log(2 * math.pi)\n", "+ 0.0\n", "networks"
    ),
    Mutation("Fisher without the std part", "core/policy.py", "curvature = 2 *", "curvature = 0 *", "networks"),
    Mutation(
        "Fisher not averaged over rows",
        "core/policy.py",
        "1 / (np.square(policy.std) * policy.mean.dtype.type(len(policy.mean)))",
        "1 / np.square(policy.std)",
        "networks",
    ),
    Mutation(
        "KL gradient without the std part",
        "core/kernels.py",
        "    sums += (old_precision / precision - 1) * total_kl\n",
        "",
        "networks",
    ),
    Mutation(
        "slope of one dimension for all",
        "core/kernels.py",
        "d_log_prob[row, k if own else 0]",
        "d_log_prob[row, 0]",
        "kernels",
    ),
    Mutation(
        "gradient of log std, not of its parameter",
        "core/policy.py",
        "d_log_std * (1 - policy.std / STD_SCALE)",
        "d_log_std",
        "networks",
    ),
    Mutation("an old policy's gradient", "core/policy.py", "if policy is not self._policy:", "if False:", "networks"),
    Mutation("autograd's gradient of another loss", "core/policy.py", "loss(*rows)", "loss(*rows[::-1])", "networks"),
    # kernels
    Mutation(
        "gradient of ReLU everywhere",
        "core/kernels.py",
        "            dx[row, k] = dx[row, k] if a[row, k] > zero else zero",
        "            dx[row, k] = dx[row, k] if a[row, k] >= zero else zero",
        "networks",
    ),
    Mutation(
        "NaN rectified",
        "core/kernels.py",
        "zero if value < zero else value",
        "value if value > zero else zero",
        "kernels",
    ),
    Mutation(
        "derivative of the normalisation without its deviation's",
        "core/kernels.py",
        "dx[row, k] - mean - n[row, k] * along",
        "dx[row, k] - mean",
        "networks",
    ),
    Mutation("LayerNorm's eps left out", "core/kernels.py", "/ size + eps)", "/ size)", "networks"),
    Mutation(
        "LayerNorm's bias without gradient", "core/kernels.py", "dc[k] += weight[row, k] * s[row]", "pass", "networks"
    ),
    Mutation("fold without LayerNorm's bias", "core/kernels.py", " + product(weight, row, c)", "", "networks"),
    Mutation("direction of LayerNorm's bias lost", "core/kernels.py", " + product(weight, row, dc)", "", "networks"),
    Mutation(
        "only the last chunk's gradient",
        "core/kernels.py",
        "tape[start * tape_size(sizes) :], part)\n        sums += part",
        "tape[start * tape_size(sizes) :], part)\n        sums[:] = part",
        "networks",
    ),
    Mutation("every chunk on the first one's tape", "core/kernels.py", "if keep else 0", "if False else 0", "networks"),
    Mutation("compiled Adam without bias correction", "core/kernels.py", "t[0] += 1", "t[0] += 1e6", "networks"),
    Mutation("compiled gradient not clipped", "core/kernels.py", "if norm > kind(max_norm)", "if False", "networks"),
    Mutation("std scale 1", "core/policy.py", "STD_SCALE = 0.5", "STD_SCALE = 1.0", "networks"),
    Mutation("Adam without bias correction", "core/networks.py", "self.t += 1", "self.t += 1e6", "networks"),
    Mutation("Adam's state not restored", "core/networks.py", "value.copy_(state[name])", "pass", "networks"),
    Mutation("gradients not clipped", "core/networks.py", "min(1.0, self.max_grad_norm / norm)", "1.0", "networks"),
    Mutation(
        "minibatch tail dropped",
        "core/networks.py",
        "range(0, len(order), size)",
        "range(0, max(size, len(order) // size * size), size)",
        "networks",
    ),
    Mutation(
        "arrays shuffled unlike tensors",
        "core/networks.py",
        "column.take(order.numpy(), 0)",
        "column.take(order.numpy()[::-1], 0)",
        "networks",
    ),
    # critics
    Mutation(
        "normaliser not debiased", "core/critic.py", "mean, square = mean / weight, square / weight", "pass", "networks"
    ),
    Mutation(
        "one normaliser for all", "core/critic.py", "if self.shared else [batch]:", "if True else [batch]:", "networks"
    ),
    Mutation("value not clipped", "core/critic.py", "    return -slope * unclipped", "    return -slope", "networks"),
    Mutation("clip by rounding error", "core/critic.py", "unclipped = inside | (", "unclipped = (", "networks"),
    Mutation("Huber quirk always on", "core/critic.py", "if config.legacy_one_sided_huber:", "if True:", "networks"),
    # collection
    Mutation("bootstrap after a termination", "core/rollout.py", " * ~terminated[..., None]", "", "rollout"),
    Mutation(
        "trace not cut",
        "core/rollout.py",
        "(gamma * gae_lambda * ~ended)",
        "(gamma * gae_lambda + 0 * ended)",
        "rollout",
    ),
    Mutation(
        "cut trace also at nothing", "core/rollout.py", "gae_lambda * ~ended", "gae_lambda * ~terminated", "rollout"
    ),
    Mutation("episodes forget the rollout before", "core/rollout.py", "total = running + ", "total = ", "rollout"),
    Mutation("noise shared by agents", "core/rollout.py", "noise[t], out", "noise[t][:, :1], out", "rollout run"),
    Mutation(
        "every agent acts as the first",
        "core/kernels.py",
        "forward_chunk(x, sizes, folded[agent]",
        "forward_chunk(x, sizes, folded[0]",
        "networks",
    ),
    # the iteration
    Mutation(
        "factor applied to costs",
        "core/learner.py",
        "columns = (factor * reward_advantage, advantage[:, 1:], factor)",
        "columns = (factor * reward_advantage, factor[:, None] * advantage[:, 1:], factor)",
        "happo",
    ),
    Mutation("factor not accumulated", "core/learner.py", "factor = factor * np.exp(", "factor = np.exp(", "happo"),
    Mutation(
        "factor inverted",
        "core/learner.py",
        "np.exp(new.log_prob(acted, summed) - batch.log_prob)",
        "np.exp(batch.log_prob - new.log_prob(acted, summed))",
        "happo",
    ),
    Mutation(
        "advantage without the factor",
        "core/learner.py",
        "columns = (factor * reward_advantage,",
        "columns = (1.0 * reward_advantage,",
        "happo",
    ),
    Mutation(
        "agents always in the same order",
        "core/learner.py",
        "self.order.permutation(len(groups)) if",
        "range(len(groups)) if",
        "happo",
    ),
    Mutation(
        "time limits as terminations",
        "core/learner.py",
        'if self.config.time_limit == "failure":',
        "if True:",
        "learner",
    ),
    Mutation(
        "next rollout's state for a final one",
        "core/learner.py",
        "            following[ended] = ",
        "            _ = ",
        "learner",
    ),
    Mutation(
        "bound ignored",
        "core/learner.py",
        "cost - self.bound",
        "cost",
        "learner",
    ),
    Mutation(
        "cost scale of the reward",
        "core/learner.py",
        "(advantage - advantage.mean(0)) / (scale",
        "(advantage - advantage.mean(0)) / (scale[:1]",
        "learner",
    ),
    Mutation(
        "old means not shuffled",
        "core/learner.py",
        "_replace(mean=mean)",
        "_replace(mean=self.old.mean[:len(mean)])",
        "networks",
    ),
    Mutation("stale J_C by default", "core/learner.py", "if self.config.legacy_stale_cost:", "if True:", "learner"),
    Mutation("reported KL is old from new", "core/learner.py", "new.kl(old)", "old.kl(new)", "learner"),
    # MAFOCOPS
    Mutation("nu's step reversed", "mafocops.py", "nu + self.config.nu_lr", "nu - self.config.nu_lr", "mafocops"),
    Mutation("nu not projected from below", "mafocops.py", "violation, 0)", "violation, -100)", "mafocops"),
    Mutation(
        "gated share of the last minibatch",
        "mafocops.py",
        "np.concatenate(gated).mean()",
        "gated[-1].mean()",
        "mafocops",
    ),
    Mutation("nu without ceiling", "mafocops.py", ", 0), self.config.nu_max)", ", 0), np.inf)", "mafocops"),
    Mutation("gate inverted", "mafocops.py", "inside = share * kl <= self", "inside = share * kl > self", "mafocops"),
    Mutation(
        "cost sign reversed", "mafocops.py", "mini.advantage - mini.cost", "mini.advantage + mini.cost", "mafocops"
    ),
    Mutation(
        "lambda multiplies", "mafocops.py", "advantage / self.config.lam", "advantage * self.config.lam", "mafocops"
    ),
    Mutation(
        "lambda divides the KL too",
        "mafocops.py",
        "self.config.lam, share * weight",
        "self.config.lam, share * weight / self.config.lam",
        "mafocops",
    ),
    Mutation(
        "early stop as printed",
        "mafocops.py",
        "self.mean_kl(actor, batch) > config",
        "self.mean_kl(actor, batch) <= config",
        "mafocops",
    ),
    Mutation("nu of the first agent for all", "mafocops.py", 'self.state["nu"][i]', 'self.state["nu"][0]', "mafocops"),
    Mutation(
        "nu moves once per epoch",
        "mafocops.py",
        'if config.nu_update == "minibatch":',
        'if config.nu_update == "minibatch" and len(mini.action) < config.minibatch_size:',
        "mafocops",
    ),
    # MACPO
    Mutation(
        "multipliers swapped",
        "macpo.py",
        "return Solution(case, lam, nu)",
        "return Solution(case, float(nu.sum() + 1e-9), nu * 0 + lam)",
        "macpo",
    ),
    Mutation(
        "dual's sign of c",
        "macpo.py",
        "lam * solved[:, 1] - solved[:, 0]",
        "-lam * solved[:, 1] - solved[:, 0]",
        "macpo",
    ),
    Mutation(
        "other constraints not checked",
        "macpo.py",
        "(nu >= 0).all() and (slack",
        "(nu >= 0).all() or (slack",
        "macpo",
    ),
    Mutation("recovery goes up the cost", "macpo.py", "violated * (np.sqrt(", "-violated * (np.sqrt(", "macpo"),
    Mutation(
        "recovery follows the reward",
        "macpo.py",
        "[[solution.case != RECOVERY], solution.nu]",
        "[[True], solution.nu]",
        "macpo",
    ),
    Mutation("recovery lowers all costs", "macpo.py", "(c > 0).astype(float)", "np.ones(len(c))", "macpo"),
    Mutation(
        "conjugate gradients without direction update",
        "macpo.py",
        "direction = residual + squared / previous * direction",
        "direction = residual.clone()",
        "macpo",
    ),
    Mutation(
        "line search without the KL", "macpo.py", "if kl <= config.kl_threshold and improved", "if improved", "macpo"
    ),
    Mutation(
        "line search without the cost",
        "macpo.py",
        "improved and (change[1:] <= slack).all()",
        "improved",
        "macpo",
    ),
    Mutation("line search without the reward", "macpo.py", "change[0] < 0 or solution", "True or solution", "macpo"),
    Mutation("refused step kept", "macpo.py", "        actor.theta.copy_(start)\n", "", "macpo"),
    Mutation("step added", "macpo.py", "alpha=-config.fraction_coef", "alpha=config.fraction_coef", "macpo"),
    Mutation("damping left out", "macpo.py", "alpha=config.damping", "alpha=0.0", "macpo legacy"),
    Mutation(
        "constraint per episode", "macpo.py", "batch.violation / batch.episode_length", "batch.violation", "macpo"
    ),
    Mutation(
        "noise left in",
        "macpo.py",
        "eigh((products - noise + (products - noise).T",
        "eigh((products + products.T",
        "macpo",
    ),
    Mutation("halves not told apart", "macpo.py", "np.where(np.arange(rows) % 2, -1, 1)", "np.ones(rows)", "macpo"),
    Mutation("M on costs", "macpo.py", "if config.legacy_factor_on_cost else", "if True else", "legacy"),
    # clipping, MAPPO-L
    Mutation(
        "clip sides swapped",
        "core/clip.py",
        "ratio <= 1 + clip, ratio >= 1 - clip",
        "ratio >= 1 - clip, ratio <= 1 + clip",
        "happo",
    ),
    Mutation(
        "clipped share of the last minibatch",
        "core/clip.py",
        "np.concatenate(clipped).mean()",
        "clipped[-1].mean()",
        "happo",
    ),
    Mutation("no clip", "core/clip.py", "return ratio * advantage * limit", "return ratio * advantage", "happo"),
    Mutation("entropy lowered", "core/clip.py", "d_entropy=-bonus", "d_entropy=bonus", "happo"),
    Mutation(
        "entropy summed", "core/clip.py", "config.entropy_coef / actor.action_size", "config.entropy_coef", "happo"
    ),
    Mutation("MAPPO-L rewards costs", "mappo_l.py", "mini.advantage - (penalty", "mini.advantage + (penalty", "happo"),
    Mutation("multiplier falls with the cost", "mappo_l.py", "(lam + self.config", "(lam - self.config", "happo"),
    Mutation(
        "multiplier without the surrogate",
        "mappo_l.py",
        "(1 - self.config.gamma) + surrogate",
        "(1 - self.config.gamma)",
        "happo",
    ),
    Mutation("multiplier may be negative", "mappo_l.py", " * step, 0)", " * step, -np.inf)", "happo"),
    Mutation("a shared policy takes N times the steps", "core/learner.py", "size *= self.agents", "pass", "learner"),
    # J_C and length of the episodes
    Mutation(
        "length of the rollout, not of episodes",
        "core/learner.py",
        "cost, length = self.episode_cost, self.episode_length",
        "cost, length = self.episode_cost, float(len(rollout.reward))",
        "learner",
    ),
    Mutation(
        "projected from this rollout alone",
        "core/learner.py",
        "length * rollout.unfinished[:, 2:].sum(0) / rollout.unfinished[:, 1].sum()",
        "length * rollout.cost.mean((0, 1))",
        "learner",
    ),
    Mutation(
        "projected to the rollout's length",
        "core/learner.py",
        "length = float(rollout.episode_limit)",
        "length = float(len(rollout.reward))",
        "learner",
    ),
    Mutation(
        "J_C not kept over a resume", "core/learner.py", '("iteration", "episode_cost", ', '("iteration", ', "learner"
    ),
    Mutation(
        "any state saved", "core/learner.py", 'self._restorable(self.algorithm.state, "has become")', "", "learner"
    ),
    Mutation(
        "any state loaded", "core/learner.py", 'self._restorable(state["algorithm"], "was saved as")', "", "learner"
    ),
    # streams of random numbers
    Mutation(
        "seeds share the exploration",
        "run/run.py",
        "config.rollout_length, task.seed",
        "config.rollout_length, 0",
        "seeds",
    ),
    Mutation(
        "seeds share the reset noise", "train.py", "task.config.num_envs, task.seed", "task.config.num_envs, 0", "seeds"
    ),
    Mutation("seeds share what learns", "run/run.py", "bound, task.seed, device", "bound, 0, device", "seeds"),
    Mutation("seeds share the order of agents", "core/learner.py", "default_rng(order)", "default_rng(0)", "seeds"),
    Mutation("seeds share the policies", "core/learner.py", "manual_seed(actors)", "manual_seed(0)", "seeds"),
    Mutation("seeds share the minibatches", "core/learner.py", "manual_seed(shuffles)", "manual_seed(0)", "seeds"),
    Mutation(
        "minibatches are shuffled as the critics'",
        "core/learner.py",
        "manual_seed(shuffles)",
        "manual_seed(critics)",
        "seeds",
    ),
    Mutation(
        "evaluation starts as training did",
        "evaluate.py",
        'worlds, SEED + record["seed"]',
        'worlds, record["seed"]',
        "seeds",
    ),
    Mutation(
        "evaluations of all seeds start alike", "evaluate.py", 'worlds, SEED + record["seed"]', "worlds, SEED", "seeds"
    ),
    Mutation(
        "evaluations of all seeds explore alike",
        "evaluate.py",
        "SeedSequence((SEED, seed))",
        "SeedSequence(SEED)",
        "seeds",
    ),
    # settings that are read and then forgotten
    Mutation("bound asked for in vain", "run/run.py", "config.safety_bound or ", "", "effects"),
    Mutation("nu's first value asked for in vain", "mafocops.py", "costs), config.nu_init)", "costs), 0.0)", "effects"),
    Mutation(
        "lambda's rate asked for in vain",
        "mappo_l.py",
        "self.config.lagrangian_coef_rate * step",
        "1e-7 * step",
        "effects",
    ),
    Mutation("gae_lambda asked for in vain", "core/learner.py", "self.config.gae_lambda", "0.95", "effects"),
    Mutation("the critics' step asked for in vain", "core/critic.py", "config.critic_lr,", "5e-3,", "effects"),
    Mutation(
        "walls asked for in vain",
        "train.py",
        "threads, **options",
        'threads, **(options | {"walls": "ghost"})',
        "effects",
    ),
    # direction of both KLs of MAFOCOPS
    Mutation("mean KL in the gate only", "mafocops.py", "share * weight", "weight", "mafocops"),
    Mutation("mean KL in the loss only", "mafocops.py", "share * kl <=", "kl <=", "mafocops"),
    Mutation("sum of the KL at the stop", "mafocops.py", "share * self.mean_kl", "self.mean_kl", "mafocops"),
    Mutation("gate by the other KL", "mafocops.py", "policy.kl(mini.old),", "mini.old.kl(policy),", "mafocops"),
    Mutation(
        "stop by the other KL",
        "mafocops.py",
        "float(actor.policy(batch.observation, taped=False).kl(batch.old).mean())",
        "float(batch.old.kl(actor.policy(batch.observation, taped=False)).mean())",
        "mafocops",
    ),
    # settings and run folders
    Mutation(
        "unknown settings ignored", "core/config.py", "        if name not in fields:", "        if False:", "settings"
    ),
    Mutation("ranges not checked", "core/config.py", "math.isnan(number) or number < 0", "False", "settings"),
    Mutation("other settings resumed", "run/folder.py", "if old.get(name) != new[name]]:", "if False]:", "run"),
    Mutation(
        "rows beyond the checkpoint kept",
        "run/run.py",
        'write_metrics(self.folder / "metrics.csv", self.rows)',
        '(self.folder / "metrics.csv").touch()',
        "run",
    ),
    Mutation(
        "checksum not compared", "run/checkpoint.py", "if _digest(version, content) != digest", "if 0", "checkpoint"
    ),
    Mutation("format not compared", "run/checkpoint.py", "if version != FORMAT", "if 0", "checkpoint"),
    Mutation(
        "damaged checkpoint kept",
        "run/checkpoint.py",
        "            os.replace(path, folder / NEWEST)",
        "            pass",
        "checkpoint",
    ),
    Mutation(
        "checkpoint written in its place", "run/folder.py", 'path.with_name(f"{path.name}.part")', "path", "checkpoint"
    ),
    Mutation("checkpoint not synced", "run/folder.py", "os.fsync(file.fileno())", "pass", "checkpoint"),
    Mutation("folder not synced", "run/checkpoint.py", "    sync(folder)\n", "", "checkpoint"),
    Mutation(
        "unreadable types saved",
        "run/checkpoint.py",
        "type(tree) in (bool, int, float, str, bytes)",
        "True",
        "checkpoint",
    ),
    Mutation(
        "saving as often on a slow disk",
        "run/run.py",
        "max(CHECKPOINT_INTERVAL, spent / CHECKPOINT_SHARE)",
        "CHECKPOINT_INTERVAL",
        "checkpoint",
    ),
    Mutation(
        "folder not locked",
        "run/lock.py",
        'lock.claim(file, refusal, f"start no other run in {folder}")',
        "pass",
        "faults",
    ),
    Mutation("half a row left", "run/folder.py", "        os.truncate(path, size)\n", "", "faults"),
    Mutation("half a file left", "run/folder.py", "            part.unlink()\n", "            pass\n", "faults"),
    Mutation("stopping without saving", "run/run.py", "if stopped or time", "if time", "faults run"),
    Mutation(
        "going on after a signal", "run/run.py", "                if stopped:", "                if False:", "faults"
    ),
    Mutation("never ending at once", "run/signals.py", "now - first > GRACE", "False", "faults"),
    Mutation("one request counted as two", "run/signals.py", "and now - first > GRACE", "", "faults"),
    Mutation(
        "worlds not restored", "core/rollout.py", '        self.env.load_state_dict(state["env"])\n', "", "checkpoint"
    ),
    Mutation(
        "shuffles not restored",
        "core/learner.py",
        '        self.generator.set_state(state["generator"])\n',
        "",
        "learner",
    ),
    Mutation(
        "unfinished episodes not restored",
        "core/rollout.py",
        'state["observation"], state["running"]',
        'state["observation"], self._running',
        "rollout",
    ),
    Mutation(
        "foreign metrics overwritten",
        "run/folder.py",
        'if (folder / "metrics.csv").exists():',
        "if False:",
        "run",
    ),
    Mutation("another device is not told", "run/run.py", '"device": "device", ', "", "run"),
    Mutation("doubled bound is not told", "run/run.py", "        self._tell_bounds()\n", "", "run"),
    # numbers that are not finite, bad input, the process beside
    Mutation(
        "gradient not finite, step taken",
        "core/kernels.py",
        "if not np.isfinite(norm):",
        "if False:",
        "numerical_faults",
    ),
    Mutation(
        "step skipped in silence",
        "core/policy.py",
        "            raise self.fault(gradient)\n\n    def finite",
        "            pass\n\n    def finite",
        "numerical_faults",
    ),
    Mutation(
        "environment's numbers not looked at",
        "core/rollout.py",
        "if not all(math.isfinite",
        "if False and all(math.isfinite",
        "numerical_faults",
    ),
    Mutation(
        "unstable simulations not counted",
        "core/rollout.py",
        "env.unstable - unstable",
        "0 * unstable",
        "numerical_faults",
    ),
    Mutation("no fault.pt", "run/run.py", "                self._save_fault(error)\n", "", "numerical_faults"),
    Mutation(
        "work beside is lost with its process", "core/beside.py", "self.critics.regress(*self._work)", "pass", "learner"
    ),
    Mutation(
        "result from beside not taken over", "core/beside.py", "self.critics.load_state_dict(state)", "pass", "learner"
    ),
    # the original's errors, where they are asked for
    Mutation("misprint mended", "macpo.py", "np.log(old.std / new.std)", "np.log(new.std / old.std)", "legacy"),
    Mutation("step not capped", "macpo.py", "config.max_step_norm / (", "math.inf / (", "legacy"),
    Mutation(
        "M on costs asked for in vain", "mappo_l.py", "if config.legacy_factor_on_cost else", "if False else", "legacy"
    ),
]
BASELINE = Mutation(
    "nothing",
    "macpo.py",
    "",
    "",
    "networks mafocops macpo happo rollout learner settings run checkpoint faults legacy seeds effects",
)


def mutated(mutation: Mutation) -> str:
    """Return the text of a mutation's file with the error in it.

    Raises:
        ValueError: the file no longer holds what was to be replaced.
    """
    text = (ROOT / "algorithms" / mutation.file).read_text()
    if mutation.old not in text:
        raise ValueError(f"{mutation.name}: {mutation.file} no longer holds {mutation.old!r}")
    return text.replace(mutation.old, mutation.new)


def first_failure(mutation: Mutation) -> str | None:
    """Return the test that notices `mutation`, or None."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for name in ("algorithms", "envs", "workflow"):
            shutil.copytree(ROOT / name, root / name)  # with the compiled kernels, which a changed file outdates
        shutil.copy(ROOT / "pyproject.toml", root)
        path = root / "algorithms" / mutation.file
        path.write_text(mutated(mutation))
        files = [f"algorithms/tests/test_{name}.py" for name in mutation.tests.split()]
        options = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *files], cwd=root, capture_output=True, text=True, check=False
        )
    if done.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (?:algorithms/tests/)?(\S+)", done.stdout, re.MULTILINE)
    return found.group(1) if found else "the import of the tests"


def main() -> None:
    """Try all mutations and print the table."""
    if failure := first_failure(BASELINE):
        sys.exit(f"{failure} fails without any mutation")
    with ThreadPoolExecutor(WORKERS) as pool:
        caught = list(pool.map(first_failure, MUTATIONS))
    print("| mutation | caught by |\n|---|---|")
    for mutation, test in zip(MUTATIONS, caught, strict=True):
        print(f"| {mutation.name} (`{mutation.file}`) | {f'`{test}`' if test else '**survived**'} |")
    sys.exit(1 if None in caught else 0)


if __name__ == "__main__":
    main()
