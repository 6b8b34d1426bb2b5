"""Writing artefacts whole or not at all, and the frame every command line of this package shares.

A bad input is one sentence on stderr and exit code 2, before any file is touched.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn


def write(base: str | Path, contents: Mapping[str, bytes | str]) -> None:
    """Write `base + suffix` for every suffix, each through a temporary file beside it.

    Args:
        base: path without suffix; its folder is created.
        contents: suffix (".csv") to content. All content exists in memory before the first file is replaced.
    """
    for suffix, content in contents.items():
        target = Path(f"{base}{suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, target)


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong option in one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with code 2."""
        self.exit(2, f"error: {message}\n")


def parser(description: str) -> Parser:
    """Return a parser with the options common to figures and tables made from metrics files."""
    result = Parser(description=description, fromfile_prefix_chars="@")
    result.add_argument(
        "--metrics", nargs="+", required=True, metavar="FILE", help="metrics.csv files, or @FILE that lists them"
    )
    result.add_argument("--expected", type=int, help="number of runs that should be there (default: the files given)")
    result.add_argument("--note", default="", help="sentence appended to the caption")
    result.add_argument("--output", required=True, metavar="BASE", help="path without suffix")
    return result


def command(main: Callable[[], None]) -> None:
    """Run a command line; a ValueError or a file that cannot be read becomes one sentence and exit code 2."""
    try:
        main()
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
