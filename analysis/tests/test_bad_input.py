"""Every damaged file and every wrong option is one sentence that names it, and nothing is written."""

import json

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import __main__ as driver
from analysis import files, manifest, results

REQUIRED = ", ".join(results.REQUIRED)
HEAD = ",".join(results.REQUIRED) + "\n"
ROW = "ant_2x4,happo,default,0,1,100,500,10,1\n"
NEXT = "ant_2x4,happo,default,0,2,200,500,10,1\n"

# The bytes of a metrics file, and what is said after its name.
DAMAGED = [
    (b"", "is not a metrics file: it is empty"),
    (b"\n \n", "is not a metrics file: it is empty"),
    (HEAD + ROW[:-3], "is not a metrics file: its last line has no end, so it was torn or is still being written"),
    (
        HEAD + ROW + NEXT[:20],
        "is not a metrics file: its last line has no end, so it was torn or is still being written",
    ),
    (HEAD + ROW + "ant_2x4,happo\n", "is not a metrics file: its row 3 has 2 cells where the header has 9"),
    (HEAD + ROW[:-1] + ",7\n", "is not a metrics file: its row 2 has 10 cells where the header has 9"),
    (HEAD + ROW.replace("500", "\0\0\0"), "is not a metrics file: it holds NUL bytes"),
    (HEAD.encode() + b"\xff\xfe,happo\n", "is not a metrics file: byte 79 is not UTF-8 text"),
    (b"\x89PNG\r\n\x1a\n", "is not a metrics file: byte 0 is not UTF-8 text"),
    (HEAD[:-1] + ",fps\n", "is not a metrics file: it has the column 'fps' twice"),
    ('a,b\n"torn', "is not a metrics file: its last line has no end, so it was torn or is still being written"),
    ('a,b\n"torn\n', "is not a metrics file: unexpected end of data"),
    ("hello\n", f"lacks the column 'scenario'; a metrics file needs {REQUIRED}"),
    ("<html></html>\n", f"lacks the column 'scenario'; a metrics file needs {REQUIRED}"),
    (HEAD.replace(",step", ",stepp") + ROW, f"lacks the column 'step'; a metrics file needs {REQUIRED}"),
    (HEAD + ROW.replace("500", "fast"), "holds 'fast' in column 'fps', which should be a number"),
    (HEAD + ROW.replace("500", "True"), "holds 'True' in column 'fps', which should be a number"),
    (HEAD + ROW.replace("100", "0.5"), "has a value in column 'step' that is not a whole number"),
    (HEAD + ROW.replace("100", "1e300"), "has a value in column 'step' that is not a whole number"),
    (HEAD + ROW.replace("100", ""), "has a value in column 'step' that is not a whole number"),
    (HEAD + ROW.replace("100", "inf"), "has a value in column 'step' that is not a whole number"),
    (HEAD + NEXT + ROW, "must have growing values in column 'step'"),
    (HEAD + ROW + NEXT.replace(",0,2", ",1,2"), "must hold one seed throughout, not 0, 1"),
    (HEAD + ROW.replace("happo", ""), "must hold one algorithm throughout, not nan"),
    (HEAD + ROW.replace("ant_2x4", "ant_3x3"), ": unknown scenario 'ant_3x3'; choose from ant_2x4"),
]


def refused(capsys, command, module, *arguments) -> str:
    """Return the one sentence with which a command line ends, having checked its exit status."""
    with pytest.raises(SystemExit) as caught:
        files.command(lambda: command(module, *arguments))
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1
    return error.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(("content", "sentence"), DAMAGED, ids=[sentence[:60] for _, sentence in DAMAGED])
def test_a_damaged_metrics_file_is_refused_with(tmp_path, capsys, command, content, sentence):
    path = tmp_path / "metrics.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = refused(capsys, command, driver, "figure2", path, "--output", tmp_path / "drawn/figure2")
    assert said.startswith(f"{path}{' ' * (not sentence.startswith(':'))}{sentence}")
    assert not (tmp_path / "drawn").exists()


