"""The report: everything a suite has made, in one HTML page that needs no other file and no network.

    python -m analysis.report --suite quick --configfile results/quick/config.yaml --steps 192000 --seeds 0 \
        --scenarios ant_2x4 --algorithms mafocops happo --artefacts results/quick/figures/figure2.svg FILE ... \
        --verdict results/quick/verdict.csv --manifest results/quick/manifest.json --videos FILE ... --output FILE

The page is `page/report.html.j2` with its style and its script; the same files give the same bytes.
"""

import argparse
import base64
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import jinja2
import numpy as np
import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from analysis import artefact, files, judging, manifest, results
from analysis.judging import COLUMNS, MISS, NOT_COMPARABLE, PASS, UNDECIDED
from analysis.results import WHOLE
from envs.scenarios import SCENARIOS
from workflow.artefacts import ROWS
from workflow.numbers import whole

PAGE = Path(__file__).parent / "page"
SNAKEFILE = Path(__file__).resolve().parent.parent / "Snakefile"
DEVIATIONS = Path(__file__).parent / "paper/deviations.md"
MARKS = {PASS: "\N{CHECK MARK}", MISS: "\N{MULTIPLICATION X}", UNDECIDED: "?", NOT_COMPARABLE: "\N{EN DASH}"}
LARGEST = 1_500_000  # bytes of a file that is put into the page; of a larger drawing its PNG is shown
SCALE = 1.25 * 96 / 72  # CSS pixels per point of a drawing
BESIDE = ("svg", "png", "csv", "tex", "md")  # suffixes of the files of an artefact
KINDS = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv", "tex": "application/x-tex"}
KINDS |= {"md": "text/markdown", "json": "application/json", "mp4": "video/mp4"}

OTHERS = "beyond"  # the section, of those in the page, of what has no row in workflow/artefacts.py
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


class Download(NamedTuple):
    """A file to save: `uri` holds its bytes; None where they are `shown` already, or are too many."""

    kind: str
    name: str
    path: str
    uri: str | None
    shown: bool = False


class Picture(NamedTuple):
    """A drawing: its bytes, its width in CSS pixels, and its width over its height without caption."""

    uri: str
    width: int
    ratio: float


class Shown(NamedTuple):
    """A figure, a table, or both; `target` is the file that Snakemake is asked for."""

    name: str
    title: str
    caption: str
    picture: Picture | None
    table: Markup
    downloads: Sequence[Download]
    target: str


def title(name: str) -> str:
    """Return the heading of an artefact."""
    if name in ROWS:
        return ROWS[name].title
    return "Digitised curves" if name == "digitised" else name.replace("_", " ").capitalize()


def scenario_title(name: object) -> str:
    """Return the label of a scenario; "all" and what is not ours stay as they are."""
    return SCENARIOS[name].title if name in SCENARIOS else str(name)


def data_uri(content: bytes, kind: str) -> str:
    """Return a file as an address that holds it."""
    return f"data:{KINDS[kind]};base64,{base64.b64encode(content).decode()}"


def download(path: Path, shown: bool = False) -> Download:
    """Return a file to save from the page; `shown`: its bytes are in the page already."""
    kind = path.suffix[1:]
    small = path.stat().st_size <= LARGEST
    uri = data_uri(path.read_bytes(), kind) if small and not shown else None
    return Download(kind.upper(), path.name, str(path), uri, shown)


def html(text: str, name: str) -> Markup:
    """Return Markdown of ours as HTML: tables scroll under a `name`, and their first cells are the heads of rows."""
    tokens, first = _MARKDOWN.parse(text), False
    for token in tokens:
        first = first or token.type == "tr_open"
        if token.type in ("th_open", "td_open"):
            scope = "col" if token.type == "th_open" else "row" if first else None
            right = {"class": "number"} if "style" in token.attrs else {}  # the only style that is ours
            token.attrs = right | ({"scope": scope} if scope else {})
        if token.type.startswith("td_") and first:
            token.tag, first = "th", token.type == "td_open"
        elif token.type == "thead_close":
            first = False
        elif token.type.startswith("heading_"):
            token.tag = "h4"
    region = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">\n<table>'
    made = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return Markup(made.replace("<table>", region).replace("</table>", "</table>\n</div>"))


