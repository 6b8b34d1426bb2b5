"""The report: what is in the page, and, in a browser, that it can be read, filtered, enlarged and saved from."""

import base64
import json
import os
import re
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis import artefacts, markup, report, style, tables

CAPTION = "Figure 2. A line & its <caption>, long enough for two rows of text below the drawing. 1 run, none missing."
VERDICTS = [("table1", "pass"), ("table1", "miss"), ("table1", "pass"), ("figure2", "not comparable")]
HASH = "0123456789abcdef" * 4
RUN = {
    "path": "results/tiny/runs/ant_2x4/happo/default/seed0/metrics.csv",
    "status": "complete",
    "sha256": HASH,
    "law_hash": HASH[::-1],
    "algorithm": "happo",
    "steps": 2000,
    "task_version": 1,
    "commit": HASH[:40],
    "dirty": False,
    "settings": {"gamma": 0.99, "hidden": [64, 64], "gate": True},
    "versions": {"python": "3.11", "torch": "2.13"},
    "hardware": {"cpu": "A processor", "cores": 2, "memory_gib": 8.0, "gpu": None},
}
CHANGED = RUN | {"path": RUN["path"].replace("default", "gamma=0.9"), "settings": RUN["settings"] | {"gamma": 0.9}}
NOTHING = dict.fromkeys(("sha256", "law_hash", "settings", "versions", "hardware", "commit", "dirty", "steps"))
FAILED = RUN | NOTHING | {"path": RUN["path"].replace("seed0", "seed1"), "status": "failed", "task_version": None}


def figure(base: Path, caption: str, drawn: bool = True) -> None:
    """Save a figure of 4 x 3 inches with its caption at the foot."""
    canvas = Figure(figsize=(4, 3))
    canvas.subplots().plot([0, 1], [0, 1])
    canvas.axes[0].set_ylabel(caption[:6])  # the beginning of a caption is no caption
    if drawn:
        canvas.text(0.02, 0.02, caption[:60] + "\n" + caption[60:], va="bottom", fontsize=7.5)
    style.save(canvas, pd.DataFrame({"x": [0, 1]}), caption, base)


def make(folder: Path) -> dict[str, list]:
    """Make a small suite; return the arguments of the report but for the output."""
    results = folder / "results/tiny"
    for name in ("figure2", "figure3", "legacy", "comparison", "surprise"):
        figure(
            results / f"figures/{name}", CAPTION.replace("Figure 2. ", f"{name}. " if name.startswith("figure") else "")
        )
    row = {"table": "table1", "scenario": "ant_2x4", "ours": 1.5, "runs": 1, "steps": 2000}
    printed = tables.Printed([("", "Scenario"), ("Ours", "MACPO")], [["Ant <2x4>", "1.50"], ["Ant 4x2", "n/a"]])
    tidy = pd.DataFrame([row]).reindex(columns=tables.TIDY)
    tables.save(tidy, printed, "Table 1. Speed.", "table1", results / "tables/table1")
    verdicts = pd.DataFrame(VERDICTS, columns=["artefact", "verdict"]).reindex(columns=report.JUDGED)
    verdicts = verdicts.assign(scenario="ant_2x4", ours=[3.0, 20.0, 100.0, np.nan], source="a source", reason="why")
    verdicts.to_csv(results / "verdict.csv", index=False)
    (results / "manifest.json").write_text(json.dumps({"runs": [RUN, RUN | {"path": "other"}, CHANGED, FAILED]}))
    film = results / "videos/ant_2x4/mafocops_macpo.mp4"
    film.parent.mkdir(parents=True)
    imageio.mimwrite(film, np.zeros((4, 64, 64, 3), np.uint8), fps=4)
    shutil.copy(film, film.parent / "mappo_l.mp4")
    return {
        "--suite": ["tiny"],
        "--configfile": ["results/tiny/config.yaml"],
        "--steps": [2000],
        "--seeds": [0, 1],
        "--scenarios": ["ant_2x4"],
        "--algorithms": ["happo", "foreign"],
        "--note": ["A note."],
        "--artefacts": [*sorted((results / "figures").glob("*.svg")), results / "tables/table1.md"],
        "--verdict": [results / "verdict.csv"],
        "--manifest": [results / "manifest.json"],
        "--videos": [film, film.parent / "mappo_l.mp4"],
    }


def build(command, arguments: dict[str, list], folder: Path) -> str:
    """Run the command line and return the page."""
    listed = [part for name, values in arguments.items() for part in (name, *values)]
    command(report, *listed, "--output", folder / "report.html")
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("suite"))


@pytest.fixture
def suite(made):
    return dict(made)


@pytest.fixture
def page(command, suite, tmp_path):
    return build(command, suite, tmp_path)


