"""The camera in the driveway: composes a scene, lets light and weather fall on it, encodes it."""

# ruff: noqa: PLR2004 - light and lenses are numbers

import functools
import io
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from backends.sources.animals import draw_cat, draw_deer, draw_dog
from backends.sources.pen import Colour, Pen
from backends.sources.people import draw_child, draw_person
from backends.sources.plan import Drift
from backends.sources.scenery import View, draw_clutter, draw_foreground, draw_place, draw_shadow
from backends.sources.vehicles import draw_bicycle, draw_car

WIDTH, HEIGHT = 320, 240
_FINER = 2  # drawn this much larger, then reduced: smooth edges

# What is drawn, how near it may come (pixels per metre on the fine canvas, as a share of the
# canvas' height), and half its length in metres.
_SUBJECTS = {
    "person": (draw_person, (0.39, 0.48), 0.35),
    "child": (draw_child, (0.36, 0.48), 0.3),
    "dog": (draw_dog, (0.62, 0.88), 0.5),
    "cat": (draw_cat, (0.9, 1.2), 0.35),
    "car": (draw_car, (0.17, 0.27), 1.7),
    "bicycle": (draw_bicycle, (0.36, 0.58), 0.8),
    "deer": (draw_deer, (0.26, 0.45), 0.7),
}
_TALL = {"person": 1.85, "deer": 1.7}  # metres
_SKIES: tuple[tuple[str, Colour, tuple[float, float, float]], ...] = (
    ("clear", (130, 175, 225), (1.0, 1.0, 1.0)),
    ("clear", (120, 165, 220), (1.08, 1.03, 0.95)),
    ("dusk", (205, 170, 150), (1.0, 0.86, 0.76)),
    ("dawn", (205, 190, 180), (0.9, 0.82, 0.85)),
    ("cloud", (185, 190, 198), (0.93, 0.95, 0.98)),
    ("rain", (150, 156, 165), (0.84, 0.87, 0.92)),
    ("snow", (205, 210, 218), (0.95, 0.98, 1.02)),
)


@dataclass(frozen=True, slots=True)
class Taking:
    """What has changed for this picture, and by how much (0..1)."""

    drift: Drift = "none"
    strength: float = 1.0


def draw(label: str, rng: Random, taking: Taking = Taking()) -> Image.Image:
    """Take one picture of `label` (a class of plan.CLASSES, or plan.NEW_CLASS): 320x240, RGB.

    The same state of `rng` gives the same picture. Raises KeyError for any other label.
    """
    weather, sky, light = rng.choice(_SKIES)
    width, height = WIDTH * _FINER, HEIGHT * _FINER
    view = View(
        width, height, horizon=height * rng.uniform(0.44, 0.53), camera=rng.uniform(0.6, 0.85)
    )
    canvas = Image.new("RGB", (width, height), sky)
    pencil = ImageDraw.Draw(canvas, "RGBA")
    back = draw_place(canvas, pencil, rng, view, sky)
    if weather == "snow":
        pencil.rectangle((0, back, width, height), fill=(240, 243, 248, rng.randrange(70, 190)))
    draw_clutter(pencil, rng, view)
    if label != "empty":
        _subject(label, pencil, rng, view, weather)
    elif rng.random() < 0.15:
        draw_foreground(pencil, rng, view, rng.uniform(0.1, 0.9) * width, width * 0.2)
    if taking.drift == "moved-camera":
        canvas = _moved(canvas, rng, taking.strength)
    small = canvas.reduce(_FINER)
    small = _weather(small, rng, weather)
    return _exposed(small, rng, light, taking)


