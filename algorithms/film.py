"""Film one episode of a run's final policy, or of two runs of the same scenario and seed side by side.

    python -m algorithms.film results/mine --output mine.mp4
    python -m algorithms.film results/mafocops results/macpo --output both.mp4

It is episode 0 of evaluation.csv, deterministic unless --stochastic is given, at the speed of the simulated world, with
step, return and cost so far against the bound. Unsafe steps have a red frame and the word. An episode that ends before
the other keeps its last picture in grey. A run that failed appears as a card that says so. It needs OpenGL, but no
display: see `envs.rendering`.
"""

import argparse
import contextlib
import functools
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import envs
from workflow import foreign
from workflow.numbers import whole

from . import evaluate
from .train import Parser, refuse

WIDTH, PICTURE, TOP, BOTTOM = 512, 288, 46, 50  # pixels: picture between two panels with text
FPS = 25  # at most; a scenario with shorter steps has every second one, or fewer, shown
CRF = 30  # x264's quality: a minute is about a megabyte
PANEL, TEXT, FAINT = (24, 26, 32), (255, 255, 255), (170, 176, 186)
WITHIN, OVER = (86, 180, 233), (213, 60, 30)  # of the bound; apart for the colour-blind, and the label says it, too


def frames(folder: Path, run: tuple | None, exploring: bool, limit: int) -> Iterator[Image.Image]:
    """Yield the pictures of an episode; the last one is grey and stands for the time after its end.

    Args:
        folder: of the run.
        run: what `evaluate.load` returned, or None for a run that failed.
        exploring: whether the policy acts as in training.
        limit: control steps after which to stop.
    """
    if run is None:
        yield _card(f"run failed: there is no policy to film\n{Path(*folder.parts[-5:])}")
        return
    from envs.rendering import Renderer

    record, ensemble = run
    env = evaluate.make_env(record, 1)
    title, bound, every = _title(record, exploring), evaluate.bounds(record, env), _every(env.scenario)
    total, cost, unsafe = 0.0, np.zeros(env.num_costs), False
    with contextlib.closing(Renderer(env.batch.model, env.scenario, WIDTH, PICTURE)) as renderer:
        for k, step in enumerate(evaluate.play(env, ensemble, record["seed"], exploring), start=1):
            total, cost = total + step.reward[0], cost + step.cost[0]
            unsafe |= bool(step.cost.any())
            ended = bool(step.terminated[0] | step.truncated[0]) or k == limit
            if k % every == 0 or ended:
                image = _compose(renderer.frame(env.batch.state[0], unsafe), title, unsafe)
                _numbers(image, k, k * env.scenario.dt, total, list(zip(env.cost_names, cost, bound, strict=True)))
                yield image
                unsafe = False
            if ended:
                break
    yield _ended(image, f"ended at step {k}")


def _every(scenario: envs.Scenario) -> int:
    """Return how many control steps one picture stands for."""
    return round(max(1.0, 1 / (FPS * scenario.dt)))


def _title(record: dict, exploring: bool) -> tuple[str, str, str]:
    """Return the texts of the upper panel: algorithm, scenario, and the small print."""
    algorithm = record["algorithm"].upper().replace("_", "-")
    if record["variant"] != "default":
        algorithm += f" {record['variant']}"
    mode = evaluate.MODES[not exploring]
    small = f"seed {record['seed']}, {mode} policy after {record['steps']:,} steps of training"
    return algorithm, envs.get(record["scenario"]).title, small