class Elements(HTMLParser):
    """The attributes of every element of a page, and whether each element that was opened was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


def section(page: str, identifier: str) -> str:
    """Return the HTML of one section."""
    return re.search(rf'<section id="{identifier}".*?</section>', page, re.DOTALL)[0]


def test_the_page_needs_no_other_file(page):
    elements = Elements(page)
    assert not elements.open
    addresses = [each[name] for _, each in elements.found for name in ("src", "href", "poster") if each.get(name)]
    assert len(addresses) > 10 and all(address.startswith(("data:", "#")) for address in addresses)
    assert "url(" not in page and "@import" not in page and "fetch(" not in page
    policy = next(each["content"] for each in elements.of("meta") if "content" in each and "src" in each["content"])
    assert policy.startswith("default-src 'none'")
    assert all(image.get("alt") is not None for image in elements.of("img"))


def test_identifiers_are_unique_and_every_link_within_the_page_has_its_target(page):
    elements = Elements(page)
    identifiers = [each["id"] for _, each in elements.found if "id" in each]
    assert len(identifiers) == len(set(identifiers))
    links = [each["href"][1:] for each in elements.of("a") if each.get("href", "").startswith("#")]
    assert len(links) >= 8 and set(links) <= set(identifiers)


def test_the_same_inputs_give_the_same_bytes(command, suite, page, tmp_path):
    assert build(command, suite, tmp_path) == page


def test_artefacts_stand_in_the_papers_sections_and_what_is_new_beyond_them(page):
    listed = re.findall(r'<section id="(\w+)"', page)
    first = ["performance", "efficiency", "beyond", "errors"]
    assert listed == [*first, "verdict", "videos", "provenance", "deviations"]
    assert re.findall(r'<article id="(\w+)"', section(page, "performance")) == ["figure2", "figure3"]
    assert re.findall(r'<article id="(\w+)"', section(page, "beyond")) == ["comparison", "surprise"]
    assert "A line &amp; its &lt;caption&gt;" in section(page, "performance")


def test_every_artefact_names_a_command_that_asks_for_its_file(page, suite):
    commands = [shlex.split(text) for text in re.findall(r"made by</span> <code>(.*?)</code>", page)]
    targets = [str(path) for name in ("--artefacts", "--verdict", "--manifest") for path in suite[name]]
    assert sorted(command[3] for command in commands) == sorted([*targets, "videos"])
    start, end = ["snakemake", "--cores", "all"], ["--configfile", "results/tiny/config.yaml"]
    assert all(command[:3] == start and command[4:] == end for command in commands)


def test_what_can_be_saved_is_the_file_byte_for_byte(page, suite):
    folder = Path(suite["--verdict"][0]).parent
    names = []
    for link in Elements(page).of("a"):
        if "href" in link and "download" in link:
            path = next(folder.rglob(link["download"]))
            assert base64.b64decode(link["href"].split(",")[1]) == path.read_bytes()
            names.append(link["download"])
    assert {"figure2.png", "figure2.csv", "table1.tex", "verdict.csv", "manifest.json"} <= set(names)
    picture = base64.b64encode((folder / "figures/figure2.svg").read_bytes()).decode()
    assert page.count(picture) == 1


def test_short_runs_and_missing_runs_are_said_at_the_top(command, suite, page, tmp_path):
    top = page.split("<section")[0]
    assert "Shorter than the paper." in top and "2 thousand steps per run here, 10 million steps in the paper" in top
    assert "1 run is missing:</b> ant_2x4/happo/default (seed1)" in top
    assert "4: 3 complete, 1 failed" in top and "HAPPO, foreign" in top and "A note." in top
    manifest = tmp_path / "whole.json"
    manifest.write_text(json.dumps({"runs": [RUN]}))
    whole = build(command, suite | {"--steps": [10_000_000], "--manifest": [manifest]}, tmp_path)
    assert "banner" not in whole.split("<main")[1]


def test_what_a_suite_has_not_made_has_no_section(command, suite, tmp_path):
    for name in ("--artefacts", "--verdict", "--videos", "--note"):
        del suite[name]
    assert re.findall(r'<section id="(\w+)"', build(command, suite, tmp_path)) == ["provenance", "deviations"]


def test_provenance_lists_every_run_and_only_the_settings_that_differ(page):
    found = section(page, "provenance")
    rows = re.findall(r'<tr><th scope="row">(?:runs|other|\W).*?</tr>', found)
    assert len([row for row in rows if "seed" in row]) == 3
    changed = next(row for row in rows if "gamma=0.9/" in row)
    assert "<td>gamma=0.9</td>" in changed and "hidden" not in changed
    assert '<th scope="row">hidden</th><td>64,64</td>' in found and "A processor, 2 cores, 8 GiB" in found


def test_videos_are_labelled_by_scenario_and_algorithm(page):
    films = section(page, "videos")
    labels = ["Ant 2x4: MAFOCOPS beside MACPO", "Ant 2x4: MAPPO-L"]
    assert [each["aria-label"] for each in Elements(films).of("video")] == labels
    assert films.count('class="pair"') == 1


def test_a_caption_is_said_once(page):
    assert page.count("<p>Table 1. Speed.</p>") == 0 and page.count(">Speed.<") == 1


def test_a_caption_at_the_foot_of_a_drawing_is_cut_off_for_the_page_has_it_as_text(tmp_path):
    for drawn in (True, False):
        figure(tmp_path / str(drawn), CAPTION, drawn)
    cut, whole = (artefacts.read([f"{tmp_path}/{drawn}.svg"])[0].picture for drawn in (True, False))
    assert whole.ratio == pytest.approx(4 / 3, abs=1e-3)
    assert 216 * (1 - whole.ratio / cut.ratio) == pytest.approx(30, abs=8)  # points of two lines and the margin


def test_a_large_drawing_is_shown_as_png_and_named_by_its_path(tmp_path, monkeypatch):
    figure(tmp_path / "figure2", CAPTION)
    monkeypatch.setattr(artefacts, "LARGEST", (tmp_path / "figure2.svg").stat().st_size - 1)
    (found,) = artefacts.read([f"{tmp_path}/figure2.svg"])
    assert found.picture.uri == artefacts.data_uri((tmp_path / "figure2.png").read_bytes(), "png")
    assert [file.uri is None and not file.shown for file in found.downloads] == [True, False, False]


def test_our_markdown_is_read_back_cell_by_cell():
    printed = tables.Printed([("", "Name"), ("A", "b"), ("", "c")], [["x", "0.90† (0.96)", "8a"], ["y", "never", "1"]])
    paragraph, table = markup.parse(tables.markdown(printed, "A caption."))
    assert paragraph == markup.Block("paragraph", "A caption.")
    assert table.table.header == ["Name", "A b", "c"] and table.table.rows == printed.rows
    assert table.table.numeric == [False, True, False]
    assert markup.parse("## Title\n\nLine\nline\n") == [
        markup.Block("heading", "Title"),
        markup.Block("paragraph", "Line line"),
    ]


def test_the_list_of_deviations_names_a_source_for_each():
    found = [block.table for block in markup.parse(report.DEVIATIONS.read_text()) if block.kind == "table"]
    assert sum(len(table.rows) for table in found) > 20
    assert all(table.header[-1] == "Source" and all(map(all, table.rows)) for table in found)


@pytest.mark.parametrize(
    ("option", "content", "words"),
    [
        ("--manifest", '{"runs": [{}]}', "is not a manifest, as `python -m analysis.manifest` writes it"),
        ("--manifest", "[", "is not a manifest"),
        ("--verdict", "a,b\n1,2\n", "lacks the column 'artefact'; a verdict needs artefact, scenario"),
        ("--verdict", ",".join(report.JUDGED) + "\n" + "a,b,c,d,1,2,e,f,perhaps,g\n", "choose from pass, miss"),
        ("--artefacts", "<svg/>", "is not a drawing of this package"),
        ("--artefacts", "| a | b |\n| --- | --- |\n| 1 |\n", "has 1 cells where its header has 2"),
    ],
)
def test_a_file_that_is_something_else_is_refused_by_name(command, suite, tmp_path, option, content, words):
    path = tmp_path / ("bad.md" if content.startswith("|") else "bad.svg")
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(words)) as refusal:
        build(command, suite | {option: [path]}, tmp_path)
    assert str(path) in str(refusal.value) and not (tmp_path / "report.html").exists()


def chromium() -> str | None:
    """Return the browser: the variable CHROMIUM, or what the system has."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def browser():
    if chromium() is None:
        pytest.skip("no Chromium: install Debian's chromium, or name one in the variable CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api")
    root = getattr(os, "geteuid", lambda: 1)() == 0
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"] if root else [])
        yield found
        found.close()


