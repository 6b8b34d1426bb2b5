"""Videos, decoded again: their pictures are counted and looked at."""

import re
import sys
from pathlib import Path

import imageio
import numpy as np
import pytest
from PIL import Image

import envs
from algorithms import evaluate, film
from envs import rendering

STEPS = 30
HEIGHT = film.TOP + film.PICTURE + film.BOTTOM


def run(folder: Path, monkeypatch, *arguments: str) -> tuple[list[np.ndarray], dict]:
    """Make a video on the command line and return its pictures and its description; skip without OpenGL."""
    monkeypatch.setattr(sys, "argv", ["film", *arguments, "--output", str(folder / "film.mp4")])
    try:
        film.main()
    except SystemExit as ended:
        if "needs OpenGL" not in str(ended.code):
            raise
        pytest.skip(str(ended.code))
    assert [path.name for path in folder.glob("*.mp4")] == ["film.mp4"]
    with imageio.get_reader(folder / "film.mp4") as video:
        return list(video.iter_data()), video.get_meta_data()


def red(picture: np.ndarray) -> float:
    """Return the share of the picture's frame (the outer 4 pixels, left and right) that is red."""
    inner = picture[film.TOP : film.TOP + film.PICTURE].astype(int)
    frame = np.concatenate([inner[:, :4], inner[:, -4:]], 1)
    return float(((frame[..., 0] > 150) & (frame[..., 1:].max(-1) < 110)).mean())


def grey(picture: np.ndarray) -> bool:
    """Return whether the part between the panels has no colour but what compression leaves behind."""
    inner = picture[film.TOP + 4 : film.TOP + film.PICTURE - 4].astype(int)
    return float((np.ptp(inner, axis=-1) > 25).mean()) < 0.05


