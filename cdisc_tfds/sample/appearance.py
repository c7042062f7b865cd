"""The traits that all pictures of one sample product share."""

from __future__ import annotations

import dataclasses
import random

from cdisc_tfds.sample.colours import BLACK, TONES, WHITE, Colour, blend, shade_of

# Chance that a product's tone differs from its category's: real categories are not tidy either.
OTHER_TONE = 0.10


@dataclasses.dataclass(frozen=True)
class Appearance:
    """The traits that all pictures of one product share.

    Attributes:
      shape: one of `SHAPES`.
      pattern: one of `PATTERNS`.
      main, second: colours of the main parts and of their pattern.
      accent: colour of the accents.
      stretch: scale factors of width and height.
      pattern_pitch: in units of the shape's square.
      pattern_angle, tilt: in degrees.
    """

    shape: str
    pattern: str
    main: Colour
    second: Colour
    accent: Colour
    stretch: tuple[float, float]
    pattern_pitch: float
    pattern_angle: float
    tilt: float

    @classmethod
    def of_product(cls, shape: str, pattern: str, tone: str, rng: random.Random) -> Appearance:
        """A random product of the category that `shape`, `pattern` and `tone` describe."""
        if rng.random() < OTHER_TONE:
            tone = rng.choice(list(TONES))
        main = shade_of(tone, rng)
        pale, deep = blend(main, WHITE, 0.75), blend(BLACK, main, 0.45)
        return cls(
            shape=shape,
            pattern=pattern,
            main=main,
            second=rng.choice([pale, deep, (250, 250, 250)]),
            accent=shade_of(rng.choice(list(TONES)), rng),
            stretch=(rng.uniform(0.82, 1.1), rng.uniform(0.85, 1.08)),
            pattern_pitch=rng.uniform(0.24, 0.4),
            pattern_angle=rng.choice([0, 0, 90, 45]) + rng.gauss(0, 4),
            tilt=rng.gauss(0, 5) if rng.random() < 0.7 else rng.uniform(-40, 40),
        )