# A command, its arguments with FILE for a good metrics file and BAD for one that holds "hello", and its sentence.
OUT = ["--output", "OUT"]
WRONG = [
    (driver, ["figure2", *OUT, "no.csv"], "no.csv: No such file or directory"),
    (driver, ["figure2", *OUT, "/"], "/: Is a directory"),
    (driver, ["figure2", *OUT, "@no.txt"], "[Errno 2] No such file or directory: 'no.txt'"),
    (driver, ["figure2", *OUT], "the following arguments are required: "),
    (driver, ["figure2", "FILE"], "the following arguments are required: --output"),
    (driver, ["figure9", "FILE", *OUT], "argument NAME: invalid choice: 'figure9' (choose from 'figure2', 'figure3'"),
    (driver, ["table5", "FILE", *OUT], "argument NAME: invalid choice: 'table5'"),
    (driver, ["figure2", "FILE", "--scenarios", "ant", *OUT], "unrecognized arguments: --scenarios ant"),
    *[
        (driver, [name, "BAD", *OUT], "BAD lacks the column 'scenario'; a metrics file needs")
        for name in driver.MODULES
        if name != "benchmark" and driver.MODULES[name] != "evaluation"
    ],
    (driver, ["evaluation", "BAD", *OUT], "BAD lacks the column 'scenario'; an evaluation file needs"),
    (driver, ["benchmark", "BAD", *OUT], "BAD lacks the column 'scenario'; a measurement needs"),
    (driver, ["benchmark", "FILE", *OUT], "FILE lacks the column 'threads'; a measurement needs"),
    (
        manifest,
        ["BAD.torn", "--output", "OUT"],
        "BAD.torn is not a metrics file: its last line has no end",
    ),
    (driver, ["verdict", "TABLE", *OUT], "TABLE lacks the column 'table'; a table of this package needs"),
    (driver, ["verdict", "TABLE", "MANIFEST", *OUT], "MANIFEST is not a manifest, as `python -m analysis"),
    (driver, ["verdict", "TABLE", "no/manifest.json", *OUT], "no/manifest.json: No such file or directory"),
]


@pytest.mark.parametrize(
    ("module", "arguments", "sentence"), WRONG, ids=[f"{words[0]} {sentence[:60]}" for _, words, sentence in WRONG]
)
def test_a_wrong_command_line_is_refused_with(tmp_path, capsys, command, write, module, arguments, sentence):
    bad = tmp_path / "bad.csv"
    bad.write_text("hello\n")
    (tmp_path / "bad.csv.torn").write_text("hello")
    (tmp_path / "table1.csv").write_text("hello\n")
    (tmp_path / "manifest.json").write_text("hello\n")
    names = {"TABLE": tmp_path / "table1.csv", "MANIFEST": tmp_path / "manifest.json"}
    names |= {"FILE": write(), "BAD": bad, "BAD.torn": tmp_path / "bad.csv.torn", "OUT": tmp_path / "drawn/it"}
    said = refused(capsys, command, module, *(names.get(argument, argument) for argument in arguments))
    for name in ("FILE", "BAD", "TABLE", "MANIFEST"):
        sentence = sentence.replace(name, str(names[name]))
    assert said.startswith(sentence)
    assert not (tmp_path / "drawn").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "[" * 99999, '{"a": "\udcff"}'])
def test_a_damaged_record_is_refused_by_name(write, content):
    path = write()
    path.with_name("run.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(
        ValueError, match=r"run\.json is not the record of a run: delete it and .*csv to make both again"
    ):
        results.read([path])


def in_folders(write, tmp_path, versions) -> list:
    """Return metrics files of one run per entry of `versions`, each with a record of that task version."""
    paths = []
    for seed, version in enumerate(versions):
        folder = tmp_path / f"runs/ant_2x4/happo/default/seed{seed}"
        folder.mkdir(parents=True)
        paths.append(write(algorithm="happo", seed=seed).rename(folder / "metrics.csv"))
        if version != "no record":
            record = {} if version is None else {"task_version": version}
            (folder / "run.json").write_text(json.dumps(record))
    return paths


