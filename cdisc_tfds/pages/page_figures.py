"""Pictures embedded in the page: charts, and the JPEGs of products."""

from __future__ import annotations

import base64
import re

from markupsafe import Markup

_LONGEST_NAME = 120  # bytes of a file name without number and extension; file systems allow 255


class Figures:
    """The charts on the page; it embeds each one, and keeps the PNG to write it to a file too.

    Attributes:
      pngs: file name -> PNG.
    """

    def __init__(self) -> None:
        self.pngs: dict[str, bytes] = {}

    def add(self, name: str, png: bytes, alt: str, caption: str = "", wide: bool = False) -> Markup:
        """Adds a chart and returns its HTML.

        Args:
          name: what its file name derives from.
          png: the chart.
          alt: what is shown without it.
          caption: the text below it.
          wide: whether it scrolls sideways on a phone, where it would be too small to read.
        """
        file_name = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-")[:_LONGEST_NAME]
        if f"{file_name}.png" in self.pngs:
            file_name += f"-{len(self.pngs)}"
        self.pngs[f"{file_name}.png"] = png
        return Markup(
            '<figure class="{}"><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>'
        ).format("wide" if wide else "", data_uri("image/png", png), alt, caption)


def data_uri(media_type: str, content: bytes) -> Markup:
    """A URL that contains the file itself, e.g. for the `src` of an `img`."""
    return Markup(f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}")
