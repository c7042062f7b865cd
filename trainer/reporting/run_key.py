"""A run's key: its marker as in the charts, and its name."""

from __future__ import annotations

from markupsafe import Markup

from trainer.reporting.run_styles import Style

# Unicode shapes that match the markers of the charts, filled and hollow.
_SHAPES = dict(zip("osD^vPX<>ph*", "●■◆▲▼✚✖◀▶⬟⬢★"))
_HOLLOW_SHAPES = dict(zip("osD^vPX<>ph*", "○□◇△▽✛✕◁▷⬠⬡☆"))


def run_key(name: str, style: Style) -> Markup:
    """The run's marker in its colour, then its name."""
    shape = (_HOLLOW_SHAPES if style.hollow else _SHAPES)[style.marker]
    return Markup('<span class="key" style="color: {}">{}</span>{}').format(
        style.colour, shape, name
    )
