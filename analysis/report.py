"""The report: everything a suite has made, in one HTML page that needs no other file and no network.

    python -m analysis.report --suite quick --configfile results/quick/config.yaml --steps 192000 --seeds 0 \
        --scenarios ant_2x4 --algorithms mafocops happo --artefacts results/quick/figures/figure2.svg FILE ... \
        --verdict results/quick/verdict.csv --manifest results/quick/manifest.json --videos FILE ... --output FILE

The page is `page/report.html.j2` with its style and its script; the same inputs give the same bytes.
"""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup, escape

from analysis import artefacts, captions, files, markup, provenance, style
from analysis.judging import COLUMNS, MISS, NOT_COMPARABLE, PASS
from analysis.results import WHOLE
from envs.scenarios import SCENARIOS

PAGE = Path(__file__).parent / "page"
DEVIATIONS = Path(__file__).parent / "paper/deviations.md"
MARKS = {PASS: "\N{CHECK MARK}", MISS: "\N{MULTIPLICATION X}", NOT_COMPARABLE: "\N{EN DASH}"}

# Identifier, title, what it shows, and the artefacts in it; one that no section names joins OTHERS.
SECTIONS = (
    (
        "performance",
        "Appendix G: performance",
        "Episode return and cost while learning: median and 25 to 75 % of the seeds.",
        ("figure2", "figure3", "figure4", "figure5"),
    ),
    (
        "efficiency",
        "Appendix H: efficiency",
        "Frames per second and memory, beside the paper's Tables 1 and 2, and where the time of an iteration goes.",
        ("table1", "table2", "iteration_time"),
    ),
    (
        "sensitivity",
        "Appendix I: sensitivity",
        "Other values of lambda, nu_max and the safety bound: Tables 3 and 4 and Figure 6 of the paper.",
        ("table3", "table4", "figure6"),
    ),
    (
        "beyond",
        "Beyond the paper: comparison",
        "All algorithms over all scenarios at once, with intervals that say how much the seeds decide.",
        ("comparison", "comparison_pairs", "comparison_profile", "comparison_seeds", "pareto"),
    ),
    (
        "policies",
        "Beyond the paper: final policies",
        "Return and cost of each policy when it no longer learns: acting as it was trained, and without its noise.",
        ("evaluation",),
    ),
    (
        "errors",
        "Errors of the original code",
        "What the errors of the code base that the paper builds on do to the curves.",
        ("legacy",),
    ),
)
OTHERS = "beyond"


def sections(made: Sequence[artefacts.Artefact]) -> list[dict]:
    """Return the sections that have artefacts, in the order of SECTIONS."""
    named = {name for *_, names in SECTIONS for name in names}
    found = []
    for identifier, title, text, names in SECTIONS:
        inside = sorted((each for each in made if each.name in names), key=lambda each: names.index(each.name))
        if identifier == OTHERS:
            inside += [each for each in made if each.name not in named]
        if inside:
            found.append({"id": identifier, "title": title, "text": text, "artefacts": inside})
    return found


def verdicts(path: str) -> dict:
    """Return the comparisons of a verdict, and how many of each artefact came out how.

    Raises:
        ValueError: it is no verdict.
    """
    frame = files.table(path, "a verdict", COLUMNS)
    numbers = {name: files.numbers(path, frame[name]) for name in ("ours", "paper")}
    rows = frame.fillna("").assign(
        artefact=frame["artefact"].map(artefacts.title),
        scenario=frame["scenario"].map(scenario_title),
        **{name: column.map(_number) for name, column in numbers.items()},
    )
    unknown = set(rows["verdict"]) - set(MARKS)
    if unknown:
        raise ValueError(f"{path} has the verdict {min(unknown)!r}; choose from {', '.join(MARKS)}")
    groups = rows.groupby("artefact", sort=False)["verdict"]
    judged_first = rows.sort_values("verdict", key=lambda verdict: verdict == NOT_COMPARABLE, kind="stable")
    return {
        "rows": judged_first.to_dict("records"),
        "counts": {name: {mark: int((group == mark).sum()) for mark in MARKS} for name, group in groups},
        "totals": {mark: int((rows["verdict"] == mark).sum()) for mark in MARKS},
        "marks": MARKS,
        "path": path,
        "file": artefacts.download(Path(path)),
    }


