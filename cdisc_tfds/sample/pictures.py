"""Draws product-like pictures on white for the generated sample competition.

What a picture shows follows from its category: the *shape* (a mug, a shoe, ...) is that of its
second level, the *pattern* and the *tone* those of its third. The rest varies between products
(proportions, exact colours, the pattern's pitch) and between the pictures of a product (angle,
distance, backdrop, now and then only the carton). Everything is drawn as polygons that a homography
puts in perspective, at twice the final size, and then reduced.
"""

from __future__ import annotations

import colorsys
import dataclasses
import functools
import io
import itertools
import math
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]

SUPERSAMPLING = 2
JPEG_QUALITY = 85

PATTERNS = ("plain", "stripes", "dots", "checks", "chevrons", "flowers", "halves", "stars")

# Hue, saturation and value in [0, 1] that a tone's products scatter around.
TONES: dict[str, tuple[float, float, float]] = {
    "red": (0.00, 0.80, 0.80),
    "gold": (0.12, 0.75, 0.90),
    "green": (0.36, 0.65, 0.60),
    "blue": (0.60, 0.70, 0.75),
    "pink": (0.90, 0.50, 0.92),
    "grey": (0.60, 0.08, 0.45),
}

# Chance that a product comes in another tone than its category's: no category is that tidy.
OTHER_TONE = 0.10
# Chance that a picture after the first shows the carton instead of the product.
CARTON = 0.10


@dataclasses.dataclass(frozen=True)
class Part:
    """A polygon, float [n, 2] in a square from -1 to 1 with y downwards, and what it is made of."""

    points: np.ndarray
    material: str


def poly(material: str, *points: tuple[float, float]) -> Part:
    return Part(np.array(points, np.float64), material)


def smooth(material: str, *points: tuple[float, float]) -> Part:
    """A closed Catmull-Rom curve through `points`."""
    p1 = np.array(points, np.float64)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
    curve = (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    ) / 2
    return Part(curve.transpose(1, 0, 2).reshape(-1, 2), material)


def oval(material: str, x: float, y: float, rx: float, ry: float) -> Part:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return Part(np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], 1), material)


