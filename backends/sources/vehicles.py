"""Draws vehicles: cars of several body types from the side and the front, and bicycles."""

# ruff: noqa: PLR2004 - the measures of bodies are numbers

import math
from random import Random

from backends.sources.pen import Colour, Pen, Point, shade

PAINTS: tuple[Colour, ...] = (
    (200, 200, 205), (235, 235, 235), (35, 36, 40), (160, 30, 35), (40, 70, 130), (90, 95, 100),
    (60, 90, 70), (200, 160, 60), (120, 80, 55), (70, 130, 160),
)  # fmt: skip
GLASS: tuple[Colour, ...] = ((60, 75, 90), (110, 130, 145), (35, 42, 50))

# Roof lines from the rear bumper to the front one, in metres: (x, y); wheels at +-1.3.
_BODIES: dict[str, tuple[Point, ...]] = {
    "sedan": ((-2.2, 0.85), (-1.6, 0.95), (-1.0, 1.42), (0.35, 1.45), (1.0, 0.98), (2.1, 0.82)),
    "hatchback": ((-1.95, 0.9), (-1.85, 1.2), (-1.5, 1.48), (0.2, 1.5), (0.95, 1.0), (1.95, 0.82)),
    "suv": ((-2.15, 1.0), (-2.1, 1.55), (-1.85, 1.72), (0.35, 1.74), (1.0, 1.15), (2.15, 1.02)),
    "van": ((-2.3, 1.0), (-2.3, 1.95), (-2.1, 2.05), (0.9, 2.05), (1.7, 1.25), (2.25, 1.0)),
    "pickup": ((-2.4, 1.0), (-0.6, 1.0), (-0.5, 1.68), (0.45, 1.7), (1.0, 1.12), (2.3, 1.0)),
}


def draw_car(pen: Pen, rng: Random) -> None:
    paint = shade(rng.choice(PAINTS), rng.uniform(0.85, 1.1))
    if rng.random() < 0.42:
        _car_from_front(pen, rng, paint)
    else:
        _car_from_side(pen, rng, rng.choice(tuple(_BODIES)), paint)


def _car_from_side(pen: Pen, rng: Random, body: str, paint: Colour) -> None:
    roof = _BODIES[body]
    glass = rng.choice(GLASS)
    low = 0.28
    outline = [(roof[0][0], low), *roof, (roof[-1][0] + 0.12, 0.55), (roof[-1][0] + 0.05, low)]
    pen.polygon(outline, paint)
    pen.polygon(
        [(roof[0][0], low), (roof[-1][0] + 0.05, low), (roof[-1][0], 0.5), (roof[0][0], 0.5)],
        shade(paint, 0.72),
    )
    belt = 0.98 if body in ("sedan", "hatchback") else 1.15
    inner = [
        (x * 0.93 + (0.02 if x < 0 else -0.02), min(y - 0.09, y * 0.95))
        for x, y in roof
        if y > belt + 0.1
    ]
    if body == "van":
        inner = [(0.3, 1.9), (0.9, 1.9), (1.45, 1.3)]
    start, end = inner[0][0] - 0.25, inner[-1][0] + 0.42
    if body in ("van", "pickup"):
        start = inner[0][0] + 0.02
    pen.polygon([(start, belt), *inner, (end, belt)], glass)
    for x in (-0.35, 0.32) if body != "van" else (0.3,):
        pen.limb([(x, belt - 0.6), (x, inner[0][1])], 0.05, shade(paint, 0.85))
    pen.limb([(-0.15, belt - 0.12), (0.02, belt - 0.12)], 0.035, shade(paint, 0.5))
    pen.disc((roof[-1][0] - 0.05, 0.72), 0.14, 0.09, (250, 245, 215))
    pen.disc((roof[0][0] + 0.07, 0.8), 0.07, 0.1, (190, 30, 30))
    rim = rng.choice(((190, 190, 195), (120, 120, 125), (60, 60, 62)))
    for x in (-1.3, 1.32):
        pen.disc((x, 0.34), 0.42, 0.42, shade(paint, 0.35))
        pen.disc((x, 0.33), 0.34, 0.34, (28, 28, 30))
        pen.disc((x, 0.33), 0.2, 0.2, rim)
        pen.disc((x, 0.33), 0.06, 0.06, (40, 40, 42))


