"""Draws people: a grown-up and a child differ in proportions, in size and in what they do."""

# ruff: noqa: PLR2004 - the measures of bodies are numbers

from dataclasses import dataclass
from random import Random

from backends.sources.pen import Colour, Pen, shade, swing

SKIN: tuple[Colour, ...] = (
    (241, 200, 165),
    (224, 172, 130),
    (176, 120, 80),
    (120, 78, 50),
    (84, 54, 38),
)
HAIR: tuple[Colour, ...] = (
    (35, 25, 20),
    (80, 50, 25),
    (150, 105, 50),
    (215, 180, 110),
    (150, 150, 150),
    (140, 60, 30),
)
CLOTHES: tuple[Colour, ...] = (
    (180, 35, 40), (35, 70, 150), (40, 110, 70), (235, 200, 60), (235, 235, 230), (45, 45, 52),
    (120, 60, 130), (230, 120, 40), (90, 160, 200), (240, 150, 180), (110, 100, 85), (70, 85, 60),
)  # fmt: skip
BRIGHT: tuple[Colour, ...] = (
    (235, 60, 60),
    (250, 215, 70),
    (250, 140, 40),
    (90, 190, 235),
    (245, 120, 180),
    (120, 210, 90),
)
TROUSERS: tuple[Colour, ...] = (
    (40, 50, 85),
    (60, 60, 65),
    (110, 95, 70),
    (150, 140, 120),
    (30, 30, 35),
    (85, 40, 40),
)


@dataclass(frozen=True, slots=True)
class Build:
    """A body: height in metres; head, legs and shoulders as shares of it."""

    height: float
    head: float
    legs: float
    shoulders: float
    girth: float


def grown_up(rng: Random) -> Build:
    return Build(
        height=rng.uniform(1.58, 1.92),
        head=rng.uniform(0.12, 0.135),
        legs=rng.uniform(0.46, 0.5),
        shoulders=rng.uniform(0.23, 0.27),
        girth=rng.uniform(0.85, 1.25),
    )


def child(rng: Random) -> Build:
    return Build(
        height=rng.uniform(0.8, 1.12),
        head=rng.uniform(0.225, 0.26),
        legs=rng.uniform(0.34, 0.4),
        shoulders=rng.uniform(0.2, 0.24),
        girth=rng.uniform(0.95, 1.2),
    )


def draw_person(pen: Pen, rng: Random) -> None:
    _draw(pen, rng, grown_up(rng), stride=rng.uniform(0, 0.5))


def draw_child(pen: Pen, rng: Random) -> None:
    _draw(pen, rng, child(rng), stride=rng.uniform(0.1, 0.85))


@dataclass(frozen=True, slots=True)
class _Outfit:
    skin: Colour
    hair: Colour
    top: Colour
    bottom: Colour
    shoes: Colour
    short: bool
    skirt: bool


def _draw(pen: Pen, rng: Random, build: Build, stride: float) -> None:
    small = build.head > 0.17  # only a child's head is that large
    outfit = _Outfit(
        skin=rng.choice(SKIN),
        hair=rng.choice(HAIR),
        top=_vary(rng, rng.choice(BRIGHT if small and rng.random() < 0.6 else CLOTHES)),
        bottom=_vary(
            rng, rng.choice(TROUSERS if rng.random() < (0.5 if small else 0.85) else CLOTHES)
        ),
        shoes=rng.choice(((30, 28, 28), (220, 220, 215), (120, 70, 40), (190, 40, 40))),
        short=rng.random() < (0.4 if small else 0.15),
        skirt=rng.random() < 0.2,
    )
    front = rng.random() < 0.4
    if front:
        stride *= 0.3
    h = build.height
    hip = (0.0, build.legs * h)
    lean = rng.uniform(-0.05, 0.12) + stride * 0.12
    neck = (lean * h * 0.35, h * (1 - build.head) * 0.985)
    shoulder = (neck[0] * 0.95, neck[1] - h * 0.045)
    wide = build.shoulders * h * (1.0 if front else 0.72) * build.girth
    raised = rng.random() < (0.25 if small else 0.1)
    arms = (
        rng.uniform(2.2, 2.9) if raised else -stride * 1.1 - 0.1,
        stride * 1.1 + rng.uniform(0, 0.3),
    )
    _arm(pen, build, shoulder, arms[0], (-wide / 2 if front else 0), outfit, 0.8)
    _legs(pen, build, hip, stride, front, outfit)
    _torso(pen, build, hip, shoulder, wide, outfit)
    _carry(pen, rng, small, build, shoulder, wide)
    _arm(pen, build, shoulder, arms[1], (wide / 2 if front else 0), outfit, 0.93)
    _head(pen, rng, build, neck, front, outfit)


def _vary(rng: Random, colour: Colour) -> Colour:
    return shade(colour, rng.uniform(0.85, 1.25))


def _legs(
    pen: Pen, build: Build, hip: tuple[float, float], stride: float, front: bool, outfit: _Outfit
) -> None:
    length = build.legs * build.height
    thick = 0.085 * build.height * build.girth
    apart = build.shoulders * build.height * (0.3 if front else 0.05)
    for side, angle, dark in ((-1, -stride, 0.72), (1, stride, 0.95)):
        start = (hip[0] + side * apart, hip[1])
        knee = swing(start, angle, length * 0.5)
        foot = swing(knee, angle - max(0.0, -side * stride) * 0.9, length * 0.5)
        foot = (foot[0], max(0.015, foot[1]))
        lower = outfit.skin if outfit.short or outfit.skirt else outfit.bottom
        pen.taper(start, knee, thick * 1.15, thick * 0.9, shade(outfit.bottom, dark))
        pen.taper(knee, foot, thick * 0.85, thick * 0.6, shade(lower, dark))
        toe = (foot[0] + build.height * (0.025 if front else 0.075), foot[1])
        pen.limb([foot, toe], thick * 0.62, shade(outfit.shoes, dark))