@pytest.fixture
def tab(browser, page, tmp_path):
    """The page opened from disk; complaints in its console and requests for anything else fail the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    opened, complaints, requests = context.new_page(), [], []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    address = (tmp_path / "report.html").as_uri()
    opened.goto(address)
    yield opened
    context.close()
    assert complaints == []
    assert {url for url in requests if not url.startswith("data:")} <= {address}


def test_every_link_of_the_sidebar_leads_to_its_section_and_marks_it(tab):
    links = tab.locator("nav li a")
    assert links.count() == 8
    for link in links.all():
        link.click()
        heading = tab.locator(link.get_attribute("href")).locator("h2")
        assert heading.inner_text() == link.inner_text()
        tab.wait_for_function("node => node.getBoundingClientRect().top < innerHeight", arg=heading.element_handle())
        assert heading.is_visible() and heading.bounding_box()["y"] >= 0


def test_the_section_being_read_is_marked(tab):
    tab.evaluate("document.getElementById('verdict').scrollIntoView()")
    tab.wait_for_function("() => document.querySelector('nav [aria-current]')?.textContent === 'Verdict'")


def shown(tab) -> list[tuple[str, str]]:
    """Return artefact and verdict of the rows that can be seen."""
    rows = [row for row in tab.locator("#comparisons tbody tr").all() if row.is_visible()]
    return [(row.get_attribute("data-artefact"), row.get_attribute("data-verdict")) for row in rows]


def test_filters_of_the_verdict_show_only_those_rows(tab):
    everything = [(artefacts.title(name), verdict) for name, verdict in VERDICTS]
    assert shown(tab) == everything
    for mark in report.MARKS:
        tab.locator(".filters button", has_text=mark).click()
        assert shown(tab) == [row for row in everything if row[1] == mark]
        assert tab.locator(".filters [aria-pressed=true]").inner_text().split()[1] in mark
    tab.locator(".filters select").select_option("Table 1")
    assert shown(tab) == []
    tab.locator(".filters button", has_text="all").click()
    assert shown(tab) == everything[:3]
    assert tab.locator(".filters output").inner_text() == "3 of 4"


def test_the_verdict_sorts_by_number_both_ways_with_empty_cells_last(tab):
    head = tab.locator("#comparisons th button", has_text="Ours")
    column = "#comparisons tbody td:nth-child(6)"
    for expected, direction in ((["3", "20", "100", ""], "ascending"), (["100", "20", "3", ""], "descending")):
        head.click()
        assert tab.locator(column).all_inner_texts() == expected
        assert tab.locator("#comparisons th[aria-sort]:not([aria-sort=none])").get_attribute("aria-sort") == direction


def test_a_figure_is_enlarged_and_escape_closes_it(tab):
    button = tab.get_by_role("button", name="Enlarge Figure 2")
    button.focus()
    tab.keyboard.press("Enter")
    enlarged = tab.locator("dialog img")
    assert enlarged.is_visible()
    assert enlarged.get_attribute("src") == button.locator("img").get_attribute("src")
    assert enlarged.bounding_box()["width"] > 1.5 * button.bounding_box()["width"]
    tab.keyboard.press("Escape")
    assert not enlarged.is_visible()
    assert tab.evaluate("document.activeElement.className") == "enlarge"


def test_pictures_are_drawn(tab):
    for image in tab.locator("figure img").all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("node => node.decode().then(() => node.naturalWidth)") > 100


def test_saving_gives_the_bytes_of_the_file(tab, suite):
    folder = Path(suite["--verdict"][0]).parent
    for name in (
        "figure2.svg",
        "figure3.svg",
        "figure2.png",
        "figure2.csv",
        "table1.tex",
        "verdict.csv",
        "manifest.json",
    ):
        with tab.expect_download() as download:
            tab.locator(f"a[download='{name}']").click()
        assert download.value.suggested_filename == name
        assert Path(download.value.path()).read_bytes() == next(folder.rglob(name)).read_bytes()


def test_a_video_is_not_decoded_before_it_is_near_and_then_shows_a_frame(tab):
    video = tab.locator("video").first
    assert video.evaluate("node => [node.preload, node.readyState]") == ["none", 0]
    video.scroll_into_view_if_needed()
    tab.wait_for_function("() => document.querySelector('video').readyState >= 1")
    assert video.evaluate("node => node.videoWidth") == 64


def test_lists_of_provenance_open(tab):
    tab.get_by_text("Every run", exact=True).click()
    assert tab.locator("#provenance").get_by_text("runs/ant_2x4/happo/gamma=0.9/seed0").is_visible()


@pytest.mark.parametrize("width", [380, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_runs_over_the_edge(tab, width, scheme):
    tab.set_viewport_size({"width": width, "height": 800})
    tab.emulate_media(color_scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    over = "nodes => nodes.filter(n => n.getBoundingClientRect().right > innerWidth + 1).map(n => n.outerHTML)"
    assert tab.locator("main > *, article, figure, p, .scroll, .films, h1, h2").evaluate_all(over) == []


def test_text_and_paper_keep_their_contrast_in_light_and_dark(tab):
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        paper = _luminance(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
        for each in ("body", ".lead", "figcaption", "nav li a", "[data-is=miss]", "[data-is=pass]", ".save"):
            ink = _luminance(tab.locator(each).last.evaluate("node => getComputedStyle(node).color"))
            bright, dark = max(paper, ink), min(paper, ink)
            assert (bright + 0.05) / (dark + 0.05) > 4.5, (scheme, each)


def _luminance(colour: str) -> float:
    """Return the relative luminance of `rgb(r, g, b)` (WCAG 2)."""
    parts = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
