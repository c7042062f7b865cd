"""HTML of a report: one page that needs no other file, from tables, figures and product cards."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Sequence

from trainer.reporting.figures import Style

# Unicode shapes for the markers of the figures, filled and hollow.
_SHAPES = dict(zip("osD^vPX<>ph*", "●■◆▲▼✚✖◀▶⬟⬢★"))
_HOLLOW_SHAPES = dict(zip("osD^vPX<>ph*", "○□◇△▽✛✕◁▷⬠⬡☆"))

_CSS = """
body { margin: 2rem auto; max-width: 86rem; padding: 0 1.5rem; color: #222;
       font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; }
h2 { font-size: 1.2rem; margin-top: 2.6rem; border-bottom: 1px solid #ddd; padding-bottom: .3rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .5rem; }
p, figcaption { max-width: 56rem; }
nav a { margin-right: 1.2rem; color: #0072b2; text-decoration: none; }
pre { background: #f4f4f4; padding: .6rem .8rem; border-radius: 4px; font-size: .85em;
      overflow-x: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .84rem; line-height: 1.3; }
th { text-align: left; vertical-align: bottom; font-weight: 600; border-bottom: 2px solid #999; }
th, td { padding: .3rem .45rem; }
td { border-bottom: 1px solid #e6e6e6; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td:first-child { white-space: nowrap; }
.published { background: #f6f6f6; }
.key { display: inline-block; width: 1.3em; }
.note { color: #666; }
td .note { font-size: .85em; min-width: 6rem; max-width: 13rem; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
.beside { display: flex; flex-wrap: wrap; gap: 0 4rem; }
.beside > div { max-width: 100%; }
figure img { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: .88rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem; }
.card { border: 1px solid #ddd; border-top: 4px solid #d55e00; border-radius: 4px;
        padding: .7rem; font-size: .82rem; overflow-wrap: anywhere; }
.card.right { border-top-color: #009e73; }
.pictures { display: flex; gap: .3rem; min-height: 8.4rem; margin-bottom: .5rem; }
.pictures img { flex: 0 1 8.4rem; min-width: 0; object-fit: contain; object-position: top left; }
.card dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem .6rem; margin: 0; }
.card dt { color: #777; }
.card dd { margin: 0; }
.card .leaf { font-weight: 600; }
@media print { .card, figure { break-inside: avoid; } }
"""


class Html(str):
    """Text that is HTML already; everything else is escaped."""


def markup(template: str, *values: object) -> Html:
    """Fills the `{}` of a template with values, escaped unless they are Html."""
    return Html(template.format(*(_escaped(value) for value in values)))


def joined(parts: Iterable[Html], separator: str = "\n") -> Html:
    """One Html of many."""
    return Html(separator.join(parts))


def page(title: str, introduction: Html, sections: Sequence[tuple[str, str, Html]]) -> str:
    """The whole page.

    Args:
      title: heading.
      introduction: below it.
      sections: (anchor, heading, body) in their order.
    """
    links = joined(markup('<a href="#{}">{}</a>', *section[:2]) for section in sections)
    bodies = joined(
        markup('<section id="{}">\n<h2>{}</h2>\n{}\n</section>', *section) for section in sections
    )
    return markup(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<h1>{}</h1>\n{}\n"
        "<nav>{}</nav>\n{}\n</body>\n</html>\n",
        title,
        Html(_CSS),
        title,
        introduction,
        links,
        bodies,
    )


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]) -> Html:
    """A table.

    Args:
      columns: (heading, CSS classes), among them `number` to align right.
      rows: a value for each column; None is shown as a dash.
    """
    head = joined(markup('<th class="{}">{}</th>', css, heading) for heading, css in columns)
    body = joined(
        markup(
            "<tr>{}</tr>",
            joined(
                markup('<td class="{}">{}</td>', css, "–" if value is None else value)
                for (_, css), value in zip(columns, row, strict=True)
            ),
        )
        for row in rows
    )
    return markup(
        '<div class="scroll"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody>\n'
        "</table></div>",
        head,
        body,
    )


class Figures:
    """The page's figures: embedded in it, and kept to be written beside it.

    Attributes:
      pngs: file name -> PNG.
    """

    def __init__(self):
        self.pngs: dict[str, bytes] = {}

    def add(self, name: str, png: bytes, alt: str, caption: str = "") -> Html:
        """Takes a figure in; `name` makes its file's name."""
        file_name = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-")
        if f"{file_name}.png" in self.pngs:
            file_name += f"-{len(self.pngs)}"
        self.pngs[f"{file_name}.png"] = png
        return markup(
            '<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>',
            _data_uri("image/png", png),
            alt,
            caption,
        )


def with_note(text: object, note: str) -> Html:
    """Something with a smaller note below, if there is one."""
    return markup('{}<div class="note">{}</div>', text, note) if note else markup("{}", text)


def share(value: float | None) -> str | None:
    """A share, 0 to 1, as the study writes it."""
    return None if value is None else f"{value:.4f}"


def run_key(name: str, style: Style) -> Html:
    """A run's name behind its marker in its colour."""
    shape = (_HOLLOW_SHAPES if style.hollow else _SHAPES)[style.marker]
    return markup(
        '<span class="key" style="color: {}">{}</span>{}', Html(style.colour), shape, name
    )


def product_card(
    product_id: int,
    pictures: Sequence[bytes],
    true_name: str,
    predicted_name: str,
    probability: float,
) -> Html:
    """One predicted product: its JPEGs, what it is and what it was taken for.

    Names are paths (`level 1 > level 2 > level 3`), of which the last part is set in bold.
    """
    right = true_name == predicted_name
    images = joined(
        markup('<img src="{}" alt="product {}">', _data_uri("image/jpeg", picture), product_id)
        for picture in pictures
    )
    rows = [("predicted", _path(predicted_name)), ("probability", f"{probability:.1%}")]
    if not right:
        rows.insert(0, ("true", _path(true_name)))
    return markup(
        '<div class="card {}"><div class="pictures">{}</div><dl>{}</dl></div>',
        "right" if right else "wrong",
        images,
        joined(
            markup("<dt>{}</dt><dd>{}</dd>", *row) for row in [*rows, ("product", str(product_id))]
        ),
    )


def _path(name: str) -> Html:
    before, arrow, leaf = name.rpartition(" > ")
    return markup('{}<span class="leaf">{}</span>', before + arrow, leaf)


def _data_uri(media_type: str, content: bytes) -> Html:
    return Html(f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}")


def _escaped(value: object) -> str:
    return value if isinstance(value, Html) else html.escape(str(value))
