"""The report: what is in the page, whatever shows it."""

import base64
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from markupsafe import escape

from analysis import artefact, judging, report
from analysis.tests.made_up import CAPTION, RUN, build, figure, make
from workflow.artefacts import ROWS


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


def test_the_page_has_a_heading_for_every_section_an_artefact_can_be_in():
    page = (report.PAGE / "report.html.j2").read_text()
    known = re.findall(r'^  "(\w+)": \("', page, re.MULTILINE)
    assert {row.section for row in ROWS.values()} | {report.OTHERS} == set(known)


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


def test_a_drawing_has_the_size_and_shape_of_its_svg(tmp_path):
    figure(tmp_path / "figure2", CAPTION)
    shown = report.read(f"{tmp_path}/figure2.svg")
    text = (tmp_path / "figure2.svg").read_text()
    width, height = (float(re.search(rf'<svg[^>]* {name}="([0-9.]+)pt"', text)[1]) for name in ("width", "height"))
    assert shown.picture.width == pytest.approx(width * 1.25 * 96 / 72, abs=0.5)
    assert shown.picture.ratio == pytest.approx(width / height, abs=1e-4) and width > 1.1 * height
    assert CAPTION[-30:] in shown.caption and not shown.caption.startswith("Figure 2")


def test_a_large_drawing_is_shown_as_png_and_named_by_its_path(tmp_path, monkeypatch):
    figure(tmp_path / "figure2", CAPTION)
    monkeypatch.setattr(report, "LARGEST", (tmp_path / "figure2.svg").stat().st_size - 1)
    found = report.read(f"{tmp_path}/figure2.svg")
    assert found.picture.uri == report.data_uri((tmp_path / "figure2.png").read_bytes(), "png")
    assert [file.uri is None and not file.shown for file in found.downloads] == [True, False, False]


def cells(page: str) -> list[list[tuple[str, str]]]:
    """Return tag with attributes, and content, of every cell of the tables in a page."""
    return [re.findall(r"<(t[hd][^>]*)>(.*?)</t", row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)]


def test_our_markdown_becomes_a_table_cell_by_cell_and_nothing_in_it_becomes_html():
    printed = pd.DataFrame({("", "Name"): ["<b>x</b>", "`y` & z"], ("A", "b"): ["0.90† (0.96)", "never"]})
    made = report.html(artefact.markdown(printed, "A caption."), 'of "x"')
    number, row = 'class="number"', 'th scope="row"'
    assert cells(made) == [
        [('th scope="col"', "Name"), (f'th {number} scope="col"', "A b")],
        [(row, "&lt;b&gt;x&lt;/b&gt;"), (f"td {number}", "0.90† (0.96)")],
        [(row, "<code>y</code> &amp; z"), (f"td {number}", "never")],
    ]
    assert not Elements(made).open
    assert Elements(made).of("div") == [
        {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": 'of "x"'},
    ]
    assert report.html("## Title\n\nLine\nline\n", "x") == "<h4>Title</h4>\n<p>Line\nline</p>\n"


def test_the_list_of_deviations_names_a_source_for_each(page):
    rows = cells(section(page, "deviations"))
    heads = [row for row in rows if row[0][0] == 'th scope="col"']
    assert len(heads) == 5 and all(row[-1][1] == "Source" for row in heads)
    assert len(rows) - len(heads) > 20 and all(text for row in rows for _, text in row)


def test_the_page_says_why_each_tolerance_is_what_it_is(page):
    rows = cells(section(page, "verdict").split("Tolerances and their reasons")[-1])
    assert [text for _, text in rows[0]] == ["Claim", "Of", "Tolerance", "Because"]
    because = {text for *_, (_, text) in rows[1:]}
    assert {str(escape(claim.because)) for claim in judging.claims()} == because


@pytest.mark.parametrize(
    ("option", "content", "words"),
    [
        ("--manifest", '{"runs": [{}]}', "is not a manifest, as `python -m analysis.manifest` writes it"),
        ("--manifest", "[", "is not a manifest"),
        ("--verdict", "a,b\n1,2\n", "lacks the column 'artefact'; a verdict needs artefact, scenario"),
        (
            "--verdict",
            ",".join(judging.COLUMNS) + "\n" + "a,b,c,d,1,1,1,2,e,f,g,perhaps,h\n",
            "choose from pass, miss, undecided",
        ),
        ("--artefacts", "<svg/>", "is not a drawing of this package"),
        ("--artefacts", "not XML", "is not a drawing of this package"),
    ],
)
def test_a_file_that_is_something_else_is_refused_by_name(command, suite, tmp_path, option, content, words):
    path = tmp_path / "bad.svg"
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(words)) as refusal:
        build(command, suite | {option: [path]}, tmp_path)
    assert str(path) in str(refusal.value) and not (tmp_path / "report.html").exists()
