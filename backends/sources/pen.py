"""Draws in metres: what a figure is made of, placed on the ground at some distance."""

import math
from collections.abc import Sequence

from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


def shade(colour: Colour, factor: float) -> Colour:
    """Darken (below 1) or brighten (above 1) a colour."""
    red, green, blue = (min(255, max(0, round(part * factor))) for part in colour)
    return red, green, blue


class Pen:
    """A figure's own coordinates: metres, x along its facing, y up from the ground below it."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, foot: Point, scale: float, facing: int = 1
    ) -> None:
        self.draw = draw
        self.foot = foot
        self.scale = scale
        self.facing = facing

    def pixel(self, point: Point) -> Point:
        return (
            self.foot[0] + self.facing * point[0] * self.scale,
            self.foot[1] - point[1] * self.scale,
        )

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        self.draw.polygon([self.pixel(point) for point in points], fill=fill)

    def limb(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """A line `width` metres thick, with round joints and ends."""
        thick = max(1, round(width * self.scale))
        places = [self.pixel(point) for point in points]
        self.draw.line(places, fill=fill, width=thick)
        radius = thick / 2
        if radius > 1:
            for x, y in places:
                self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def taper(self, start: Point, end: Point, thick: float, thin: float, fill: Colour) -> None:
        """A limb that is `thick` at its start and `thin` at its end, in metres."""
        length = math.hypot(end[0] - start[0], end[1] - start[1]) or 1e-6
        across = ((start[1] - end[1]) / length, (end[0] - start[0]) / length)
        sides = [
            (place[0] + side * across[0] * width / 2, place[1] + side * across[1] * width / 2)
            for place, width, side in (
                (start, thick, 1),
                (end, thin, 1),
                (end, thin, -1),
                (start, thick, -1),
            )
        ]
        self.polygon(sides, fill)
        self.disc(start, thick / 2, thick / 2, fill)
        self.disc(end, thin / 2, thin / 2, fill)

    def disc(self, centre: Point, rx: float, ry: float, fill: Colour) -> None:
        x, y = self.pixel(centre)
        rx, ry = rx * self.scale, ry * self.scale
        self.draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=fill)

    def ring(self, centre: Point, radius: float, width: float, fill: Colour) -> None:
        x, y = self.pixel(centre)
        r = radius * self.scale
        thick = max(1, round(width * self.scale))
        self.draw.ellipse((x - r, y - r, x + r, y + r), outline=fill, width=thick)


def swing(start: Point, angle: float, length: float) -> Point:
    """Where a bone of `length` ends that hangs from `start`, `angle` radians forward of down."""
    return start[0] + math.sin(angle) * length, start[1] - math.cos(angle) * length
