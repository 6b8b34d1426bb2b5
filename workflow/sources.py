"""What the workflow knows of `algorithms/`, read from the text of its files.

Names, types and defaults of settings stand in the code once, as dataclass fields; importing them would cost a start of
torch at every call of Snakemake. The source files are inputs of the runs, so that editing one makes its runs stale.
"""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from envs.scenarios import OPTIONS

ROOT = Path(__file__).resolve().parent.parent
# Files that cannot change a number of a training: drawing and the interface for other libraries. Of `algorithms/run`,
# the life of a run, only run.py can.
_IRRELEVANT = {"parallel.py", "rendering.py"}


@dataclass(frozen=True)
class Field:
    """A setting as written in a `Config` dataclass: its annotation and its default (None: not a literal)."""

    kind: str
    default: object


@cache
def algorithms() -> tuple[str, ...]:
    """Return the names in `algorithms.ALGORITHMS`, in its order."""
    return tuple(ast.literal_eval(key) for key in _dictionary("algorithms/__init__.py", "ALGORITHMS").keys)


@cache
def renamed() -> dict[str, str]:
    """Return what to write instead of each setting that had another name."""
    return ast.literal_eval(_dictionary("algorithms/core/config.py", "RENAMED"))


def _dictionary(path: str, name: str) -> ast.Dict:
    """Return the dictionary of that name in a file."""
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name and isinstance(node.value, ast.Dict):
            return node.value
    raise ValueError(f"{path} defines no dictionary {name}")


@cache
def fields(algorithm: str) -> dict[str, Field]:
    """Return the settings of one of our algorithms: those all share, and its own."""
    options = {name: Field("str", values[0]) for name, values in OPTIONS.items()}
    return options | _fields("algorithms/core/config.py") | _fields(f"algorithms/{algorithm}.py")


def _fields(path: str) -> dict[str, Field]:
    """Return the fields of the class `Config` in a file."""
    config = next(node for node in _classes(path) if node.name == "Config")
    found = {}
    for node in config.body:
        if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation):
            try:
                default = ast.literal_eval(node.value)
            except ValueError:
                default = None
            found[node.target.id] = Field(ast.unparse(node.annotation), default)
    return found


def _classes(path: str) -> list[ast.ClassDef]:
    """Return the classes of a file."""
    return [node for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.ClassDef)]


@cache
def variants(algorithm: str) -> tuple[str, ...]:
    """Return the named variants of one of our algorithms: the keys of its class's `VARIANTS`."""
    return tuple(
        ast.literal_eval(key)
        for definition in _classes(f"algorithms/{algorithm}.py")
        for node in definition.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VARIANTS"
        for key in node.value.keys
    )


@cache
def files(algorithm: str) -> tuple[str, ...]:
    """Return the source files that can change a number of a run of `algorithm`, relative to the repository."""
    folders = {"algorithms/core": "*.py", "algorithms/run": "run.py", "envs": "*.py"}
    shared = [path for folder, names in folders.items() for path in (ROOT / folder).glob(names)]
    relative = sorted(path.relative_to(ROOT).as_posix() for path in shared if path.name not in _IRRELEVANT)
    return (f"algorithms/{algorithm}.py", *relative)


def seen(path: str) -> str:
    """Return a file of the repository as the working folder names it: as it is, or in full from any other folder."""
    return path if Path.cwd() == ROOT else str(ROOT / path)


@cache
def analysis() -> tuple[str, ...]:
    """Return the source files and published numbers behind figures and tables; redrawing all of them is cheap."""
    found = [*(ROOT / "analysis").glob("*.py"), *(ROOT / "analysis/paper").glob("*.csv")]
    return tuple(sorted(path.relative_to(ROOT).as_posix() for path in found))


@cache
def page() -> tuple[str, ...]:
    """Return what the report is made of beside the code: template, style, script, and the list of deviations."""
    found = [*(ROOT / "analysis/page").glob("*"), ROOT / "analysis/paper/deviations.md"]
    return tuple(sorted(path.relative_to(ROOT).as_posix() for path in found))
