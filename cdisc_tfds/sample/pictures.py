"""Draws product-like pictures on white for the generated sample competition.

The category determines the content of a picture: level 2 sets the *shape* (a mug, a shoe, ...),
level 3 sets the *pattern* and the *tone*. The rest varies between products (proportions, exact
colours, the pattern's pitch) and between the pictures of a product (angle, distance, backdrop,
occasionally only the carton). The module draws everything as polygons at twice the final size, in
the perspective of a homography, and then reduces the picture.
"""

from __future__ import annotations

import io
import itertools
import math
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from cdisc_tfds.sample.appearance import Appearance
from cdisc_tfds.sample.colours import BLACK, TONES, WHITE, Colour, blend, halfway, shade_of
from cdisc_tfds.sample.outlines import Part
from cdisc_tfds.sample.patterns import pattern_polygons
from cdisc_tfds.sample.shapes import CARTON, MATERIALS, SHAPES

SUPERSAMPLING = 2
JPEG_QUALITY = 85

# Chance that a picture after the first shows the carton instead of the product.
CARTON_CHANCE = 0.10


def draw_jpeg(appearance: Appearance, number: int, rng: random.Random, size: int) -> bytes:
    """A product's picture as an RGB JPEG.

    Args:
      appearance: the product.
      number: number of the picture, from 0. Picture 0 shows the product from the front.
      rng: chooses everything else; the same state gives the same bytes.
      size: side in pixels.
    """
    side = size * SUPERSAMPLING
    parts = SHAPES[appearance.shape]
    if number > 0 and rng.random() < CARTON_CHANCE:
        parts = CARTON
    view = _homography(appearance, number, rng)
    image = _backdrop(number, rng, side)
    _draw_shadow(image, view, parts)
    texture = _texture(appearance, view, side)
    for part in parts:
        outline = _to_pixels(view, part.points, side)
        fill: Image.Image | Colour
        if part.material == "main":
            fill = texture
        else:
            fill = appearance.accent if part.material == "accent" else MATERIALS[part.material]
        _draw_lit(image, outline, fill)
    file = io.BytesIO()
    image.reduce(SUPERSAMPLING).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def _homography(appearance: Appearance, number: int, rng: random.Random) -> np.ndarray:
    """Float [3, 3], maps the shape's square to the picture's, both from -1 to 1."""
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
    view: np.ndarray = place @ perspective @ stretch
    return view


def _to_pixels(view: np.ndarray, points: np.ndarray, side: int) -> list[tuple[float, float]]:
    projected = points @ view[:, :2].T + view[:, 2]
    pixels = (projected[:, :2] / projected[:, 2:] + 1) * (side / 2)
    return [(x, y) for x, y in pixels.tolist()]


def _backdrop(number: int, rng: random.Random, side: int) -> Image.Image:
    chance = rng.random()
    if chance > (0.06 if number == 0 else 0.25):
        return Image.new("RGB", (side, side), WHITE)
    wall = blend(WHITE, shade_of(rng.choice(list(TONES)), rng), 0.35)
    image = Image.new("RGB", (side, side), wall)
    floor = blend(BLACK, wall, 0.85)
    ImageDraw.Draw(image).rectangle((0, round(side * rng.uniform(0.6, 0.8)), side, side), floor)
    return image


def _draw_shadow(image: Image.Image, view: np.ndarray, parts: Sequence[Part]) -> None:
    """Draws a blurred shadow under the lowest point; an eighth of the resolution is enough."""
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
        return  # outside the picture, or too small to see
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in outline], 255)
    blurred = mask.reduce(4).filter(ImageFilter.GaussianBlur(softness))
    bulge = np.asarray(blurred, np.float32) / 255
    slope = np.gradient(bulge, axis=0) + np.gradient(bulge, axis=1)
    light = np.clip(0.62 + 0.36 * bulge + 0.28 * slope * softness, 0, 1)
    shade = Image.fromarray((light * 255).astype(np.uint8))
    shade = shade.resize(mask.size, Image.Resampling.BILINEAR)
    if isinstance(fill, Image.Image):
        fill = fill.crop((left, top, right, bottom))
    else:
        fill = Image.new("RGB", mask.size, fill)
    lit = ImageChops.multiply(fill, Image.merge("RGB", (shade,) * 3))
    image.paste(lit, (left, top), mask)


def _texture(appearance: Appearance, view: np.ndarray, side: int) -> Image.Image:
    """The product's main colours and pattern over the whole picture, in the same perspective."""
    image = Image.new("RGB", (side, side), appearance.main)
    draw = ImageDraw.Draw(image)
    angle = math.radians(appearance.pattern_angle)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    polygons = pattern_polygons(appearance.pattern)
    if not polygons:
        return image
    pitch = 1 if appearance.pattern == "halves" else appearance.pattern_pitch
    # Transform all points at once, because a pattern has a hundred polygons.
    points = np.concatenate([points for points, _ in polygons])
    pixels = iter(_to_pixels(view, points * pitch @ turn, side))
    for points, second in polygons:
        fill = appearance.second if second else halfway(appearance.main, appearance.second)
        draw.polygon(list(itertools.islice(pixels, len(points))), fill)
    return image
