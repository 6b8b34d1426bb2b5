"""A project of somebody else's."""

from pathlib import Path

import pytest


@pytest.fixture
def foreign(tmp_path):
    """A folder with an `envs` of its own; the package safe_mamujoco of this checkout lies in its `site`."""
    for name in ("envs", "site"):
        (tmp_path / name).mkdir()
    (tmp_path / "envs/__init__.py").write_text("raise ImportError('this is somebody else\\'s')\n")
    (tmp_path / "site/safe_mamujoco").symlink_to(Path(__file__).parents[1], target_is_directory=True)
    return tmp_path
