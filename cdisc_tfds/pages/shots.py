"""Pictures of the data set on a page: a row of thumbnails with captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from cdisc_tfds.pages.page_figures import data_uri
from cdisc_tfds.pages.thumbnail import thumbnail


class Shot(NamedTuple):
    """A picture with its caption.

    Attributes:
      jpeg: the JPEG file; None if the product has no picture.
      caption: the text below it.
      css: `right` or `wrong`, of a prediction; empty otherwise.
    """

    jpeg: bytes | None
    caption: Markup | str
    css: str = ""


def shots(shown: Sequence[Shot]) -> Markup:
    """A row of pictures."""
    return Markup('<div class="shots">{}</div>').format(
        Markup("\n").join(
            Markup('<figure class="{}">{}<figcaption>{}</figcaption></figure>').format(
                shot.css, _image(shot.jpeg), shot.caption
            )
            for shot in shown
        )
    )


def _image(jpeg: bytes | None) -> Markup:
    if jpeg is None:
        return Markup('<span class="lost">no picture</span>')
    small = thumbnail(jpeg)
    if small is None:
        return Markup('<span class="lost">cannot be decoded</span>')
    return Markup('<img src="{}" alt="" loading="lazy">').format(data_uri("image/jpeg", small))
