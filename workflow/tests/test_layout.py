"""Promises of the repository as a whole: who imports whom, and that the lists of dependencies agree."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from workflow import sources

ROOT = sources.ROOT
PACKAGES = ("algorithms", "analysis", "envs", "workflow")
COMMANDS = ("train", "evaluate", "film", "benchmark", "controller")
MODULES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "tests" not in path.parts and "examples" not in path.parts
)


# They import nothing of ours but the table of scenarios.
LEAVES = ("workflow.layout", "workflow.numbers", "workflow.lock", "workflow.foreign")


def imports(path: Path) -> set[str]:
    """Return the modules of ours that a file imports, as dotted names."""
    package = ".".join(path.with_suffix("").parts[:-1])
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join(filter(None, [*base, node.module]))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in PACKAGES}


def allowed(path: Path) -> tuple[str, ...]:
    """Return the packages and modules that a file may import."""
    package, name = path.parts[0], path.stem
    if package == "envs":
        return ("envs",)
    if path == Path("analysis/watch.py"):  # one reader of the plan and of last rows
        return ("analysis", "envs.scenarios", "workflow.progress", "workflow.layout")
    if package in ("workflow", "analysis"):
        return (package, "envs.scenarios", "workflow.artefacts", *LEAVES)
    if path.parts[1] == "core":
        return ("algorithms.core", "envs.scenarios", "workflow.numbers")
    if path == Path("algorithms/run/foreign.py"):  # a vector environment like ours
        return ("envs.vector", "workflow.foreign")
    if path.parts[1] == "run":
        return ("algorithms.run", "algorithms.core", "envs.scenarios", *LEAVES)
    if name in COMMANDS:
        return ("algorithms", "envs", *LEAVES)
    return ("algorithms.core",) if name != "__init__" else tuple(f"algorithms.{name}" for name in sources.algorithms())


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_go_one_way_only(path):
    wrong = [name for name in imports(path) if not any(f"{name}.".startswith(f"{ok}.") for ok in allowed(path))]
    assert not wrong


@pytest.mark.parametrize("name", LEAVES)
def test_what_everybody_may_import_imports_the_table_of_scenarios_alone(name):
    assert all(found.startswith("envs.scenarios.") for found in imports(Path(f"{name.replace('.', '/')}.py")))


def test_the_workflow_imports_no_heavy_library():
    heavy = ("torch", "mujoco", "pandas", "gymnasium", "matplotlib")
    modules = "workflow.attempt, workflow.opengl, workflow.plan, workflow.progress, workflow.artefacts, workflow.suite"
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(heavy) & set(loaded.stdout.split())


def requirement(text: str) -> tuple[str, str]:
    """Split `snakemake[reports]>=9,<10` into its name and its range."""
    name, limits = re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", text).groups()
    return name.lower(), limits


def project_requirements() -> dict[str, str]:
    """Return what pyproject.toml asks of a checkout: the package's, the suite's, and tools for development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    own, *tools = extras["dev"]
    assert own == f"{project['name']}[suite]"
    listed = project["dependencies"] + extras["suite"] + tools  # the suite's ranges are the narrower ones
    return dict(map(requirement, listed)) | {"python": project["requires-python"]}


def test_the_conda_environment_asks_for_the_same_versions():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    nested = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    found = dict(map(requirement, [*(entry for entry in listed if isinstance(entry, str)), *nested]))
    assert found.pop("pip") == ""
    assert found.pop("imageio-ffmpeg") == ""  # pip's imageio[ffmpeg]
    assert found == project_requirements()


def test_the_tested_versions_lie_in_the_ranges_and_name_no_address():
    packaging = pytest.importorskip("packaging.specifiers")
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in lines)
    tested = {name.lower(): version for name, version in (line.split("==") for line in lines)}
    wanted = {name: limits for name, limits in project_requirements().items() if name not in ("python", "torch")}
    assert "torch" not in tested
    assert all(tested[name] in packaging.SpecifierSet(limits) for name, limits in wanted.items())


def test_every_target_of_the_makefile_is_declared_phony():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    assert targets == set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE).group(1).split())