def _number(value: float) -> str:
    """Return four digits, or all of those before the point; empty if there is no number."""
    return "" if np.isnan(value) else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def scenario_title(name: object) -> str:
    """Return the label of a scenario; "all" and what is not ours stay as they are."""
    return SCENARIOS[name].title if name in SCENARIOS else str(name)


def videos(paths: Sequence[str]) -> dict[str, list[dict]]:
    """Return the videos by scenario; their files are `<scenario>/<algorithm>.mp4`, or with two algorithms and a _."""
    found: dict[str, list[dict]] = {}
    for path in map(Path, paths):
        names = _players(path.stem)
        film = {"label": " beside ".join(names), "pair": len(names) > 1}
        film["uri"] = artefacts.data_uri(path.read_bytes(), "mp4")
        found.setdefault(scenario_title(path.parent.name), []).append(film)
    return found


def _players(stem: str) -> list[str]:
    """Return MAPPO-L of mappo_l, MAFOCOPS and MACPO of mafocops_macpo."""
    pairs = ((first, stem.removeprefix(f"{first}_")) for first in style.LABELS if stem not in style.LABELS)
    return list(map(style.label, next((pair for pair in pairs if pair[1] in style.LABELS), (stem,))))


def _code(text: str) -> Markup:
    """Return text of ours as HTML, backticks as code."""
    parts = str(escape(text)).split("`")
    return Markup("".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts)))


def render(content: Mapping[str, object]) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["code"] = _code
    parts = {name: Markup((PAGE / f"report.{name}").read_text()) for name in ("css", "js")}
    return environment.get_template("report.html.j2").render(**content, **parts)


def _facts(options: argparse.Namespace, found: provenance.Provenance) -> dict[str, str]:
    """Return what the head of the page says of the suite, by name."""
    count = sum(found.states.values())
    ended = ", ".join(f"{number} {state}" for state, number in found.states.items())
    facts = {
        "Training": f"{captions.steps(options.steps)} per run",
        "Seeds": f"{len(options.seeds)} ({', '.join(map(str, options.seeds))})",
        "Algorithms": ", ".join(map(style.label, options.algorithms)),
        "Scenarios": ", ".join(map(scenario_title, options.scenarios)),
        "Runs": f"{count}: {ended}" if ended else "none",
    }
    return facts | ({"Note": options.note} if options.note else {})


def _parser() -> files.Parser:
    parser = files.Parser(description="Put a suite's artefacts into one page.", fromfile_prefix_chars="@")
    parser.add_argument("--suite", required=True, help="its name")
    parser.add_argument("--configfile", required=True, help="its configuration, for the commands that the page shows")
    parser.add_argument("--steps", type=int, required=True, help="environment steps per run")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--scenarios", nargs="+", required=True)
    parser.add_argument("--algorithms", nargs="+", required=True)
    parser.add_argument("--note", default="", help="sentence about the suite")
    parser.add_argument("--artefacts", nargs="*", default=[], metavar="FILE", help="BASE.svg and BASE.md files")
    parser.add_argument("--verdict", metavar="FILE", help="verdict.csv")
    parser.add_argument("--manifest", required=True, metavar="FILE", help="manifest.json")
    parser.add_argument("--videos", nargs="*", default=[], metavar="FILE", help="<scenario>/<algorithm>.mp4 files")
    parser.add_argument("--output", required=True, metavar="FILE", help="such as report.html")
    return parser


def main() -> None:
    """Command line."""
    options = _parser().parse_args()
    found = provenance.read(options.manifest)

    def command(target: str) -> str:
        return shlex.join(["snakemake", "--cores", "all", target, "--configfile", options.configfile])

    content = {
        "suite": options.suite,
        "facts": _facts(options, found),
        "short": options.steps < WHOLE * captions.PUBLISHED_STEPS,
        "steps": captions.steps(options.steps),
        "published": captions.steps(captions.PUBLISHED_STEPS),
        "absent": len(found.absent),
        "named": captions.named(found.absent),
        "sections": sections(artefacts.read(options.artefacts)),
        "verdict": verdicts(options.verdict) if options.verdict else None,
        "videos": videos(options.videos),
        "provenance": found,
        "manifest": artefacts.download(Path(options.manifest)),
        "manifest_path": options.manifest,
        "deviations": markup.parse(DEVIATIONS.read_text()),
        "command": command,
    }
    files.write(options.output, {"": render(content)})


if __name__ == "__main__":
    files.command(main)