def _compose(pixels: np.ndarray, title: tuple[str, str, str], unsafe: bool) -> Image.Image:
    """Return a rendered picture between its panels, with the title and, if unsafe, the red frame."""
    image = Image.new("RGB", (WIDTH, TOP + PICTURE + BOTTOM), PANEL)
    image.paste(Image.fromarray(pixels), (0, TOP))
    draw = ImageDraw.Draw(image)
    draw.text((10, 5), title[0], TEXT, _font(19))
    draw.text((WIDTH - 10, 6), title[1], TEXT, _font(17), anchor="ra")
    draw.text((10, 28), title[2], FAINT, _font(12))
    if unsafe:
        draw.rectangle((0, TOP, WIDTH - 1, TOP + PICTURE - 1), outline=OVER, width=6)
        _label(draw, (WIDTH // 2, TOP + 16), "UNSAFE", OVER)
    return image


def _numbers(
    image: Image.Image, step: int, seconds: float, total: float, costs: list[tuple[str, float, float]]
) -> None:
    """Write step, time, return and each (name, cost so far, bound) into the lower panel, with a bar up to twice it."""
    draw, y = ImageDraw.Draw(image), TOP + PICTURE
    draw.text((10, y + 5), f"step {step}   {seconds:.1f} s", TEXT, _font(15))
    draw.text((WIDTH - 10, y + 5), f"return {total:.1f}", TEXT, _font(15), anchor="ra")
    part = WIDTH // len(costs)
    for i, (name, cost, bound) in enumerate(costs):
        left, over = 10 + i * part, cost > bound
        verdict = "  over" if over else ""
        draw.text((left, y + 27), f"{name} {cost:.0f} / {bound:g}{verdict}", TEXT, _font(15))
        left, right = left + 140, (i + 1) * part - 10
        middle = (left + right) // 2
        filled = left + round((middle - left) * min(2.0, cost / bound if bound else 2.0 * (cost > 0)))
        draw.rectangle((left, y + 29, right, y + 41), outline=FAINT)
        draw.rectangle((left, y + 29, filled, y + 41), fill=OVER if over else WITHIN)
        draw.line((middle, y + 26, middle, y + 44), TEXT, 2)  # the bound


def _ended(image: Image.Image, text: str) -> Image.Image:
    """Return the last picture in grey, its panels as they were, with a label."""
    box = (0, TOP, WIDTH, TOP + PICTURE)
    last = image.copy()
    last.paste(image.crop(box).convert("L").convert("RGB"), box)
    _label(ImageDraw.Draw(last), (WIDTH // 2, TOP + 16), text, PANEL)
    return last


def _card(text: str) -> Image.Image:
    """Return a picture of a text alone."""
    image = Image.new("RGB", (WIDTH, TOP + PICTURE + BOTTOM), PANEL)
    place = (WIDTH // 2, image.height // 2)
    ImageDraw.Draw(image).multiline_text(place, text, TEXT, _font(16), anchor="mm", align="center", spacing=10)
    return image


def _label(draw: ImageDraw.ImageDraw, centre: tuple[int, int], text: str, color: tuple[int, int, int]) -> None:
    """Write white text in a box."""
    left, top, right, bottom = draw.textbbox(centre, text, _font(17), anchor="mm")
    draw.rectangle((left - 10, top - 6, right + 10, bottom + 6), fill=color)
    draw.text(centre, text, TEXT, _font(17), anchor="mm")


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, so that the text looks the same on every machine."""
    return ImageFont.load_default(size)


def film(folders: list[str | Path], path: str | Path, exploring: bool, limit: int) -> int:
    """Write the video of one run, or of two side by side, and return its number of pictures.

    Raises:
        ValueError: a folder holds no run that ended, or the two are not of one task and seed.
        RuntimeError: there is no OpenGL.
        OSError: the file cannot be written.
    """
    import imageio

    folders, path = [Path(folder) for folder in folders], Path(path)
    runs = [None if evaluate.failed(folder) else evaluate.load(folder) for folder in folders]
    tasks = [_task(record) for record, _ in filter(None, runs)]
    if len(set(tasks)) > 1:
        raise ValueError(f"{folders[0]} and {folders[1]} are not runs of one scenario, its options and a seed")
    scenario = envs.get(tasks[0][0]) if tasks else None
    if scenario and scenario.family == foreign.FAMILY:
        raise ValueError(f"{folders[0]} is a run of {scenario.env}: only tasks of envs/ can be filmed")
    fps = 1 / (scenario.dt * _every(scenario)) if scenario else FPS
    shots = [frames(folder, run, exploring, limit) for folder, run in zip(folders, runs, strict=True)]
    part = path.with_suffix(".part.mp4")
    options = ["-crf", str(CRF), "-preset", "medium", "-movflags", "+faststart"]
    count, shown = 0, [None] * len(shots)
    try:
        with imageio.get_writer(
            part, fps=fps, codec="libx264", quality=None, macro_block_size=2, output_params=options
        ) as video:
            # what has ended stays on screen, and the last picture for a second
            for images in itertools.chain(itertools.zip_longest(*shots), [()] * round(fps)):
                shown = [new or old for new, old in itertools.zip_longest(images, shown)]
                video.append_data(np.hstack([np.asarray(image) for image in shown]))
                count += 1
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _task(record: dict) -> tuple:
    """Return what two runs in one video must have in common."""
    options = envs.options_in(envs.get(record["scenario"]), record["settings"])
    return (record["scenario"], record["seed"], *options.values())


def main() -> None:
    """Run the command line."""
    parser = Parser(prog="python -m algorithms.film", description="Film an episode of a run's final policy.")
    parser.add_argument("folders", type=Path, nargs="+", metavar="RUN", help="folder of a complete run; one or two")
    parser.add_argument("--output", type=Path, required=True, help="the video, an .mp4 file")
    parser.add_argument("--stochastic", action="store_true", help="act as in training, not by the mean action")
    parser.add_argument("--steps", type=whole, default=sys.maxsize, help="stop after so many control steps")
    options = parser.parse_args()
    try:
        check(options)
        film(options.folders, options.output, options.stochastic, options.steps)
    except ValueError as error:
        refuse(error)
    except (RuntimeError, OSError) as error:
        sys.exit(f"error: {error}")


def check(options: argparse.Namespace) -> None:
    """Raise ValueError if the command line is not valid."""
    if len(options.folders) > 2:
        raise ValueError(f"{len(options.folders)} runs do not fit side by side: give one or two")
    if options.steps < 1:
        raise ValueError(f"--steps {options.steps} is out of range: it must be at least 1")
    if options.output.suffix != ".mp4" or not options.output.parent.is_dir():
        raise ValueError(f"--output {options.output} is not valid: name an .mp4 file in a folder that exists")


if __name__ == "__main__":
    sys.exit(main())
