"""Draws animals from the side: dogs and cats as residents know them, and the deer that is new."""

# ruff: noqa: PLR2004 - the measures of bodies are numbers

import math
from random import Random

from backends.sources.pen import Colour, Pen, Point, shade, swing

DOGS: tuple[Colour, ...] = (
    (196, 150, 92),
    (120, 78, 45),
    (45, 38, 34),
    (228, 218, 200),
    (150, 110, 75),
    (215, 165, 90),
)
CATS: tuple[Colour, ...] = (
    (205, 130, 60),
    (170, 165, 160),
    (38, 36, 38),
    (232, 228, 220),
    (140, 110, 80),
    (225, 160, 95),
)


def draw_dog(pen: Pen, rng: Random) -> None:
    """Deep chest, long muzzle, long legs, thick tail carried high."""
    tall = rng.uniform(0.48, 0.72)  # at the shoulder
    coat = shade(rng.choice(DOGS), rng.uniform(0.8, 1.1))
    second = rng.choice((coat, coat, (240, 235, 225), shade(coat, 0.6)))
    length = tall * rng.uniform(0.95, 1.2)
    if rng.random() < 0.25:
        _sitting_dog(pen, rng, tall, coat, second)
        return
    stride = rng.uniform(0, 0.75)
    rear, front = (-length / 2, tall * 0.82), (length / 2, tall * 0.8)
    _four_legs(pen, rear, front, tall * 0.1, stride, coat)
    pen.taper(front, rear, tall * 0.42, tall * 0.3, coat)
    pen.disc(
        (front[0] - tall * 0.02, front[1] - tall * 0.03),
        tall * 0.2,
        tall * 0.23,
        shade(second, 0.95),
    )
    tail = rng.uniform(2.0, 2.9)
    bend = swing((rear[0] - tall * 0.08, rear[1] + tall * 0.08), -tail, tall * 0.25)
    tip = swing(bend, -tail - rng.uniform(0, 0.6), tall * 0.25)
    pen.limb([(rear[0] - tall * 0.05, rear[1] + tall * 0.08), bend, tip], tall * 0.075, coat)
    lift = rng.uniform(0.1, 0.45)
    _dog_head(pen, rng, (front[0] + tall * 0.27, tall * (0.9 + lift)), front, tall, coat, second)


def _sitting_dog(pen: Pen, rng: Random, tall: float, coat: Colour, second: Colour) -> None:
    chest, rump = (tall * 0.12, tall * 0.72), (-tall * 0.35, tall * 0.2)
    pen.limb([(-tall * 0.4, tall * 0.08), (-tall * 0.85, tall * 0.12)], tall * 0.07, coat)
    pen.disc(rump, tall * 0.28, tall * 0.22, shade(coat, 0.85))
    pen.taper(chest, rump, tall * 0.4, tall * 0.45, coat)
    for x, dark in ((0.1, 0.8), (0.22, 1.0)):
        pen.taper(
            (tall * x, tall * 0.6),
            (tall * (x + 0.04), 0.04),
            tall * 0.13,
            tall * 0.09,
            shade(coat, dark),
        )
    pen.limb([(-tall * 0.2, 0.05), (tall * 0.02, 0.04)], tall * 0.09, coat)
    _dog_head(pen, rng, (tall * 0.3, tall * 1.15), chest, tall, coat, second)


