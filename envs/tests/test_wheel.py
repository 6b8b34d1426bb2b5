"""The wheel, built and installed beside somebody else's `envs`: what it holds, what it asks for, and that it works."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIGHT = {"gymnasium", "gymnasium-robotics", "mujoco", "numpy", "pettingzoo"}
HEAVY = {"torch", "pandas", "scipy", "snakemake", "matplotlib", "numba"}
CODE = """
import sys
import safe_mamujoco
assert not {"numpy", "mujoco"} & set(sys.modules)
import numpy as np
game = safe_mamujoco.parallel_env("ant_2x4", episode_limit=5)
game.reset(seed=0)
while game.agents:
    *_, infos = game.step({agent: np.zeros(4) for agent in game.agents})
assert safe_mamujoco.make("shadowhandover", num_envs=2).reset().shape == (2, 2, 211)
from pathlib import Path
assert Path(safe_mamujoco.__file__).parents[1] == Path("site").resolve() and infos["agent_0"]["cost"] == 0
import envs
assert envs.MINE
ours = {name.split(".")[0] for name in sys.modules}
print(*ours & {"algorithms", "analysis", "workflow", HEAVY})
"""


def pip(*arguments, cwd):
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], cwd=cwd, capture_output=True, text=True)
    if "Could not find a version that satisfies the requirement setuptools" in done.stderr:
        pytest.skip("the build needs setuptools, which cannot be fetched here")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of what git would hold, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("build")
    for path in [*(ROOT / "envs").glob("*"), ROOT / "pyproject.toml", ROOT / "LICENSE"]:
        if path.is_file():
            copy = folder / path.relative_to(ROOT)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", ".", cwd=folder)
    (path,) = (folder / "dist").glob("*.whl")
    return path


def test_it_holds_the_environments_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        text = archive.read(metadata).decode()
    modules = {f"safe_mamujoco/{path.name}" for path in (ROOT / "envs").glob("*.py")}
    assert (
        modules | {"safe_mamujoco/py.typed"} <= names <= modules | {"safe_mamujoco/py.typed", "safe_mamujoco/README.md"}
    )
    wanted = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", text, re.MULTILINE)
    assert set(wanted) == LIGHT


def test_it_works_in_a_project_that_has_an_envs_of_its_own(wheel, tmp_path):
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/__init__.py").write_text("MINE = True\n")
    pip("install", "--quiet", "--no-deps", "--target", "site", str(wheel), cwd=tmp_path)
    code = CODE.replace("HEAVY", ", ".join(map(repr, sorted(HEAVY))))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": "site", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
