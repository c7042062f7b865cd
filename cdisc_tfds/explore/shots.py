"""Pictures of the data set on the page: a row of thumbnails with captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from cdisc_tfds.explore.pictures import Place, thumbnail
from cdisc_tfds.pages.page_figures import data_uri


def shots(places: Sequence[tuple[Place, Markup | str]], pictures: Mapping[Place, bytes]) -> Markup:
    """A row of pictures.

    Args:
      places: the pictures, each with its caption.
      pictures: the JPEG file at each place.
    """
    return Markup('<div class="shots">{}</div>').format(
        Markup("\n").join(
            Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(
                _image(pictures[place]), caption
            )
            for place, caption in places
        )
    )


def _image(jpeg: bytes) -> Markup:
    small = thumbnail(jpeg)
    if small is None:
        return Markup('<span class="lost">cannot be decoded</span>')
    return Markup('<img src="{}" alt="" loading="lazy">').format(data_uri("image/jpeg", small))
