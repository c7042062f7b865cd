"""The page for people: drop the photos of a product, see its categories and similar products."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import importlib.resources
import re

from markupsafe import escape

MOST_PHOTOS = 4  # of a product, as in the competition
# What the page has only with similar products.
_SIMILAR = re.compile(r"<!-- similar -->\n(.*?)<!-- /similar -->\n", re.DOTALL)
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Page:
    """The page.

    Attributes:
      html: in UTF-8; it needs no other file.
      headers: with them, a browser runs the page's own script and nothing else.
    """

    html: bytes
    headers: dict[str, str]


def page(title: str, description: str, similar: str | None = None) -> Page:
    """Fills in the page's template.

    Args:
      title, description: plain text; it is escaped.
      similar: what the similar products are taken from, plain text; None: there are none.
    """
    template = importlib.resources.files("trainer.service").joinpath("page.html")
    text = template.read_text(encoding="utf-8")
    hashes = {tag: _csp_hash(content) for tag, content in _INLINE.findall(text)}
    text = _SIMILAR.sub("" if similar is None else r"\1", text)
    for name, value in (
        ("title", title),
        ("description", description),
        ("most_photos", str(MOST_PHOTOS)),
        ("similar", similar or ""),
    ):
        text = text.replace(f"[[{name}]]", str(escape(value)))
    pictures = "blob: data:" if similar is None else "blob: data: 'self'"
    policy = (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; "
        f"img-src {pictures}; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return Page(text.encode(), headers)


def _csp_hash(content: str) -> str:
    """The hash that lets a browser use an inline script or style."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