def encode(picture: Image.Image, rng: Random) -> bytes:
    """Write a picture as the camera does: JPEG, at a quality that varies."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=rng.randrange(62, 93))
    return stream.getvalue()


def _subject(
    label: str, pencil: ImageDraw.ImageDraw, rng: Random, view: View, weather: str
) -> None:
    figure, (far, near), half = _SUBJECTS[label]
    scale = min(view.height * rng.uniform(far, near), view.scale(view.height * 1.02))
    if label in _TALL:  # the head stays on the picture
        scale = min(scale, view.horizon / (_TALL[label] - view.camera))
    row = view.row(scale)
    x = view.width * rng.uniform(0.25, 0.75)
    pen = Pen(pencil, (x, row), scale, rng.choice((-1, 1)))
    soft = weather in ("cloud", "rain", "snow")
    shift = 0.0 if soft else rng.uniform(-0.5, 0.5) * half
    draw_shadow(pencil, pen, half * rng.uniform(0.9, 1.3), 60 if soft else 115, shift)
    figure(pen, rng)
    if rng.random() < 0.12:
        draw_foreground(pencil, rng, view, x, half * 2 * scale)


def _moved(canvas: Image.Image, rng: Random, strength: float) -> Image.Image:
    """Somebody hit the bracket: it hangs askew and looks at the ground, too near."""
    roll = (14 + rng.uniform(-3, 3)) * strength
    turned = canvas.rotate(roll, Image.Resampling.BILINEAR, fillcolor=(90, 90, 88))
    share = 1 - 0.42 * strength
    wide, tall = canvas.width * share, canvas.height * share
    left = (canvas.width - wide) * 0.5
    top = (canvas.height - tall) * (0.5 + 0.3 * strength)
    box = (round(left), round(top), round(left + wide), round(top + tall))
    return turned.resize(canvas.size, Image.Resampling.BILINEAR, box=box)


def _weather(picture: Image.Image, rng: Random, weather: str) -> Image.Image:
    pencil = ImageDraw.Draw(picture, "RGBA")
    if weather == "rain":
        slant = rng.uniform(-5, 5)
        for _ in range(rng.randrange(40, 130)):
            x, y, long = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(5, 14)
            pencil.line((x, y, x + slant, y + long), fill=(205, 212, 220, 95))
    elif weather == "snow":
        for _ in range(rng.randrange(30, 140)):
            x, y, r = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(0.5, 2)
            pencil.ellipse((x - r, y - r, x + r, y + r), fill=(250, 250, 252, 210))
    if rng.random() < 0.3:  # the light of a gap, or the shadow of a tree
        x, y, r = rng.uniform(0, WIDTH), rng.uniform(60, HEIGHT), rng.uniform(30, 110)
        tone = rng.choice(((0, 0, 0, 60), (255, 240, 200, 40)))
        pencil.ellipse((x - r, y - r * 0.5, x + r, y + r * 0.5), fill=tone)
    return picture


def _exposed(
    picture: Image.Image, rng: Random, light: tuple[float, float, float], taking: Taking
) -> Image.Image:
    """Light, drift, lens and sensor, in that order."""
    gain = np.array(light, dtype=np.float32) * rng.uniform(0.88, 1.25)
    pixels = np.asarray(picture, dtype=np.float32)
    contrast = rng.uniform(0.8, 1.1)
    pixels = (pixels - 118) * (gain * contrast) + 118 * gain
    noise = rng.uniform(2.0, 6.5)
    if taking.drift == "night":
        pixels = _at_night(pixels, rng, taking.strength)
        noise += 6 * taking.strength
    elif taking.drift == "fog":
        pixels = _in_fog(pixels, rng, taking.strength)
    tile = _noise_tile()
    y, x = rng.randrange(tile.shape[0] - HEIGHT), rng.randrange(tile.shape[1] - WIDTH)
    pixels = pixels + tile[y : y + HEIGHT, x : x + WIDTH] * noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _at_night(
    pixels: npt.NDArray[np.float32], rng: Random, strength: float
) -> npt.NDArray[np.float32]:
    """Infra-red lamp: little colour, bright in the middle, dark around."""
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = pixels + (grey - pixels) * (0.85 * strength)
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    far = ((rows - HEIGHT * 0.6) / HEIGHT) ** 2 + (
        (columns - WIDTH * rng.uniform(0.4, 0.6)) / WIDTH
    ) ** 2
    lamp = (0.12 + 0.3 * np.exp(-far * 7)).astype(np.float32)[:, :, None]
    tint = np.array((0.9, 1.0, 1.08), dtype=np.float32)
    dark: npt.NDArray[np.float32] = pixels * (1 - strength + strength * lamp * tint)
    return dark


def _in_fog(
    pixels: npt.NDArray[np.float32], rng: Random, strength: float
) -> npt.NDArray[np.float32]:
    """Everything fades to a bright grey, the far more than the near."""
    near = np.linspace(0.0, 1.0, HEIGHT, dtype=np.float32)[:, None, None]
    share = strength * (0.9 - 0.35 * near)
    veil = np.float32(rng.uniform(185, 210))
    hidden: npt.NDArray[np.float32] = pixels * (1 - share) + veil * share
    return hidden


@functools.cache
def _noise_tile() -> npt.NDArray[np.float32]:
    """Sensor noise [480, 640, 3], standard deviation 1; pictures take a window of it."""
    rng = np.random.default_rng(20221)
    return rng.standard_normal((480, 640, 3), dtype=np.float32)