def box(material: str, x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> Part:
    """A rectangle with rounded corners."""
    corners = []
    for cx, cy, start in (
        (x1 - radius, y0 + radius, -90),
        (x1 - radius, y1 - radius, 0),
        (x0 + radius, y1 - radius, 90),
        (x0 + radius, y0 + radius, 180),
    ):
        for degrees in range(start, start + 91, 15 if radius else 91):
            a = math.radians(degrees)
            corners.append((cx + radius * math.cos(a), cy + radius * math.sin(a)))
    return poly(material, *corners)


def arc(
    material: str, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float
) -> Part:
    """A band of `width` along an ellipse, from `start` to `end` degrees (clockwise, 0 is right)."""
    angle = np.radians(np.linspace(start, end, 30))
    unit = np.stack([np.cos(angle), np.sin(angle)], 1)
    outer = [x, y] + unit * [rx + width / 2, ry + width / 2]
    inner = [x, y] + unit * [rx - width / 2, ry - width / 2]
    return Part(np.concatenate([outer, inner[::-1]]), material)


def bar(material: str, x0: float, y0: float, x1: float, y1: float, width: float) -> Part:
    """A straight line of `width`."""
    dx, dy = x1 - x0, y1 - y0
    scale = width / 2 / math.hypot(dx, dy)
    nx, ny = -dy * scale, dx * scale
    return poly(
        material, (x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)
    )


# Materials: "main" carries the category's pattern and tone, "accent" a colour of the product's own.
SHAPES: dict[str, list[Part]] = {
    "mug": [
        arc("main", 0.52, 0.0, 0.3, 0.36, -95, 95, 0.15),
        box("main", -0.62, -0.72, 0.55, 0.75, 0.12),
        oval("light", -0.035, -0.7, 0.585, 0.12),
        oval("dark", -0.035, -0.69, 0.5, 0.085),
    ],
    "plate": [
        oval("main", 0, 0, 0.95, 0.95),
        oval("light", 0, 0, 0.62, 0.62),
        oval("light", 0, 0.01, 0.55, 0.55),
    ],
    "pan": [
        bar("dark", 0.35, -0.1, 1.15, -0.5, 0.13),
        oval("main", -0.25, 0.12, 0.72, 0.6),
        oval("dark", -0.25, 0.06, 0.62, 0.48),
        oval("metal", -0.25, 0.08, 0.5, 0.37),
    ],
    "bottle": [
        smooth(
            "main",
            *[(-0.12, -0.75), (0.12, -0.75), (0.16, -0.35), (0.36, -0.05), (0.36, 0.9)],
            *[(0.2, 1.0), (-0.2, 1.0), (-0.36, 0.9), (-0.36, -0.05), (-0.16, -0.35)],
        ),
        box("dark", -0.15, -1.0, 0.15, -0.72, 0.04),
        box("light", -0.33, 0.2, 0.33, 0.62),
    ],
    "handbag": [
        arc("accent", 0, -0.3, 0.42, 0.55, 180, 360, 0.1),
        smooth(
            "main",
            *[(-0.7, -0.3), (0.0, -0.34), (0.7, -0.3), (0.85, 0.4), (0.8, 0.75)],
            *[(0.0, 0.8), (-0.8, 0.75), (-0.85, 0.4)],
        ),
        box("metal", -0.12, -0.16, 0.12, 0.0, 0.04),
    ],
    "suitcase": [
        arc("dark", 0, -0.7, 0.25, 0.32, 180, 360, 0.07),
        box("main", -0.6, -0.7, 0.6, 0.85, 0.14),
        bar("metal", -0.3, -0.62, -0.3, 0.78, 0.04),
        bar("metal", 0.3, -0.62, 0.3, 0.78, 0.04),
        oval("dark", -0.45, 0.9, 0.1, 0.1),
        oval("dark", 0.45, 0.9, 0.1, 0.1),
    ],
    "backpack": [
        arc("dark", 0, -0.8, 0.18, 0.18, 180, 360, 0.08),
        smooth(
            "main",
            *[(-0.5, -0.75), (0, -0.92), (0.5, -0.75), (0.68, 0.1), (0.68, 0.8)],
            *[(0, 0.95), (-0.68, 0.8), (-0.68, 0.1)],
        ),
        box("accent", -0.48, 0.2, 0.48, 0.78, 0.12),
        bar("metal", -0.42, 0.3, 0.42, 0.3, 0.04),
        bar("dark", -0.5, -0.3, 0.5, -0.3, 0.04),
    ],
    "watch": [
        box("main", -0.25, -1.05, 0.25, 1.05, 0.06),
        oval("metal", 0, 0, 0.5, 0.5),
        oval("light", 0, 0, 0.4, 0.4),
        bar("dark", 0, 0.03, 0, -0.3, 0.05),
        bar("dark", 0, 0, 0.22, 0.1, 0.05),
        box("metal", 0.48, -0.07, 0.58, 0.07, 0.02),
    ],
    "glasses": [
        arc("main", -0.5, 0.05, 0.38, 0.32, 0, 360, 0.13),
        arc("main", 0.5, 0.05, 0.38, 0.32, 0, 360, 0.13),
        oval("glass", -0.5, 0.05, 0.34, 0.28),
        oval("glass", 0.5, 0.05, 0.34, 0.28),
        arc("main", 0, 0.0, 0.14, 0.12, 180, 360, 0.1),
        bar("main", -0.9, -0.02, -1.1, -0.3, 0.1),
        bar("main", 0.9, -0.02, 1.1, -0.3, 0.1),
    ],
    "ring": [
        arc("main", 0, 0.25, 0.58, 0.58, 0, 360, 0.2),
        poly("metal", (-0.25, -0.42), (0.25, -0.42), (0.12, -0.25), (-0.12, -0.25)),
        poly("glass", (0, -0.42), (0.3, -0.72), (0.15, -0.88), (-0.15, -0.88), (-0.3, -0.72)),
    ],
    "sneaker": [
        smooth(
            "main",
            *[(-0.85, -0.45), (-0.55, -0.5), (-0.3, -0.4), (-0.15, -0.45), (0.2, -0.1)],
            *[(0.8, 0.08), (0.95, 0.4), (0, 0.45), (-0.92, 0.4), (-0.95, 0.0)],
        ),
        box("light", -0.98, 0.35, 0.98, 0.55, 0.09),
        *[bar("light", -0.2 + d, -0.38 + d, 0.02 + d, -0.45 + d, 0.05) for d in (0, 0.13, 0.26)],
        smooth("accent", (0.55, 0.1), (0.85, 0.12), (0.96, 0.36), (0.6, 0.36)),
    ],
    "boot": [
        smooth(
            "main",
            *[(-0.5, -0.95), (0.15, -0.95), (0.12, 0.1), (0.4, 0.32), (0.85, 0.45)],
            *[(0.9, 0.75), (0.2, 0.78), (-0.5, 0.78), (-0.56, 0.2)],
        ),
        box("dark", -0.56, 0.72, 0.92, 0.86, 0.05),
        box("dark", -0.56, 0.8, -0.15, 1.0, 0.03),
        bar("accent", -0.5, -0.75, 0.14, -0.75, 0.12),
    ],
    "cap": [
        smooth("accent", (0.1, 0.2), (0.6, 0.22), (1.1, 0.45), (0.95, 0.56), (0.2, 0.42)),
        smooth(
            "main",
            *[(-0.8, 0.35), (-0.78, -0.2), (-0.4, -0.6), (0, -0.66), (0.4, -0.5)],
            *[(0.62, 0.0), (0.6, 0.35), (-0.1, 0.42)],
        ),
        oval("accent", -0.05, -0.66, 0.09, 0.06),
    ],
    "lamp": [
        box("metal", -0.05, -0.1, 0.05, 0.85),
        oval("metal", 0, 0.88, 0.42, 0.1),
        poly("main", (-0.35, -0.95), (0.35, -0.95), (0.72, 0.05), (-0.72, 0.05)),
    ],
    "cushion": [
        smooth(
            "main",
            *[(-0.9, -0.9), (0, -0.78), (0.9, -0.9), (0.78, 0), (0.9, 0.9)],
            *[(0, 0.78), (-0.9, 0.9), (-0.78, 0)],
        ),
    ],
    "clock": [
        oval("main", 0, 0, 0.9, 0.9),
        oval("light", 0, 0, 0.7, 0.7),
        *[
            bar("dark", 0.54 * c, 0.54 * s, 0.64 * c, 0.64 * s, 0.05)
            for c, s in ((math.cos(k * math.pi / 6), math.sin(k * math.pi / 6)) for k in range(12))
        ],
        bar("dark", 0, 0.06, 0.0, -0.5, 0.06),
        bar("dark", 0, 0, 0.33, 0.18, 0.07),
    ],
    "ball": [oval("main", 0, 0, 0.85, 0.85), arc("light", 0, 0, 0.85, 0.3, 0, 180, 0.05)],
    "car": [
        smooth(
            "main",
            *[(-1.0, 0.1), (-0.7, -0.05), (-0.45, -0.45), (0.25, -0.48), (0.55, -0.08)],
            *[(0.95, 0.05), (1.0, 0.4), (0, 0.46), (-1.0, 0.4)],
        ),
        poly("glass", (-0.5, -0.05), (-0.36, -0.33), (-0.08, -0.35), (-0.08, -0.05)),
        poly("glass", (0.02, -0.05), (0.02, -0.35), (0.2, -0.34), (0.38, -0.05)),
        oval("dark", -0.55, 0.42, 0.22, 0.22),
        oval("dark", 0.55, 0.42, 0.22, 0.22),
        oval("metal", -0.55, 0.42, 0.1, 0.1),
        oval("metal", 0.55, 0.42, 0.1, 0.1),
    ],
    "robot": [
        bar("metal", 0, -0.7, 0, -0.95, 0.05),
        oval("accent", 0, -0.95, 0.08, 0.08),
        box("main", -0.4, -0.75, 0.4, -0.2, 0.08),
        oval("light", -0.17, -0.48, 0.1, 0.1),
        oval("light", 0.17, -0.48, 0.1, 0.1),
        box("accent", -0.5, -0.12, 0.5, 0.55, 0.08),
        bar("metal", -0.58, 0.0, -0.75, 0.45, 0.14),
        bar("metal", 0.58, 0.0, 0.75, 0.45, 0.14),
        box("main", -0.42, 0.58, -0.1, 0.95, 0.05),
        box("main", 0.1, 0.58, 0.42, 0.95, 0.05),
    ],
    "book": [
        box("light", -0.55, -0.85, 0.72, 0.92, 0.02),
        box("main", -0.68, -0.92, 0.62, 0.86, 0.02),
        box("light", -0.45, -0.65, 0.42, -0.2),
        *[bar("dark", -0.32, y, 0.3, y, 0.07) for y in (-0.52, -0.34)],
        bar("dark", -0.6, -0.92, -0.6, 0.86, 0.03),
    ],
    "notebook": [
        box("main", -0.62, -0.88, 0.7, 0.88, 0.1),
        *[oval("metal", -0.62, y / 10, 0.1, 0.035) for y in range(-7, 8, 2)],
        box("light", 0.0, -0.62, 0.52, -0.32, 0.03),
    ],
    "phone case": [
        box("main", -0.5, -0.95, 0.5, 0.95, 0.14),
        box("dark", -0.4, -0.84, -0.08, -0.5, 0.08),
        oval("glass", -0.24, -0.67, 0.09, 0.09),
    ],
    "phone": [
        box("main", -0.52, -0.98, 0.52, 0.98, 0.12),
        box("glass", -0.45, -0.8, 0.45, 0.78, 0.02),
        *[
            box("accent", x, y, x + 0.17, y + 0.17, 0.04)
            for x in (-0.36, -0.085, 0.19)
            for y in (0.0, 0.28, 0.54)
        ],
        oval("light", 0, 0.88, 0.06, 0.05),
    ],
    "headphones": [
        arc("main", 0, 0.1, 0.68, 0.82, 180, 360, 0.16),
        box("dark", -0.62, 0.0, -0.42, 0.72, 0.1),
        box("dark", 0.42, 0.0, 0.62, 0.72, 0.1),
        box("main", -0.88, 0.0, -0.58, 0.72, 0.14),
        box("main", 0.58, 0.0, 0.88, 0.72, 0.14),
    ],
    "loudspeaker": [
        box("main", -0.52, -0.95, 0.52, 0.95, 0.06),
        oval("dark", 0, 0.35, 0.4, 0.4),
        oval("metal", 0, 0.35, 0.17, 0.17),
        oval("dark", 0, -0.45, 0.24, 0.24),
        oval("metal", 0, -0.45, 0.1, 0.1),
    ],
    "t-shirt": [
        smooth(
            "main",
            *[(-0.25, -0.8), (0, -0.7), (0.25, -0.8), (0.55, -0.72), (0.98, -0.25), (0.7, -0.02)],
            *[(0.52, -0.2), (0.52, 0.85), (0, 0.9), (-0.52, 0.85), (-0.52, -0.2), (-0.7, -0.02)],
            *[(-0.98, -0.25), (-0.55, -0.72)],
        ),
        arc("accent", 0, -0.82, 0.24, 0.17, 10, 170, 0.06),
    ],
    "trousers": [
        poly(
            "main",
            *[(-0.45, -0.95), (0.45, -0.95), (0.6, 0.95), (0.15, 0.95), (0, -0.25)],
            *[(-0.15, 0.95), (-0.6, 0.95)],
        ),
        bar("accent", -0.46, -0.9, 0.46, -0.9, 0.1),
    ],
    "chair": [
        bar("wood", -0.5, 0.1, -0.58, 1.0, 0.1),
        bar("wood", 0.42, 0.2, 0.52, 1.0, 0.1),
        bar("wood", -0.18, 0.3, -0.2, 0.9, 0.08),
        poly("main", (-0.55, 0.05), (0.2, -0.02), (0.52, 0.2), (-0.3, 0.34)),
        smooth("main", (-0.6, -0.95), (-0.1, -0.9), (0.18, 0.02), (-0.52, 0.1)),
    ],
    "table": [
        bar("wood", -0.75, -0.2, -0.8, 0.75, 0.1),
        bar("wood", 0.75, -0.2, 0.8, 0.75, 0.1),
        bar("wood", -0.35, -0.3, -0.37, 0.5, 0.08),
        bar("wood", 0.35, -0.3, 0.37, 0.5, 0.08),
        poly("main", (-0.65, -0.5), (0.65, -0.5), (1.0, -0.1), (-1.0, -0.1)),
        box("main", -1.0, -0.1, 1.0, 0.0),
    ],
    "parasol": [
        bar("wood", 0, -0.8, 0, 0.95, 0.06),
        poly(
            "main",
            *[(0, -0.95), (0.5, -0.65), (0.98, -0.1), (0.5, -0.2), (0, -0.12)],
            *[(-0.5, -0.2), (-0.98, -0.1), (-0.5, -0.65)],
        ),
        oval("metal", 0, 0.95, 0.3, 0.07),
    ],
    "watering can": [
        bar("main", 0.3, 0.3, 0.95, -0.45, 0.14),
        poly("metal", (0.8, -0.62), (1.1, -0.38), (0.98, -0.28), (0.72, -0.5)),
        arc("accent", -0.5, -0.1, 0.35, 0.5, 90, 300, 0.1),
        poly("main", (-0.5, -0.45), (0.3, -0.45), (0.45, 0.75), (-0.65, 0.75)),
    ],
}

_CARTON = [
    poly("carton", (-0.85, -0.35), (0.35, -0.45), (0.35, 0.85), (-0.85, 0.7)),
    poly("carton", (0.35, -0.45), (0.85, -0.65), (0.85, 0.5), (0.35, 0.85)),
    poly("carton", (-0.85, -0.35), (-0.3, -0.6), (0.85, -0.65), (0.35, -0.45)),
    poly("accent", (-0.7, 0.1), (0.05, 0.09), (0.05, 0.45), (-0.7, 0.4)),
    bar("dark", -0.6, -0.12, 0.15, -0.17, 0.06),
]

_MATERIALS: dict[str, Colour] = {
    "dark": (42, 42, 46),
    "metal": (176, 180, 186),
    "light": (244, 243, 238),
    "glass": (120, 150, 170),
    "wood": (156, 110, 70),
    "carton": (190, 150, 105),
}


@dataclasses.dataclass(frozen=True)
class Appearance:
    """What all pictures of one product have in common."""

    shape: str
    pattern: str
    main: Colour
    second: Colour
    accent: Colour
    stretch: tuple[float, float]
    pattern_pitch: float  # in units of the shape's square
    pattern_angle: float  # degrees
    tilt: float  # degrees

    @classmethod
    def of_product(cls, shape: str, pattern: str, tone: str, rng: random.Random) -> Appearance:
        """Draws a product of the category that `shape`, `pattern` and `tone` describe."""
        if rng.random() < OTHER_TONE:
            tone = rng.choice(list(TONES))
        main = _colour(tone, rng)
        pale = tuple(round(c + (255 - c) * 0.75) for c in main)
        deep = tuple(round(c * 0.45) for c in main)
        return cls(
            shape=shape,
            pattern=pattern,
            main=main,
            second=rng.choice([pale, deep, (250, 250, 250)]),
            accent=_colour(rng.choice(list(TONES)), rng),
            stretch=(rng.uniform(0.82, 1.1), rng.uniform(0.85, 1.08)),
            pattern_pitch=rng.uniform(0.24, 0.4),
            pattern_angle=rng.choice([0, 0, 90, 45]) + rng.gauss(0, 4),
            tilt=rng.gauss(0, 5) if rng.random() < 0.7 else rng.uniform(-40, 40),
        )


def _colour(tone: str, rng: random.Random) -> Colour:
    hue, saturation, value = TONES[tone]
    hue = (hue + rng.gauss(0, 0.025)) % 1
    saturation = min(1, max(0, saturation + rng.gauss(0, 0.1)))
    value = min(1, max(0.15, value + rng.gauss(0, 0.1)))
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_jpeg(appearance: Appearance, number: int, rng: random.Random, size: int) -> bytes:
    """The product's picture `number` (0: the first) as an RGB JPEG of `size` x `size` pixels."""
    side = size * SUPERSAMPLING
    parts = SHAPES[appearance.shape]
    if number > 0 and rng.random() < CARTON:
        parts = _CARTON
    view = _homography(appearance, number, rng)
    image = _backdrop(number, rng, side)
    _draw_shadow(image, view, parts)
    texture = _texture(appearance, view, side)
    for part in parts:
        outline = _to_pixels(view, part.points, side)
        if part.material == "main":
            fill = texture
        else:
            fill = appearance.accent if part.material == "accent" else _MATERIALS[part.material]
        _draw_lit(image, outline, fill)
    file = io.BytesIO()
    image.reduce(SUPERSAMPLING).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def _homography(appearance: Appearance, number: int, rng: random.Random) -> np.ndarray:
    """Float [3, 3] from the shape's square to the picture's, both from -1 to 1."""
    first = number == 0
    turn = math.radians(appearance.tilt + rng.gauss(0, 3 if first else 14))
    yaw = rng.gauss(0, 0.15 if first else 0.55)
    zoom = rng.uniform(0.62, 0.86) if first or rng.random() < 0.7 else rng.uniform(0.9, 1.3)
    flip = -1 if rng.random() < (0.15 if first else 0.4) else 1
    cos, sin = math.cos(turn), math.sin(turn)
    stretch = np.diag(
        [flip * appearance.stretch[0] * max(0.45, math.cos(yaw)), appearance.stretch[1], 1]
    )
    perspective = np.array([[1, 0, 0], [0, 1, 0], [0.3 * math.sin(yaw), 0, 1]])
    place = np.array(
        [
            [zoom * cos, -zoom * sin, rng.gauss(0, 0.05)],
            [zoom * sin, zoom * cos, rng.gauss(0, 0.05)],
            [0, 0, 1],
        ]
    )
    return place @ perspective @ stretch


def _to_pixels(view: np.ndarray, points: np.ndarray, side: int) -> list[tuple[float, float]]:
    projected = points @ view[:, :2].T + view[:, 2]
    pixels = (projected[:, :2] / projected[:, 2:] + 1) * (side / 2)
    return list(map(tuple, pixels.tolist()))


def _backdrop(number: int, rng: random.Random, side: int) -> Image.Image:
    chance = rng.random()
    if chance > (0.06 if number == 0 else 0.25):
        return Image.new("RGB", (side, side), (255, 255, 255))
    wall = _colour(rng.choice(list(TONES)), rng)
    wall = tuple(round(255 - (255 - c) * 0.35) for c in wall)
    image = Image.new("RGB", (side, side), wall)
    floor = tuple(round(c * 0.85) for c in wall)
    ImageDraw.Draw(image).rectangle((0, round(side * rng.uniform(0.6, 0.8)), side, side), floor)
    return image


def _draw_shadow(image: Image.Image, view: np.ndarray, parts: Sequence[Part]) -> None:
    """A soft shadow under the lowest point; drawn at an eighth of the size, as it is blurred."""
    side = image.width // 8
    pixels = np.array(_to_pixels(view, np.concatenate([p.points for p in parts]), side))
    (left, _), (right, bottom) = pixels.min(0), pixels.max(0)
    shadow = Image.new("L", (side, side), 255)
    height = side * 0.05
    ellipse = (left, bottom - height, right, bottom + height)
    ImageDraw.Draw(shadow).ellipse(ellipse, 175)
    shadow = shadow.filter(ImageFilter.GaussianBlur(side * 0.04)).resize(image.size)
    image.paste(ImageChops.multiply(image, Image.merge("RGB", (shadow,) * 3)))


def _draw_lit(
    image: Image.Image, outline: Sequence[tuple[float, float]], fill: Image.Image | Colour
) -> None:
    """Fills `outline`, lit from the upper left as if it bulged towards the viewer."""
    softness = image.width / 60
    xs, ys = zip(*outline)
    margin = 3 * softness
    left, top = (max(0, int(min(v) - margin)) for v in (xs, ys))
    right, bottom = (min(image.width, int(max(v) + margin)) for v in (xs, ys))
    width, height = right - left, bottom - top
    if min(width, height) < 8:
        return  # Outside the picture, or too small to see.
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in outline], 255)
    blurred = mask.reduce(4).filter(ImageFilter.GaussianBlur(softness))
    bulge = np.asarray(blurred, np.float32) / 255
    slope = np.gradient(bulge, axis=0) + np.gradient(bulge, axis=1)
    light = np.clip(0.62 + 0.36 * bulge + 0.28 * slope * softness, 0, 1)
    shade = Image.fromarray((light * 255).astype(np.uint8)).resize(mask.size, Image.BILINEAR)
    if isinstance(fill, Image.Image):
        fill = fill.crop((left, top, right, bottom))
    else:
        fill = Image.new("RGB", mask.size, fill)
    lit = ImageChops.multiply(fill, Image.merge("RGB", (shade,) * 3))
    image.paste(lit, (left, top), mask)


