"""Figures and tables as the report shows them: files side by side that `style.save` and `tables.save` wrote."""

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis import markup

LARGEST = 1_500_000  # bytes of a file that is put into the page; of a larger drawing its PNG is shown
SCALE = 1.25 * 96 / 72  # CSS pixels per point of a drawing
ABOVE = 14  # points from the caption's first baseline up to where a drawing is cut
KINDS = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "csv": "text/csv",
    "tex": "application/x-tex",
    "md": "text/markdown",
    "json": "application/json",
    "mp4": "video/mp4",
}
TITLES = {
    "pareto": "Return against cost",
    "iteration_time": "Where the time goes",
    "legacy": "With the errors and without",
    "comparison": "All scenarios together",
    "comparison_pairs": "Every pair of algorithms",
    "comparison_profile": "Performance profiles",
    "comparison_seeds": "What fewer seeds would have said",
    "evaluation": "Evaluation of the final policies",
    "digitised": "Digitised curves",
}


@dataclass(frozen=True)
class Download:
    """A file to save: `uri` holds its bytes; None where they are `shown` already, or are too many."""

    kind: str
    name: str
    path: str
    uri: str | None
    shown: bool = False


@dataclass(frozen=True)
class Picture:
    """A drawing: its bytes, its width in CSS pixels, and width over height of its part above the caption."""

    uri: str
    width: int
    ratio: float


@dataclass(frozen=True)
class Artefact:
    """A figure, a table, or both; `target` is the file that Snakemake is asked for."""

    name: str
    title: str
    caption: str
    picture: Picture | None
    blocks: Sequence[markup.Block]
    downloads: Sequence[Download]
    target: str


def title(name: str) -> str:
    """Return the heading of an artefact: "Figure 2", "Table 1", else words."""
    numbered = re.fullmatch(r"(figure|table)(\d+)", name)
    if numbered:
        return f"{numbered[1].capitalize()} {numbered[2]}"
    return TITLES.get(name, name.replace("_", " ").capitalize())


def data_uri(content: bytes, kind: str) -> str:
    """Return a file as an address that holds it."""
    return f"data:{KINDS[kind]};base64,{base64.b64encode(content).decode()}"


def download(path: Path, shown: bool = False) -> Download:
    """Return a file to save from the page; `shown`: its bytes are in the page already."""
    kind = path.suffix[1:]
    small = path.stat().st_size <= LARGEST
    uri = data_uri(path.read_bytes(), kind) if small and not shown else None
    return Download(kind.upper(), path.name, str(path), uri, shown)


def read(paths: Sequence[str]) -> list[Artefact]:
    """Return the artefacts of BASE.svg and BASE.md files, with what stands beside them; one of each BASE."""
    bases: dict[Path, str] = {}
    for path in paths:
        bases.setdefault(Path(path).with_suffix(""), path)
    return [_artefact(base, target) for base, target in bases.items()]


def _artefact(base: Path, target: str) -> Artefact:
    """Return one artefact.

    Raises:
        ValueError: its table is not one of ours.
        OSError: the file asked for cannot be read.
    """
    Path(target).open("rb").close()
    beside = {kind: Path(f"{base}.{kind}") for kind in ("svg", "png", "csv", "tex", "md")}
    beside = {kind: path for kind, path in beside.items() if path.exists()}
    caption_file = Path(f"{base}.caption.txt")
    caption = caption_file.read_text().strip() if caption_file.exists() else ""
    blocks = _blocks(beside["md"]) if "md" in beside else []
    drawing = _drawing(beside)
    return Artefact(
        name=base.name,
        title=title(base.name),
        caption=re.sub(r"^(Figure|Table) \d+\. ", "", caption),
        picture=_picture(drawing, beside["svg"].read_text(), caption) if drawing else None,
        blocks=[block for block in blocks if block.text != caption or not caption],
        downloads=[download(path, shown=path == drawing) for path in beside.values()],
        target=target,
    )


def _blocks(path: Path) -> list[markup.Block]:
    try:
        return markup.parse(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not a table of this package: {error}") from None


def _drawing(beside: dict[str, Path]) -> Path | None:
    """Return the file to show of a figure: its SVG, or the PNG of a large one; None of a table."""
    if "svg" not in beside:
        return None
    large = beside["svg"].stat().st_size > LARGEST
    return beside["png"] if large and "png" in beside else beside["svg"]


def _picture(path: Path, svg: str, caption: str) -> Picture:
    """Return a drawing, cut off above the caption that stands at its foot: the page has it as text."""
    size = re.search(r'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    if not size:
        raise ValueError(f"{path} is not a drawing of this package: it does not give its size in points")
    width, height = float(size[1]), float(size[2])
    uri = data_uri(path.read_bytes(), path.suffix[1:])
    return Picture(uri, round(width * SCALE), round(width / (_caption_top(svg, caption) or height), 4))


def _caption_top(svg: str, caption: str) -> float | None:
    """Return where the caption at the foot of a drawing begins, in points from the top; None if there is none.

    matplotlib writes every line of text as a comment, and its baseline into the transform that follows.
    """
    lines = re.findall(r'<!-- (.+?) -->\s*<g [^>]*transform="translate\([\d.]+ ([\d.]+)\)', svg)
    texts = [html.unescape(text) for text, _ in lines]
    for text, after, (_, baseline) in zip(texts, [*texts[1:], ""], lines, strict=True):
        rest = caption.removeprefix(text)
        if rest != caption and (not rest or (after and rest.lstrip().startswith(after))):
            return float(baseline) - ABOVE
    return None