@pytest.mark.parametrize(
    ("scenario", "every", "fps"), [("ant_2x4", 1, 20), ("halfcheetah_2x3", 1, 20), ("manyagent_ant_2x3", 2, 25)]
)
def test_a_video_has_every_picture_at_the_speed_of_the_world(scenario, every, fps, make_run, tmp_path, monkeypatch):
    make_run(tmp_path, scenario=scenario, steps=100).train(lambda *_: None)
    pictures, meta = run(tmp_path, monkeypatch, str(tmp_path), "--steps", str(STEPS))
    count = STEPS // every + 1 + fps  # the end, and its second
    assert len(pictures) == count and meta["fps"] == fps and meta["codec"] == "h264"
    assert meta["duration"] == pytest.approx(count / fps, abs=0.06) and "yuv420p" in meta["pix_fmt"]
    assert {picture.shape for picture in pictures} == {(HEIGHT, film.WIDTH, 3)}
    assert grey(pictures[-1]) and not grey(pictures[0])
    assert envs.get(scenario).dt * STEPS == pytest.approx((STEPS // every) / fps)


def test_exactly_the_unsafe_steps_are_framed(make_run, tmp_path, monkeypatch):
    make_run(tmp_path, steps=100).train(lambda *_: None)
    original, unsafe = evaluate.play, []

    def play(env, *arguments):
        for k, step in enumerate(original(env, *arguments)):
            unsafe.append(8 <= k < 20)
            yield step._replace(cost=np.full_like(step.cost, unsafe[-1]))

    monkeypatch.setattr(evaluate, "play", play)
    pictures, _ = run(tmp_path, monkeypatch, str(tmp_path), "--steps", str(STEPS))
    assert [red(picture) > 0.5 for picture in pictures[:STEPS]] == unsafe


class Blank:
    """Stands in for the renderer."""

    def __init__(self, *arguments):
        self.picture = np.zeros((film.PICTURE, film.WIDTH, 3), np.uint8)

    def frame(self, state, unsafe):
        return self.picture

    def close(self):
        pass


def test_the_video_is_episode_0_of_the_evaluation(make_run, tmp_path, monkeypatch):
    make_run(tmp_path, scenario="ant_2x4", steps=100).train(lambda *_: None)
    shown = []
    monkeypatch.setattr(film, "_numbers", lambda image, *numbers: shown.append(numbers))
    monkeypatch.setattr(rendering, "Renderer", Blank)
    record, ensemble = evaluate.load(tmp_path)
    for mode in evaluate.MODES:
        row = evaluate.episodes(record, ensemble, 3, mode)[0]
        for _ in film.frames(tmp_path, (record, ensemble), mode == "stochastic", sys.maxsize):
            pass
        step, seconds, total, [(name, cost, bound)] = shown[-1]
        assert (step, total, name, cost, bound) == (
            *(row["episode_length"], row["episode_return"], "cost", row["episode_cost"], row["bound"]),
        )
        assert seconds == pytest.approx(0.05 * step)


def test_a_pair_is_side_by_side_and_the_one_that_ended_waits_in_grey(make_run, tmp_path, monkeypatch):
    folders = [tmp_path / name for name in ("mafocops", "macpo")]
    for folder in folders:
        make_run(folder, algorithm=folder.name, steps=100).train(lambda *_: None)
    original, begun = evaluate.play, []

    def play(*arguments):  # the first run's episode ends after ten steps
        begun.append(arguments)
        first = len(begun) == 1
        for k, step in enumerate(original(*arguments), start=1):
            yield step._replace(terminated=step.terminated | (first and k == 10))

    monkeypatch.setattr(evaluate, "play", play)
    pictures, _ = run(tmp_path, monkeypatch, *map(str, folders), "--steps", str(STEPS))
    assert len(pictures) == STEPS + 1 + 20 and pictures[0].shape == (HEIGHT, 2 * film.WIDTH, 3)
    left, right = ([picture[:, half] for picture in pictures] for half in (slice(film.WIDTH), slice(film.WIDTH, None)))
    assert [grey(picture) for picture in left] == [k >= 10 for k in range(len(pictures))]
    assert [grey(picture) for picture in right] == [k >= STEPS for k in range(len(pictures))]
    begin, other = (evaluate.make_env(evaluate.load(folder)[0], 1).reset() for folder in folders)
    np.testing.assert_array_equal(begin, other)
    assert np.abs(left[-1][: film.TOP].astype(int) - right[-1][: film.TOP]).mean() > 1  # each with its own title


def test_a_failed_run_is_a_card_and_blocks_neither_itself_nor_the_other_half(make_run, tmp_path, monkeypatch):
    failed, good = tmp_path / "failed", tmp_path / "good"
    make_run(good, steps=100).train(lambda *_: None)
    failed.mkdir()
    (failed / "metrics.csv").write_text("scenario,algorithm\n")
    pictures, meta = run(tmp_path, monkeypatch, str(failed))
    assert meta["duration"] == pytest.approx(1.04, abs=0.06) and pictures[0].shape == (HEIGHT, film.WIDTH, 3)
    pictures, _ = run(tmp_path, monkeypatch, str(failed), str(good), "--steps", str(STEPS))
    assert len(pictures) == STEPS + 1 + 20 and pictures[0].shape[1] == 2 * film.WIDTH
    assert all(grey(picture[:, : film.WIDTH]) for picture in pictures)


@pytest.mark.parametrize(("cost", "over"), [(10.0, False), (30.0, False), (31.0, True), (200.0, True)])
def test_the_bar_shows_the_cost_against_the_bound(cost, over):
    image = Image.new("RGB", (film.WIDTH, HEIGHT), film.PANEL)
    film._numbers(image, 5, 0.25, 12.0, [("cost", cost, 30.0)])
    row = np.asarray(image)[film.TOP + film.PICTURE + 35]
    filled = (row == (film.OVER if over else film.WITHIN)).all(-1).sum()
    assert filled == pytest.approx(176 * min(cost / 30, 2), abs=4)


def test_wrong_calls_are_one_sentence(make_run, tmp_path, monkeypatch, capsys):
    folders = [tmp_path / name for name in ("one", "two")]
    for seed, folder in enumerate(folders):
        make_run(folder, seed=seed, steps=100).train(lambda *_: None)
    one, two = map(str, folders)
    for arguments, words in [
        (["nowhere"], r"nowhere holds no policy\.pt"),
        ([one, two], "are not runs of one scenario, its options and a seed"),
        ([one, one, one], "3 runs do not fit side by side"),
        ([one, "--steps", "0"], "--steps 0 is out of range"),
        ([one, "--output", "film.avi"], r"--output film\.avi is not valid: name an \.mp4 file"),
        ([one, "--output", "nowhere/film.mp4"], r"nowhere/film\.mp4 is not valid"),
    ]:
        monkeypatch.setattr(sys, "argv", ["film", "--output", str(tmp_path / "film.mp4"), *arguments])
        with pytest.raises(SystemExit) as ended:
            film.main()
        message = capsys.readouterr().err
        assert ended.value.code == 2 and re.search(words, message) and message.count("\n") == 1
    assert not list(tmp_path.glob("*.mp4"))