def _texture(appearance: Appearance, view: np.ndarray, side: int) -> Image.Image:
    """The product's main colours and pattern over the whole picture, seen as the product is."""
    image = Image.new("RGB", (side, side), appearance.main)
    draw = ImageDraw.Draw(image)
    angle = math.radians(appearance.pattern_angle)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    polygons = _pattern(appearance.pattern)
    if not polygons:
        return image
    pitch = 1 if appearance.pattern == "halves" else appearance.pattern_pitch
    # All at once: a pattern has a hundred polygons.
    points = np.concatenate([points for points, _ in polygons])
    pixels = iter(_to_pixels(view, points * pitch @ turn, side))
    for points, second in polygons:
        fill = appearance.second if second else _between(appearance.main, appearance.second)
        draw.polygon(list(itertools.islice(pixels, len(points))), fill)
    return image


def _between(one: Colour, other: Colour) -> Colour:
    return tuple((a + b) // 2 for a, b in zip(one, other))


@functools.cache
def _pattern(name: str) -> list[tuple[np.ndarray, bool]]:
    """Polygons in units of the pitch, and whether they are full second colour or half way to it."""
    reach = 5  # The pitch times this is beyond the square.
    cells = [(x, y) for x in range(-reach, reach + 1) for y in range(-reach, reach + 1)]
    if name == "plain":
        return []
    if name == "halves":
        return [(box("", -3, 0, 3, 3).points, True)]
    if name == "stripes":
        return [(box("", -9, y - 0.25, 9, y + 0.25).points, True) for y in range(-reach, reach)]
    if name == "checks":
        rows = [box("", -9, y - 0.25, 9, y + 0.25).points for y in range(-reach, reach)]
        columns = [row[:, ::-1] for row in rows]
        crossings = [box("", x - 0.25, y - 0.25, x + 0.25, y + 0.25).points for x, y in cells]
        return [(p, False) for p in rows + columns] + [(p, True) for p in crossings]
    if name == "chevrons":
        x = np.arange(-2 * reach, 2 * reach + 1) / 2
        top = np.stack([x, np.abs(x % 2 - 1) - 0.25], 1)
        bottom = top + [0, 0.45]
        band = np.concatenate([top, bottom[::-1]])
        return [(band + [0, y], True) for y in range(-reach, reach)]
    if name == "dots":
        return [(oval("", x + y % 2 / 2, y, 0.27, 0.27).points, True) for x, y in cells]
    if name == "flowers":
        angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
        radius = 0.3 + 0.16 * np.cos(5 * angle)
    elif name == "stars":
        angle = np.arange(10) * np.pi / 5 - np.pi / 2
        radius = np.where(np.arange(10) % 2, 0.17, 0.44)
    else:
        raise ValueError(f"A pattern is one of {', '.join(PATTERNS)}. Received: {name!r}.")
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return [(outline + [x + y % 2 / 2, y], True) for x, y in cells]