def read(path: str) -> Shown:
    """Return the artefact of a file BASE.svg or BASE.md, with what stands beside it.

    Raises:
        ValueError: its drawing is not one of ours.
        OSError: the file cannot be read.
    """
    Path(path).open("rb").close()
    base = Path(path).with_suffix("")
    beside = {kind: file for kind in BESIDE if (file := Path(f"{base}.{kind}")).exists()}
    caption_file = Path(f"{base}.caption.txt")
    caption = caption_file.read_text().strip() if caption_file.exists() else ""
    text = beside["md"].read_text().removeprefix(caption) if "md" in beside else ""
    large = "svg" in beside and "png" in beside and beside["svg"].stat().st_size > LARGEST
    drawing = beside.get("png" if large else "svg")
    return Shown(
        name=base.name,
        title=title(base.name),
        caption=re.sub(r"^(Figure|Table) \d+\. ", "", caption),
        picture=_picture(drawing, beside["svg"]) if "svg" in beside else None,
        table=html(text, title(base.name)),
        downloads=[download(file, shown="svg" in beside and file == drawing) for file in beside.values()],
        target=path,
    )


def _picture(path: Path, svg: Path) -> Picture:
    """Return a drawing with the size of its SVG; a PNG has the caption below that, and is cut there."""
    try:
        _, root = next(ElementTree.iterparse(svg, events=["start"]))
        width, height = (float(root.attrib[name].removesuffix("pt")) for name in ("width", "height"))
    except (ElementTree.ParseError, StopIteration, KeyError, ValueError):
        raise ValueError(f"{svg} is not a drawing of this package: it does not give its size in points") from None
    return Picture(data_uri(path.read_bytes(), path.suffix[1:]), round(width * SCALE), round(width / height, 4))


def sections(paths: Sequence[str]) -> dict[str, list[Shown]]:
    """Return the artefacts of BASE.svg and BASE.md files, one of each BASE, by section.

    The order is that of workflow/artefacts.py; others come after them.
    """
    first: dict[Path, str] = {}
    for path in paths:
        first.setdefault(Path(path).with_suffix(""), path)
    ranks = {name: rank for rank, name in enumerate(ROWS)}
    found: dict[str, list[Shown]] = {}
    for base in sorted(first, key=lambda base: ranks.get(base.name, len(ranks))):
        found.setdefault(ROWS[base.name].section if base.name in ROWS else OTHERS, []).append(read(first[base]))
    return found


def verdicts(path: str) -> dict:
    """Return the comparisons of a verdict, and how many of each artefact came out how.

    Raises:
        ValueError: it is no verdict.
    """
    frame = files.table(path, "a verdict", COLUMNS)
    numbers = {name: files.numbers(path, frame[name]) for name in ("ours", "paper")}
    rows = frame.fillna("").assign(
        artefact=frame["artefact"].map(title),
        scenario=frame["scenario"].map(scenario_title),
        **{name: column.map(_number) for name, column in numbers.items()},
    )
    unknown = set(rows["verdict"]) - set(MARKS)
    if unknown:
        raise ValueError(f"{path} has the verdict {min(unknown)!r}; choose from {', '.join(MARKS)}")
    counts = pd.crosstab(rows["artefact"], rows["verdict"]).reindex(rows["artefact"].unique(), columns=list(MARKS))
    judged_first = rows.sort_values("verdict", key=lambda verdict: verdict == NOT_COMPARABLE, kind="stable")
    return {
        "rows": judged_first.to_dict("records"),
        "counts": counts.fillna(0).astype(int).to_dict("index"),
        "totals": {mark: int((rows["verdict"] == mark).sum()) for mark in MARKS},
        "marks": MARKS,
        "tolerances": tolerances(),
        "path": path,
        "file": download(Path(path)),
    }


