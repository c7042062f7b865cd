"""Pictures within the page: charts, and JPEGs of products."""

from __future__ import annotations

import base64
import re

from markupsafe import Markup


class Figures:
    """The page's figures: embedded in it, and kept to be written beside it.

    Attributes:
      pngs: file name -> PNG.
    """

    def __init__(self):
        self.pngs: dict[str, bytes] = {}

    def add(self, name: str, png: bytes, alt: str, caption: str = "") -> Markup:
        """Takes a figure in; `name` makes its file's name."""
        file_name = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-")
        if f"{file_name}.png" in self.pngs:
            file_name += f"-{len(self.pngs)}"
        self.pngs[f"{file_name}.png"] = png
        return Markup('<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
            data_uri("image/png", png),
            alt,
            caption,
        )


def data_uri(media_type: str, content: bytes) -> Markup:
    """The content of a file as a URL, e.g. for an `img`'s `src`."""
    return Markup(f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}")
