"""Outlines of parts as polygons: boxes, ovals, arcs, bars and smooth curves."""

from __future__ import annotations

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Part:
    """A polygon and its material.

    Attributes:
      points: float64 [n, 2], x and y in a square from -1 to 1, y downwards.
      material: "main" (the product's colours and pattern), "accent", or one of `MATERIALS`.
    """

    points: np.ndarray
    material: str


def poly(material: str, *points: tuple[float, float]) -> Part:
    """A polygon with these corners."""
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
    """An ellipse around (x, y) with the radii rx and ry."""
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