def _dog_head(
    pen: Pen, rng: Random, head: Point, chest: Point, tall: float, coat: Colour, second: Colour
) -> None:
    size = tall * rng.uniform(0.16, 0.2)
    pen.taper(chest, head, tall * 0.3, size * 1.3, coat)
    pen.disc(head, size, size * 0.9, coat)
    nose = (head[0] + size * rng.uniform(1.5, 2.0), head[1] - size * 0.45)
    pen.taper((head[0] + size * 0.4, head[1] - size * 0.2), nose, size * 1.0, size * 0.62, second)
    pen.disc((nose[0] + size * 0.2, nose[1] + size * 0.12), size * 0.2, size * 0.17, (25, 22, 22))
    ear = shade(coat, 0.65)
    if rng.random() < 0.65:  # hanging
        pen.taper(
            (head[0] - size * 0.3, head[1] + size * 0.5),
            (head[0] - size * 0.5, head[1] - size * 0.6),
            size * 0.55,
            size * 0.7,
            ear,
        )
    else:
        x, y = head[0] - size * 0.4, head[1] + size * 0.5
        pen.polygon(
            [(x - size * 0.4, y), (x + size * 0.4, y), (x - size * 0.1, y + size * 0.9)], ear
        )
    pen.disc((head[0] + size * 0.4, head[1] + size * 0.2), size * 0.13, size * 0.13, (20, 18, 18))


def draw_cat(pen: Pen, rng: Random) -> None:
    """Long and low, round head with pointed ears, no muzzle to speak of, long thin tail."""
    tall = rng.uniform(0.27, 0.34)
    coat = shade(rng.choice(CATS), rng.uniform(0.8, 1.1))
    pose = rng.random()
    if pose < 0.35:
        _sitting_cat(pen, rng, tall, coat)
    elif pose < 0.5:
        _lying_cat(pen, rng, tall, coat)
    else:
        _walking_cat(pen, rng, tall, coat)


def _walking_cat(pen: Pen, rng: Random, tall: float, coat: Colour) -> None:
    length = tall * rng.uniform(1.35, 1.6)
    rear, front = (-length / 2, tall * 0.78), (length / 2, tall * 0.76)
    _tail(pen, rng, (rear[0] - tall * 0.05, rear[1]), tall, coat, rng.uniform(-0.4, 1.4))
    _four_legs(pen, rear, front, tall * 0.12, rng.uniform(0, 0.55), coat)
    pen.taper(rear, front, tall * 0.42, tall * 0.36, coat)
    if rng.random() < 0.5:
        for place in range(5):
            x = rear[0] + length * (place + 0.5) / 5
            pen.limb(
                [(x, tall * 0.95), (x + tall * 0.03, tall * 0.72)], tall * 0.05, shade(coat, 0.6)
            )
    _cat_head(pen, (front[0] + tall * 0.32, tall * rng.uniform(0.95, 1.2)), tall, coat)


def _sitting_cat(pen: Pen, rng: Random, tall: float, coat: Colour) -> None:
    _tail(pen, rng, (-tall * 0.4, tall * 0.1), tall, coat, rng.uniform(-0.3, 0.2))
    pen.disc((-tall * 0.08, tall * 0.38), tall * 0.44, tall * 0.38, coat)
    pen.taper((0.0, tall * 0.5), (tall * 0.12, tall * 1.15), tall * 0.75, tall * 0.4, coat)
    for x in (0.12, 0.28):
        pen.taper(
            (tall * x, tall * 0.6),
            (tall * x, tall * 0.03),
            tall * 0.17,
            tall * 0.13,
            shade(coat, 0.9),
        )
    pen.disc((tall * 0.22, tall * 0.75), tall * 0.13, tall * 0.25, shade(coat, 1.15))
    _cat_head(pen, (tall * 0.18, tall * 1.45), tall, coat)


def _lying_cat(pen: Pen, rng: Random, tall: float, coat: Colour) -> None:
    _tail(pen, rng, (-tall * 0.8, tall * 0.15), tall, coat, 0.0)
    pen.disc((0.0, tall * 0.3), tall * 0.9, tall * 0.32, coat)
    pen.limb(
        [(tall * 0.5, tall * 0.06), (tall * 0.95, tall * 0.06)], tall * 0.12, shade(coat, 0.85)
    )
    _cat_head(pen, (tall * 0.85, tall * 0.65), tall, coat)


