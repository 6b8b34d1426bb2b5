"""The manifest of a suite: every run with its hash, its settings, and what it was made with.

Two hashes tell runs apart: `sha256` of metrics.csv as it is, and `law_hash` without its columns of time and memory,
which agrees for the same code, settings and seed on any machine of the same kind.

    python -m analysis.manifest --metrics FILE ... --output results/paper/manifest.json
"""

import hashlib
import json
from pathlib import Path

from analysis import files

MACHINE = ("wall_time", "fps", "memory_")  # how the names of columns begin that differ from machine to machine
KEPT = ("scenario", "algorithm", "variant", "seed", "steps", "task_version", "commit", "dirty", "started", "ended")


def law_hash(metrics: Path) -> str:
    """Return the SHA-256 of a metrics file without its columns of time and memory.

    Raises:
        ValueError: it is no CSV file.
    """
    frame = files.table(metrics, "a metrics file", [])
    kept = [column for column in frame if not column.startswith(MACHINE)]
    return hashlib.sha256(frame[kept].to_csv(index=False, lineterminator="\n").encode()).hexdigest()


def entry(path: str) -> dict:
    """Return what the manifest says of the run whose metrics file is `path`; what is not known is None.

    Raises:
        ValueError: the metrics file or the record beside it is damaged.
    """
    metrics, found = Path(path), files.record(path)
    known = found or {}
    missing = not metrics.exists()
    failed = not missing and files.table(metrics, "a metrics file", []).empty
    return {
        "path": path,
        "status": "missing" if missing else "failed" if failed else known.get("status"),
        "sha256": None if missing else hashlib.sha256(metrics.read_bytes()).hexdigest(),
        "law_hash": None if missing else law_hash(metrics),
        "recorded": found is not None and not (missing or failed),
        **{key: known.get(key) for key in (*KEPT, "settings", "versions", "hardware")},
    }


def main() -> None:
    """Command line."""
    parser = files.Parser(description="List every run of a suite with its hash.", fromfile_prefix_chars="@")
    parser.add_argument(
        "--metrics", nargs="+", required=True, metavar="FILE", help="metrics.csv files, or @FILE that lists them"
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="such as manifest.json")
    options = parser.parse_args()
    entries = [entry(path) for path in dict.fromkeys(options.metrics)]
    files.write(options.output, {"": json.dumps({"runs": entries}, indent=1) + "\n"})


if __name__ == "__main__":
    files.command(main)
