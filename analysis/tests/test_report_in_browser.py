"""The report in Chromium, opened from disk: it can be read, filtered, enlarged and saved from, and asks for nothing."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from analysis import report
from analysis.tests.made_up import VERDICTS, build, make


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("suite"))


@pytest.fixture
def suite(made):
    return dict(made)


@pytest.fixture
def page(command, suite, tmp_path):
    return build(command, suite, tmp_path)


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
    everything = [(report.title(name), verdict) for name, verdict in VERDICTS]
    assert shown(tab) == everything
    for mark in report.MARKS:
        tab.locator(".filters button", has_text=mark).click()
        assert shown(tab) == [row for row in everything if row[1] == mark]
        assert tab.locator(".filters [aria-pressed=true]").inner_text().split()[1] in mark
    tab.locator(".filters select").select_option("Table 1")
    assert shown(tab) == []
    tab.locator(".filters button", has_text="all").click()
    assert shown(tab) == everything[:3]
    assert tab.locator(".filters output").inner_text() == "3 of 5"


def test_the_verdict_sorts_by_number_both_ways_with_empty_cells_last(tab):
    head = tab.locator("#comparisons th button", has_text="Ours")
    column = "#comparisons tbody td:nth-child(6)"
    for expected, direction in (
        (["3", "20", "100", "500", ""], "ascending"),
        (["500", "100", "20", "3", ""], "descending"),
    ):
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