def _cat_head(pen: Pen, head: Point, tall: float, coat: Colour) -> None:
    size = tall * 0.27
    for side in (-0.62, 0.55):
        x, y = head[0] + side * size, head[1] + size * 0.45
        pen.polygon(
            [(x - size * 0.42, y), (x + size * 0.42, y), (x + side * size * 0.25, y + size * 0.95)],
            shade(coat, 0.75),
        )
    pen.disc(head, size * 1.08, size * 0.92, coat)
    pen.disc(
        (head[0] + size * 0.45, head[1] - size * 0.35), size * 0.45, size * 0.33, shade(coat, 1.2)
    )
    for side in (0.1, 0.75):
        pen.disc(
            (head[0] + side * size, head[1] + size * 0.15), size * 0.16, size * 0.18, (190, 200, 90)
        )
    pen.disc((head[0] + size * 0.5, head[1] - size * 0.2), size * 0.1, size * 0.08, (190, 110, 110))


def _tail(pen: Pen, rng: Random, root: Point, tall: float, coat: Colour, lift: float) -> None:
    """A long curve; `lift` radians above the horizontal where it starts."""
    points, angle = [root], math.pi / 2 + lift
    for _ in range(6):
        points.append(swing(points[-1], -angle, tall * 0.19))
        points[-1] = (points[-1][0], max(0.03, points[-1][1]))
        angle += rng.uniform(-0.1, 0.4)
    pen.limb(points, tall * 0.1, shade(coat, 0.85))


def draw_deer(pen: Pen, rng: Random) -> None:
    """Tall, thin legs, upright neck, antlers or large ears."""
    tall = rng.uniform(0.95, 1.15)
    coat = shade((150, 100, 62), rng.uniform(0.8, 1.15))
    rear, front = (-tall * 0.48, tall * 0.88), (tall * 0.48, tall * 0.85)
    _four_legs(pen, rear, front, tall * 0.065, rng.uniform(0, 0.5), coat)
    pen.taper(rear, front, tall * 0.34, tall * 0.36, coat)
    pen.disc(
        (rear[0] - tall * 0.14, rear[1] - tall * 0.02), tall * 0.06, tall * 0.1, (240, 235, 225)
    )
    head = (front[0] + tall * 0.3, tall * rng.uniform(1.3, 1.5))
    pen.taper(front, head, tall * 0.26, tall * 0.12, coat)
    pen.taper(head, (head[0] + tall * 0.2, head[1] - tall * 0.08), tall * 0.15, tall * 0.08, coat)
    pen.limb(
        [
            (head[0] - tall * 0.03, head[1] + tall * 0.05),
            (head[0] - tall * 0.15, head[1] + tall * 0.13),
        ],
        tall * 0.06,
        shade(coat, 0.8),
    )
    if rng.random() < 0.6:
        for side in (-1, 1):
            base = (head[0], head[1] + tall * 0.07)
            top = (base[0] + side * tall * 0.15 - tall * 0.05, base[1] + tall * 0.33)
            pen.limb(
                [base, ((base[0] + top[0]) / 2 + side * 0.05, (base[1] + top[1]) / 2), top],
                tall * 0.028,
                (110, 85, 60),
            )
            pen.limb(
                [
                    ((base[0] + top[0]) / 2, (base[1] + top[1]) / 2),
                    (top[0] + tall * 0.16, top[1] - tall * 0.05),
                ],
                tall * 0.024,
                (110, 85, 60),
            )


def _four_legs(
    pen: Pen, rear: Point, front: Point, thick: float, stride: float, coat: Colour
) -> None:
    for hip, angle, dark in (
        (rear, stride, 0.68),
        (front, -stride, 0.68),
        (rear, -stride, 0.92),
        (front, stride, 0.95),
    ):
        knee = swing((hip[0], hip[1] - thick), angle, hip[1] * 0.45)
        paw = swing(knee, angle * 0.3 - (0.25 if hip is rear else -0.05) * stride, knee[1] * 0.96)
        pen.taper((hip[0], hip[1] - thick), knee, thick * 1.9, thick * 1.1, shade(coat, dark))
        pen.taper(knee, paw, thick * 1.1, thick * 0.85, shade(coat, dark))
        pen.limb([paw, (paw[0] + thick * 0.8, max(0.02, paw[1]))], thick * 0.9, shade(coat, dark))