def _car_from_front(pen: Pen, rng: Random, paint: Colour) -> None:
    tall = rng.uniform(1.42, 1.95)
    wide = rng.uniform(0.86, 0.98)
    rear = rng.random() < 0.4
    glass = rng.choice(GLASS)
    for side in (-1, 1):
        x = side * (wide - 0.13)
        pen.limb([(x, 0.12), (x, 0.5)], 0.24, (26, 26, 28))
    belt = tall * 0.62
    pen.polygon(
        [
            (-wide * 0.92, belt),
            (-wide * 0.72, tall * 0.97),
            (-wide * 0.5, tall),
            (wide * 0.5, tall),
            (wide * 0.72, tall * 0.97),
            (wide * 0.92, belt),
        ],
        paint,
    )
    pen.polygon(
        [
            (-wide * 0.8, belt),
            (-wide * 0.64, tall * 0.93),
            (wide * 0.64, tall * 0.93),
            (wide * 0.8, belt),
        ],
        glass,
    )
    pen.polygon(
        [
            (-wide * 0.3, belt),
            (-wide * 0.1, tall * 0.93),
            (wide * 0.1, tall * 0.93),
            (-wide * 0.1, belt),
        ],
        shade(glass, 1.3),
    )
    pen.polygon(
        [
            (-wide, 0.3),
            (-wide, belt * 0.88),
            (-wide * 0.92, belt),
            (wide * 0.92, belt),
            (wide, belt * 0.88),
            (wide, 0.3),
        ],
        shade(paint, 0.93),
    )
    pen.polygon([(-wide, 0.25), (wide, 0.25), (wide, 0.46), (-wide, 0.46)], shade(paint, 0.6))
    lamp = (200, 30, 30) if rear else (250, 248, 225)
    for side in (-1, 1):
        pen.disc((side * wide * 0.76, belt * 0.78), 0.17, 0.1, lamp)
        pen.disc((side * (wide + 0.1), belt * 1.05), 0.1, 0.07, shade(paint, 0.7))
    if not rear:
        pen.polygon(
            [
                (-wide * 0.42, belt * 0.55),
                (wide * 0.42, belt * 0.55),
                (wide * 0.48, belt * 0.78),
                (-wide * 0.48, belt * 0.78),
            ],
            (35, 35, 38),
        )
    pen.polygon([(-0.25, 0.42), (0.25, 0.42), (0.25, 0.53), (-0.25, 0.53)], (235, 235, 225))


def draw_bicycle(pen: Pen, rng: Random) -> None:
    """Two wheels, a frame and a handlebar; spokes, mudguards, basket and bag come and go."""
    paint = shade(rng.choice(PAINTS), rng.uniform(0.8, 1.15))
    radius = rng.uniform(0.3, 0.36)
    base = rng.uniform(0.98, 1.1)
    rear, front = (-base / 2, radius), (base / 2, radius)
    tyre = rng.uniform(0.035, 0.06)
    spokes = rng.random() < 0.6
    for hub in (rear, front):
        if spokes:
            turn = rng.uniform(0, 1)
            for number in range(7):
                angle = turn + number * math.pi / 7
                reach = (math.cos(angle) * radius * 0.95, math.sin(angle) * radius * 0.95)
                pen.limb(
                    [
                        (hub[0] - reach[0], hub[1] - reach[1]),
                        (hub[0] + reach[0], hub[1] + reach[1]),
                    ],
                    0.008,
                    (165, 165, 165),
                )
        pen.ring(hub, radius + tyre / 2, tyre, (30, 30, 32))
        pen.disc(hub, 0.035, 0.035, (80, 80, 80))
    crank = (-0.08, radius - 0.04)
    seat = (-0.22, radius + 0.5)
    head = (base / 2 - 0.17, radius + 0.52)
    low_step = rng.random() < 0.35
    tube = rng.uniform(0.035, 0.05)
    pen.limb([rear, crank, (head[0] + 0.02, head[1] - 0.1)], tube, paint)
    pen.limb([rear, seat, crank], tube, paint)
    pen.limb([(seat[0] + 0.08, radius + 0.2) if low_step else seat, head], tube, paint)
    pen.limb([front, (head[0] - 0.03, head[1] + 0.12)], tube, shade(paint, 0.85))
    pen.limb([seat, (seat[0] - 0.02, seat[1] + 0.1)], 0.03, (120, 120, 120))
    pen.limb(
        [(seat[0] - 0.15, seat[1] + 0.13), (seat[0] + 0.1, seat[1] + 0.12)], 0.06, (30, 26, 24)
    )
    grip = (head[0] - 0.03, head[1] + 0.14)
    pen.limb(
        [(grip[0] - 0.16, grip[1] + rng.uniform(0, 0.12)), grip, (grip[0] + 0.06, grip[1] + 0.03)],
        0.035,
        (45, 45, 48),
    )
    pen.ring(crank, 0.08, 0.02, (60, 60, 62))
    pen.limb(
        [(crank[0] - 0.06, crank[1] - 0.13), (crank[0] + 0.06, crank[1] + 0.13)],
        0.025,
        (60, 60, 62),
    )
    _bicycle_extras(pen, rng, rear, front, radius)


def _bicycle_extras(pen: Pen, rng: Random, rear: Point, front: Point, radius: float) -> None:
    if rng.random() < 0.35:
        pen.polygon(
            [
                (front[0] - 0.08, radius + 0.4),
                (front[0] + 0.22, radius + 0.4),
                (front[0] + 0.26, radius + 0.62),
                (front[0] - 0.12, radius + 0.62),
            ],
            (150, 115, 70),
        )
    if rng.random() < 0.4:
        pen.limb(
            [(rear[0] - 0.25, radius + 0.36), (rear[0] + 0.25, radius + 0.36)], 0.03, (70, 70, 72)
        )
        if rng.random() < 0.5:
            pen.polygon(
                [
                    (rear[0] - 0.2, radius + 0.02),
                    (rear[0] + 0.14, radius + 0.02),
                    (rear[0] + 0.14, radius + 0.34),
                    (rear[0] - 0.2, radius + 0.34),
                ],
                rng.choice(PAINTS),
            )
    if rng.random() < 0.5:
        pen.limb([(-0.08, radius - 0.05), (-0.2, 0.01)], 0.025, (50, 50, 52))