def _torso(
    pen: Pen,
    build: Build,
    hip: tuple[float, float],
    shoulder: tuple[float, float],
    wide: float,
    outfit: _Outfit,
) -> None:
    narrow = wide * 0.4
    if outfit.skirt:
        knee = hip[1] * 0.55
        pen.polygon(
            [
                (-narrow, hip[1] * 1.05),
                (narrow, hip[1] * 1.05),
                (narrow * 1.7, knee),
                (-narrow * 1.7, knee),
            ],
            outfit.bottom,
        )
    pen.disc(hip, narrow, build.height * 0.045, outfit.bottom)
    sides = [
        (shoulder[0] - wide / 2, shoulder[1]),
        (shoulder[0] + wide / 2, shoulder[1]),
        (hip[0] + narrow, hip[1] * 0.97),
        (hip[0] - narrow, hip[1] * 0.97),
    ]
    pen.polygon(sides, outfit.top)
    pen.polygon(
        [
            sides[0],
            (shoulder[0] - wide * 0.2, shoulder[1]),
            (hip[0] - narrow * 0.5, hip[1]),
            sides[3],
        ],
        shade(outfit.top, 0.82),
    )
    pen.limb(
        [(shoulder[0] - wide * 0.4, shoulder[1]), (shoulder[0] + wide * 0.4, shoulder[1])],
        build.height * 0.06,
        outfit.top,
    )


def _arm(
    pen: Pen,
    build: Build,
    shoulder: tuple[float, float],
    angle: float,
    aside: float,
    outfit: _Outfit,
    dark: float,
) -> None:
    thick = 0.058 * build.height * build.girth
    start = (shoulder[0] + aside, shoulder[1])
    elbow = swing(start, angle, 0.165 * build.height)
    hand = swing(elbow, angle + 0.35, 0.15 * build.height)
    pen.taper(start, elbow, thick, thick * 0.85, shade(outfit.top, dark))
    pen.taper(
        elbow,
        hand,
        thick * 0.8,
        thick * 0.6,
        shade(outfit.skin if outfit.short else outfit.top, dark),
    )
    pen.disc(hand, thick * 0.45, thick * 0.45, outfit.skin)


def _head(
    pen: Pen, rng: Random, build: Build, neck: tuple[float, float], front: bool, outfit: _Outfit
) -> None:
    tall = build.head * build.height
    wide = tall * (0.4 if build.head > 0.17 else 0.36)
    centre = (neck[0] + tall * 0.08, neck[1] + tall * 0.5)
    pen.limb(
        [(neck[0], neck[1] - tall * 0.15), (neck[0], neck[1] + tall * 0.2)],
        tall * 0.38,
        shade(outfit.skin, 0.85),
    )
    long = rng.random() < 0.35
    if long:
        pen.disc(
            (centre[0] - tall * (0.0 if front else 0.15), centre[1] - tall * 0.2),
            wide * 1.1,
            tall * 0.55,
            outfit.hair,
        )
    pen.disc(centre, wide, tall * 0.5, outfit.skin)
    cap = rng.random()
    top = (centre[0] - (0 if front else tall * 0.08), centre[1] + tall * 0.2)
    if cap < 0.25:
        hat = rng.choice(CLOTHES)
        pen.disc(top, wide * 1.05, tall * 0.34, hat)
        pen.limb(
            [
                (top[0], top[1] - tall * 0.05),
                (top[0] + tall * (0.35 if not front else 0.2), top[1] - tall * 0.05),
            ],
            tall * 0.09,
            shade(hat, 0.8),
        )
    elif cap < 0.93:
        pen.disc(top, wide * 1.04, tall * 0.33, outfit.hair)
    if front:
        for side in (-1, 1):
            pen.disc(
                (centre[0] + side * wide * 0.38, centre[1] - tall * 0.02),
                tall * 0.04,
                tall * 0.05,
                (40, 30, 30),
            )


def _carry(
    pen: Pen, rng: Random, small: bool, build: Build, shoulder: tuple[float, float], wide: float
) -> None:
    what = rng.random()
    h = build.height
    colour = rng.choice(CLOTHES)
    if what < 0.22:  # a backpack
        back = shoulder[0] - wide * 0.55
        pen.limb([(back, shoulder[1] - h * 0.03), (back, shoulder[1] - h * 0.2)], h * 0.12, colour)
    elif what < 0.34 and not small:  # a parcel
        pen.polygon(
            [
                (wide * 0.2, h * 0.55),
                (wide * 0.2 + 0.36, h * 0.55),
                (wide * 0.2 + 0.36, h * 0.7),
                (wide * 0.2, h * 0.7),
            ],
            (176, 134, 84),
        )
    elif what < 0.42 and not small:  # a shopping bag
        pen.polygon([(0.12, h * 0.22), (0.4, h * 0.22), (0.36, h * 0.4), (0.16, h * 0.4)], colour)
    elif what < 0.45 and small:  # a ball at the feet
        pen.disc((h * rng.uniform(0.3, 0.5), 0.11), 0.11, 0.11, colour)
    elif what < 0.55 and small:  # a balloon
        x = h * 0.25
        pen.limb([(x * 0.8, h * 0.5), (x, h * 1.15)], 0.012, (230, 230, 230))
        pen.disc((x, h * 1.27), 0.12, 0.15, colour)
