"""Links between pages that lie on the same disk."""

from __future__ import annotations

import os
import pathlib
import urllib.parse

from markupsafe import Markup


def link_to(target: str | os.PathLike[str], page: str | os.PathLike[str], text: str) -> Markup:
    """A link from one page to another, which works as long as both move together.

    Args:
      target: the file that the link leads to.
      page: the file that will hold the link.
      text: what to click on.
    """
    # Where links of the file system end, so that `..` leads where the browser goes.
    source = pathlib.Path(page).absolute().parent.resolve()
    path = pathlib.Path(os.path.relpath(pathlib.Path(target).resolve(), source)).as_posix()
    return Markup('<a href="{}">{}</a>').format(urllib.parse.quote(path), text)
