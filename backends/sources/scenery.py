"""Draws the place: sky, trees, house and garage, lawn, drive, and things that lie about."""

# ruff: noqa: PLR2004 - the measures of a place are numbers

from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from backends.sources.pen import Colour, Pen, shade

GRASS: tuple[Colour, ...] = ((86, 122, 58), (110, 130, 70), (70, 105, 60), (140, 135, 80))
WALLS: tuple[Colour, ...] = (
    (200, 185, 160),
    (165, 90, 70),
    (215, 215, 208),
    (150, 160, 170),
    (190, 150, 110),
    (120, 125, 115),
)
ROOFS: tuple[Colour, ...] = ((95, 55, 45), (70, 70, 75), (120, 70, 50), (55, 50, 48))
PAVING: tuple[Colour, ...] = (
    (105, 105, 108),
    (150, 146, 138),
    (125, 112, 100),
    (170, 160, 145),
    (80, 80, 84),
)
THINGS: tuple[Colour, ...] = (
    (50, 95, 60),
    (40, 60, 110),
    (70, 70, 72),
    (180, 60, 40),
    (200, 170, 60),
    (120, 75, 45),
)


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera hangs: canvas in pixels, horizon as a row, height above the ground in m."""

    width: int
    height: int
    horizon: float
    camera: float

    def scale(self, row: float) -> float:
        """Pixels per metre of what stands on the ground at a row of the picture."""
        return (row - self.horizon) / self.camera

    def row(self, scale: float) -> float:
        return self.horizon + scale * self.camera


def draw_place(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, rng: Random, view: View, sky: Colour
) -> float:
    """Fill the canvas with a place unlike any other; return the row where the house stands."""
    _sky(canvas, rng, view, sky)
    grass = shade(rng.choice(GRASS), rng.uniform(0.8, 1.15))
    draw.rectangle((0, view.horizon, view.width, view.height), fill=grass)
    _trees(draw, rng, view)
    back = view.row(view.height * rng.uniform(0.055, 0.085))  # where the house stands
    middle = view.width * rng.uniform(0.25, 0.75)
    _house(draw, rng, view, back, middle)
    _drive(draw, rng, view, back, middle)
    if rng.random() < 0.6:
        _hedge(draw, rng, view, back)
    _texture(canvas, rng, view)
    return back


def draw_clutter(draw: ImageDraw.ImageDraw, rng: Random, view: View) -> None:
    """Bins, pots, balls, hoses, cones, parcels: on any picture, whatever else is on it."""
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        row = view.row(view.height * rng.uniform(0.11, 0.24))
        pen = Pen(
            draw, (rng.uniform(0.03, 0.97) * view.width, row), view.scale(row), rng.choice((-1, 1))
        )
        colour = shade(rng.choice(THINGS), rng.uniform(0.7, 1.2))
        draw_shadow(draw, pen, 0.35, 90)
        rng.choice((_bin, _pot, _ball, _hose, _cone, _parcel, _bush, _barrow, _post, _bench))(
            pen, rng, colour
        )


def draw_foreground(
    draw: ImageDraw.ImageDraw, rng: Random, view: View, near: float, width: float
) -> None:
    """Something in front of the camera that covers a part of what is at column `near`."""
    x = near + rng.choice((-1, 1)) * width * rng.uniform(0.5, 0.85)
    colour = shade(rng.choice(THINGS), rng.uniform(0.6, 1.0))
    kind = rng.random()
    if kind < 0.45:
        green = shade(rng.choice(GRASS), rng.uniform(0.45, 0.85))
        top = view.height * rng.uniform(0.7, 0.85)
        for _ in range(14):
            r = view.height * rng.uniform(0.03, 0.08)
            cx, cy = x + rng.uniform(-1, 1) * width * 0.35, top + rng.uniform(0, view.height - top)
            draw.ellipse(
                (cx - r, cy - r, cx + r, cy + r), fill=shade(green, rng.uniform(0.75, 1.25))
            )
    elif kind < 0.75:
        half = view.width * rng.uniform(0.015, 0.035)
        draw.rectangle((x - half, 0, x + half, view.height), fill=colour)
        draw.rectangle((x - half, 0, x - half * 0.4, view.height), fill=shade(colour, 0.75))
    else:
        row = view.height * rng.uniform(0.85, 1.02)
        _bin(Pen(draw, (x, row), view.height * 0.42), rng, colour)


def draw_shadow(
    draw: ImageDraw.ImageDraw, pen: Pen, half: float, strength: int, shift: float = 0.0
) -> None:
    """A dark ellipse on the ground, `half` metres to either side, moved by `shift` metres."""
    x, y = pen.foot
    wide, flat, move = half * pen.scale, half * pen.scale * 0.16, shift * pen.scale
    ground = (x - wide + move, y - flat, x + wide + move, y + flat)
    draw.ellipse(ground, fill=(12, 14, 20, strength))


def _sky(canvas: Image.Image, rng: Random, view: View, sky: Colour) -> None:
    top = np.array(shade(sky, rng.uniform(0.75, 0.95)), dtype=np.float32)
    low = np.array(shade(sky, rng.uniform(1.05, 1.25)), dtype=np.float32)
    rows = np.linspace(0, 1, 64, dtype=np.float32)[:, None, None]
    fade = (top + (low - top) * rows).astype(np.uint8)
    canvas.paste(Image.fromarray(fade).resize((view.width, max(1, round(view.horizon)))), (0, 0))
    if rng.random() < 0.5:
        draw = ImageDraw.Draw(canvas, "RGBA")
        for _ in range(rng.randrange(2, 7)):
            x, y = rng.uniform(0, view.width), rng.uniform(0, view.horizon * 0.8)
            for _ in range(4):
                w, h = rng.uniform(20, 70), rng.uniform(6, 16)
                dx = rng.uniform(-50, 50)
                draw.ellipse((x + dx - w, y - h, x + dx + w, y + h), fill=(240, 240, 245, 90))


def _trees(draw: ImageDraw.ImageDraw, rng: Random, view: View) -> None:
    green = shade(rng.choice(GRASS), rng.uniform(0.5, 0.8))
    x = -40.0
    while x < view.width + 40:
        r = rng.uniform(18, 60)
        y = view.horizon - rng.uniform(0.1, 0.9) * r
        draw.ellipse((x - r, y - r, x + r, y + r * 1.6), fill=shade(green, rng.uniform(0.8, 1.2)))
        x += r * rng.uniform(0.6, 2.2)


def _house(draw: ImageDraw.ImageDraw, rng: Random, view: View, base: float, middle: float) -> None:
    unit = view.scale(base)
    wall = shade(rng.choice(WALLS), rng.uniform(0.8, 1.1))
    left = middle - unit * rng.uniform(2.2, 8)
    right = middle + unit * rng.uniform(2.2, 8)
    top = base - unit * rng.uniform(2.7, 4.6)
    draw.rectangle((left, top, right, base), fill=wall)
    rows = rng.choice((0, 0, 9, 14))
    for number in range(rows):
        y = top + (base - top) * number / rows
        draw.line((left, y, right, y), fill=shade(wall, 0.88), width=1)
    roof = shade(rng.choice(ROOFS), rng.uniform(0.8, 1.2))
    rise, over = unit * rng.uniform(0.6, 2.2), unit * 0.4
    draw.polygon(
        [
            (left - over, top),
            (right + over, top),
            (right - rise, top - rise),
            (left + rise, top - rise),
        ],
        fill=roof,
    )
    door = shade(rng.choice((*WALLS, *ROOFS)), rng.uniform(0.8, 1.2))
    half = unit * rng.uniform(1.2, 2.3)
    draw.rectangle((middle - half, base - unit * 2.15, middle + half, base), fill=door)
    for number in range(rng.choice((0, 3, 4, 5))):
        y = base - unit * 2.15 * (number + 0.5) / 5
        draw.line((middle - half, y, middle + half, y), fill=shade(door, 0.8), width=2)
    for x in (left + unit * 0.8, right - unit * 1.6):
        if abs(x - middle) > half + unit * 0.5 and rng.random() < 0.8:
            pane = rng.choice(((70, 85, 100), (150, 165, 175), (230, 210, 140)))
            box = (x, base - unit * 2.0, x + unit * 0.9, base - unit * 0.95)
            draw.rectangle(box, fill=pane, outline=(235, 235, 230), width=2)


def _drive(draw: ImageDraw.ImageDraw, rng: Random, view: View, back: float, middle: float) -> None:
    paving = shade(rng.choice(PAVING), rng.uniform(0.8, 1.15))
    unit = view.scale(back)
    half = unit * rng.uniform(1.4, 2.4)
    spread = half * (view.height - view.horizon) / max(1.0, back - view.horizon)
    end = middle + view.width * rng.uniform(-0.35, 0.35)
    draw.polygon(
        [
            (middle - half, back),
            (middle + half, back),
            (end + spread, view.height),
            (end - spread, view.height),
        ],
        fill=paving,
    )
    lines = rng.choice((0, 0, 4, 7))
    for number in range(1, lines):
        y = back + (view.height - back) * (number / lines) ** 2
        draw.line(
            (0, y, view.width, y) if rng.random() < 0.1 else (end - half, y, end + half, y),
            fill=shade(paving, 0.85),
            width=2,
        )
    if rng.random() < 0.4:
        for share in (-0.33, 0.33):
            draw.line(
                (middle + half * share, back, end + spread * share, view.height),
                fill=shade(paving, 0.88),
                width=3,
            )
    for _ in range(rng.randrange(0, 4)):
        x, y, r = rng.uniform(0, view.width), rng.uniform(back, view.height), rng.uniform(10, 60)
        draw.ellipse((x - r, y - r * 0.25, x + r, y + r * 0.25), fill=(*shade(paving, 0.6), 110))


def _hedge(draw: ImageDraw.ImageDraw, rng: Random, view: View, back: float) -> None:
    green = shade(rng.choice(GRASS), rng.uniform(0.5, 0.9))
    side = rng.choice((-1, 1))
    far = view.width * (0.5 + side * rng.uniform(0.3, 0.42))
    edge = view.width if side > 0 else 0
    tall = view.scale(back) * rng.uniform(0.7, 1.6)
    near = view.height * rng.uniform(0.75, 1.0)
    swell = tall * (near - view.horizon) / (back - view.horizon)
    draw.polygon([(far, back), (far, back - tall), (edge, near - swell), (edge, near)], fill=green)
    draw.polygon(
        [
            (far, back - tall),
            (far + side * 12, back - tall * 1.1),
            (edge, near - swell * 1.1),
            (edge, near - swell),
        ],
        fill=shade(green, 1.25),
    )


def _texture(canvas: Image.Image, rng: Random, view: View) -> None:
    """Stains, patches and blades: brightness that varies over the place at two scales."""
    noise = np.random.default_rng(rng.getrandbits(32))
    for size, depth in (((9, 12), 14), ((60, 80), 8)):
        grains = noise.integers(128 - depth, 128 + depth, size, dtype=np.uint8)
        layer = Image.fromarray(grains).resize(
            (view.width // 2, view.height // 2), Image.Resampling.BILINEAR
        )
        values = (
            np.asarray(layer.resize(canvas.size, Image.Resampling.NEAREST), dtype=np.int16) - 128
        )
        pixels = np.asarray(canvas, dtype=np.int16) + values[:, :, None]
        canvas.paste(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))


def _bin(pen: Pen, rng: Random, colour: Colour) -> None:
    pen.polygon([(-0.26, 0), (0.26, 0), (0.31, 0.98), (-0.31, 0.98)], colour)
    pen.polygon([(-0.34, 0.96), (0.36, 0.96), (0.3, 1.08), (-0.3, 1.08)], shade(colour, 0.75))
    pen.disc((0.22, 0.09), 0.09, 0.09, (30, 30, 32))


def _pot(pen: Pen, rng: Random, colour: Colour) -> None:
    for _ in range(7):
        pen.disc(
            (rng.uniform(-0.22, 0.22), rng.uniform(0.35, 0.75)),
            0.13,
            0.13,
            shade((70, 115, 55), rng.uniform(0.6, 1.3)),
        )
    pen.polygon([(-0.15, 0), (0.15, 0), (0.22, 0.36), (-0.22, 0.36)], (165, 95, 65))


def _ball(pen: Pen, rng: Random, colour: Colour) -> None:
    pen.disc((0, 0.13), 0.13, 0.13, colour)
    pen.disc((-0.03, 0.17), 0.05, 0.05, shade(colour, 1.5))


def _hose(pen: Pen, rng: Random, colour: Colour) -> None:
    points = [(x * 0.16 - 0.6, 0.03 + rng.uniform(0, 0.12)) for x in range(8)]
    pen.limb(points, 0.04, (60, 130, 70))


def _cone(pen: Pen, rng: Random, colour: Colour) -> None:
    pen.polygon([(-0.2, 0), (0.2, 0), (0.03, 0.6), (-0.03, 0.6)], (225, 90, 35))
    pen.polygon([(-0.12, 0.24), (0.12, 0.24), (0.08, 0.38), (-0.08, 0.38)], (240, 240, 235))


def _parcel(pen: Pen, rng: Random, colour: Colour) -> None:
    w, h = rng.uniform(0.15, 0.35), rng.uniform(0.2, 0.45)
    pen.polygon([(-w, 0), (w, 0), (w, h), (-w, h)], (178, 138, 90))
    pen.limb([(0, 0), (0, h)], 0.05, (205, 175, 120))


def _bush(pen: Pen, rng: Random, colour: Colour) -> None:
    green = shade(rng.choice(GRASS), rng.uniform(0.5, 0.9))
    for _ in range(9):
        pen.disc(
            (rng.uniform(-0.5, 0.5), rng.uniform(0.15, 0.7)),
            0.25,
            0.22,
            shade(green, rng.uniform(0.7, 1.3)),
        )


def _barrow(pen: Pen, rng: Random, colour: Colour) -> None:
    pen.ring((0.6, 0.2), 0.19, 0.06, (35, 35, 38))
    pen.limb([(0.6, 0.2), (-0.7, 0.55)], 0.05, (120, 90, 60))
    pen.polygon([(-0.35, 0.35), (0.35, 0.35), (0.5, 0.72), (-0.45, 0.72)], colour)
    pen.limb([(-0.2, 0.38), (-0.25, 0.02)], 0.05, (90, 90, 92))


def _post(pen: Pen, rng: Random, colour: Colour) -> None:
    tall = rng.uniform(1.0, 2.2)
    pen.limb([(0, 0), (0, tall)], 0.1, shade(colour, 0.7))
    pen.disc((0, tall + 0.1), 0.16, 0.18, rng.choice(((235, 230, 200), colour)))


def _bench(pen: Pen, rng: Random, colour: Colour) -> None:
    pen.limb([(-0.7, 0.45), (0.7, 0.45)], 0.09, colour)
    pen.limb([(-0.7, 0.8), (0.7, 0.8)], 0.12, shade(colour, 0.9))
    for x in (-0.6, 0.6):
        pen.limb([(x, 0), (x, 0.82)], 0.07, shade(colour, 0.7))