def tolerances() -> pd.DataFrame:
    """Return what decides each number and sentence, and why, as a table of text."""
    claims = judging.claims()
    what = [claim.sentence or f"every {claim.measure}: {claim.quantity}" for claim in claims]
    places = [[scenario_title(p) if p in SCENARIOS else title(p) for p in claim.where.split()] for claim in claims]
    decided = [(claim.tolerance, claim.because) for claim in claims]
    rows = [(text, ", ".join(of), *why) for text, of, why in zip(what, places, decided, strict=True)]
    return pd.DataFrame(rows, columns=["Claim", "Of", "Tolerance", "Because"]).drop_duplicates()


def _number(value: float) -> str:
    """Return four digits, or all of those before the point; empty if there is no number."""
    return "" if np.isnan(value) else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def videos(paths: Sequence[str]) -> dict[str, list[dict]]:
    """Return the videos by scenario; their files are `<scenario>/<algorithm>.mp4`, or with two algorithms and a _."""
    found: dict[str, list[dict]] = {}
    for path in map(Path, paths):
        names, uri = _players(path.stem), data_uri(path.read_bytes(), "mp4")
        film = {"label": " beside ".join(names), "pair": len(names) > 1, "uri": uri}
        found.setdefault(scenario_title(path.parent.name), []).append(film)
    return found


def _players(stem: str) -> list[str]:
    """Return MAPPO-L of mappo_l, MAFOCOPS and MACPO of mafocops_macpo."""
    pairs = ((first, stem.removeprefix(f"{first}_")) for first in results.LABELS if stem not in results.LABELS)
    return list(map(results.label, next((pair for pair in pairs if pair[1] in results.LABELS), (stem,))))


def render(content: Mapping[str, object]) -> str:
    """Return the page."""
    rules = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(PAGE), **rules)
    parts = {name: Markup((PAGE / f"report.{name}").read_text()) for name in ("css", "js")}
    return environment.get_template("report.html.j2").render(**content, **parts)


def _facts(options: argparse.Namespace, states: Mapping[str, int]) -> dict[str, str]:
    """Return what the head of the page says of the suite, by name."""
    ended = ", ".join(f"{number} {state}" for state, number in states.items())
    facts = {
        "Training": f"{artefact.steps(options.steps)} per run",
        "Seeds": f"{len(options.seeds)} ({', '.join(map(str, options.seeds))})",
        "Algorithms": ", ".join(map(results.label, options.algorithms)),
        "Scenarios": ", ".join(map(scenario_title, options.scenarios)),
        "Runs": f"{sum(states.values())}: {ended}" if ended else "none",
        "Note": options.note,
    }
    return {name: text for name, text in facts.items() if text}


def _parser() -> files.Parser:
    parser = files.Parser(description="Put a suite's artefacts into one page.", fromfile_prefix_chars="@")
    parser.add_argument("--suite", required=True, help="its name")
    parser.add_argument("--configfile", required=True, help="its configuration, for the commands that the page shows")
    parser.add_argument("--steps", type=whole, required=True, help="environment steps per run")
    parser.add_argument("--seeds", type=whole, nargs="+", required=True)
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
    listed = manifest.listed(options.manifest)
    rules = [] if Path(SNAKEFILE.name).exists() else ["--snakefile", str(SNAKEFILE)]

    def command(target: str) -> str:
        return shlex.join(["snakemake", *rules, "--cores", "all", target, "--configfile", options.configfile])

    content = {
        "suite": options.suite,
        "facts": _facts(options, listed.states),
        "short": options.steps < WHOLE * results.PUBLISHED_STEPS,
        "steps": artefact.steps(options.steps),
        "published": artefact.steps(results.PUBLISHED_STEPS),
        "absent": len(listed.absent),
        "named": artefact.named(listed.absent),
        "sections": sections(options.artefacts),
        "verdict": verdicts(options.verdict) if options.verdict else None,
        "videos": videos(options.videos),
        "provenance": listed,
        "manifest": download(Path(options.manifest)),
        "manifest_path": options.manifest,
        "deviations": html(DEVIATIONS.read_text(), "Deviations"),
        "command": command,
    }
    files.write(options.output, {"": render(content)})


if __name__ == "__main__":
    files.command(main)