@pytest.mark.parametrize(
    ("versions", "said"),
    [((1, 1, 2), "version 1 in A, B; version 2 in C"), ((1, None, 1), "version 1 in A, C; version unknown in B")],
)
def test_runs_of_different_task_versions_share_no_figure_and_no_verdict(
    write, tmp_path, capsys, command, versions, said
):
    paths = in_folders(write, tmp_path, versions)
    for letter, path in zip("ABC", paths, strict=True):
        said = said.replace(letter, str(path))
    options = ["figure2", "--output", tmp_path / "drawn/figure2"]
    sentence = f"these runs are of different task versions and cannot be compared: {said}"
    assert refused(capsys, command, driver, *options, *paths) == sentence
    command(manifest, *paths, "--output", tmp_path / "manifest.json")
    options = ["verdict", paths[0], tmp_path / "manifest.json", "--output", tmp_path / "drawn/verdict"]
    assert refused(capsys, command, driver, *options) == sentence
    assert not (tmp_path / "drawn").exists()


@pytest.mark.parametrize("versions", [(1, 1), (None, None), (2, "no record"), ("no record", "no record")])
def test_runs_of_one_task_version_and_runs_without_record_share_a_figure(write, tmp_path, versions):
    assert results.read(in_folders(write, tmp_path, versions))["file"].nunique() == 2


def test_the_manifest_tells_runs_apart_by_what_they_learned_not_by_their_speed(write, tmp_path, command):
    same = [write(fps=300.0), write(fps=500.0), write(episode_return=1.0)]
    failed = tmp_path / "failed.csv"
    failed.write_text(HEAD)
    command(manifest, *same, failed, tmp_path / "none.csv", "--output", tmp_path / "manifest.json")
    listed = json.loads((tmp_path / "manifest.json").read_text())["runs"]
    assert [run["status"] for run in listed] == [None, None, None, "failed", "missing"]
    first, second, third = listed[:3]
    assert first["law_hash"] == second["law_hash"] != third["law_hash"]
    assert len({run["sha256"] for run in listed[:3]}) == 3


GOOD = (HEAD + "".join(f"ant_2x4,happo,default,0,{i},{100 * i},500,{i},1.5\n" for i in range(1, 9))).encode()


def read(tmp_path_factory, content: bytes) -> pd.DataFrame | None:
    """Return what `results.read` makes of a file's bytes; None if it is refused in one sentence that names the file."""
    path = tmp_path_factory.mktemp("fuzz") / "metrics.csv"
    path.write_bytes(content)
    try:
        return results.read([path])
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return None


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | st.text('ab,"\r\n0.1é').map(str.encode)
)
def test_any_bytes_are_refused_by_name(tmp_path_factory, content):
    assert read(tmp_path_factory, content) is None


def test_a_file_torn_anywhere_is_refused_unless_it_was_torn_between_rows(tmp_path_factory):
    for length in range(len(GOOD)):
        frame, torn = read(tmp_path_factory, GOOD[:length]), GOOD[:length]
        assert (frame is not None) == torn.endswith(b"\n")
        assert frame is None or len(frame) == torn.count(b"\n") - 1


CELLS = st.text(max_size=6) | st.sampled_from(
    ["nan", "inf", "-1", "1e400", "0x10", "1_0", "٣", "True", '"', "NA", "None"]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(row=st.integers(0, 8), column=st.integers(0, 8), cell=CELLS)
def test_any_cell_is_read_or_refused_by_name(tmp_path_factory, row, column, cell):
    lines = [line.split(",") for line in GOOD.decode().splitlines()]
    lines[row][column] = cell
    frame = read(tmp_path_factory, "".join(",".join(line) + "\n" for line in lines).encode(errors="surrogatepass"))
    assert frame is None or (frame["step"].is_monotonic_increasing and len(results.runs(frame)) <= 1)


def test_numbers_are_read_to_the_last_digit(write):
    values = [0.1, 1 / 3, 2e-308, 123456.78901234567]
    frame = results.read([write(iterations=4, episode_return=values)])
    assert frame["episode_return"].tolist() == values
    assert files.numbers("x", pd.Series(["9007199254740992"], name="n"), whole=True).tolist() == [2**53]
