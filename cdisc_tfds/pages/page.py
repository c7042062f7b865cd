"""A page: one HTML file that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.table_sorting import SORTABLE, SORTING

_CSS = """
body { margin: 2rem auto; max-width: 86rem; padding: 0 1.5rem; color: #222;
       font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; }
h2 { font-size: 1.2rem; margin-top: 2.6rem; border-bottom: 1px solid #ddd; padding-bottom: .3rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .5rem; }
p, figcaption { max-width: 56rem; overflow-wrap: anywhere; }
nav a { margin-right: 1.2rem; color: #0072b2; text-decoration: none; }
pre { background: #f4f4f4; padding: .6rem .8rem; border-radius: 4px; font-size: .85em;
      overflow-x: auto; }
.scroll { overflow-x: auto; }
.box { max-height: 34rem; overflow-y: auto; border: 1px solid #ddd; width: fit-content;
       max-width: 100%; }
.sortable th { position: sticky; top: 0; background: #fff; border: 0;
               box-shadow: inset 0 -2px #999; }
.sortable th button { all: unset; cursor: pointer; }
.sortable th button:focus-visible { outline: 2px solid #0072b2; }
.sortable th[aria-sort="descending"] button::after { content: " ▼"; }
.sortable th[aria-sort="ascending"] button::after { content: " ▲"; }
.sortable td:first-child { white-space: normal; min-width: 11rem; overflow-wrap: anywhere; }
.sortable td .note { max-width: 22rem; }
table { border-collapse: collapse; font-size: .84rem; line-height: 1.3; }
th { text-align: left; vertical-align: bottom; font-weight: 600; border-bottom: 2px solid #999; }
th, td { padding: .3rem .45rem; }
td { border-bottom: 1px solid #e6e6e6; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
td:first-child { white-space: nowrap; }
.published { background: #f6f6f6; }
.key { display: inline-block; width: 1.3em; }
.note { color: #666; }
.stale { color: #b34700; font-weight: 600; }
td .note { font-size: .85em; min-width: 6rem; max-width: 13rem; overflow-wrap: anywhere; }
td.number .note { min-width: 0; max-width: none; }
figure { margin: 1rem 0; }
.beside { display: flex; flex-wrap: wrap; gap: 0 4rem; }
.beside > div { max-width: 100%; }
.beside figcaption { max-width: 29rem; }
figure img { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: .88rem; }
.cards { display: grid; gap: 1rem;
         grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); }
.card { border: 1px solid #ddd; border-top: 4px solid #d55e00; border-radius: 4px;
        padding: .7rem; font-size: .82rem; overflow-wrap: anywhere; }
.card.right { border-top-color: #009e73; }
.pictures { display: flex; gap: .3rem; min-height: 8.4rem; margin-bottom: .5rem; }
.pictures img { flex: 0 1 8.4rem; min-width: 0; object-fit: contain; object-position: top left; }
.card dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem .6rem; margin: 0; }
.card dt { color: #777; }
.card dd { margin: 0; }
.leaf { font-weight: 600; }
details > summary { cursor: pointer; padding: .15rem 0; }
details details, details > .rows { margin-left: 1.1rem; }
.row { display: grid; grid-template-columns: minmax(0, 1fr) 5rem minmax(9rem, auto);
       gap: .8rem; align-items: center; font-size: .88rem; max-width: 56rem; }
summary > .row { display: inline-grid; width: calc(100% - 1.5rem); vertical-align: middle; }
.row > :first-child { overflow-wrap: anywhere; }
.bar { display: block; height: .7em; background: #0072b2; border-radius: 2px; }
.cells { display: grid; gap: 0 1.5rem;
         grid-template-columns: repeat(auto-fill, minmax(min(31rem, 100%), 1fr)); }
.shots { display: flex; flex-wrap: wrap; gap: .4rem; margin: .3rem 0 1rem; }
.shots figure { margin: 0; width: 7rem; font-size: .75rem; color: #555; overflow-wrap: anywhere; }
.shots img { width: 7rem; height: 7rem; object-fit: contain; background: #f4f4f4;
             image-orientation: none; }
.shots .lost { display: block; height: 7rem; padding: .5rem; box-sizing: border-box;
               background: #f4f4f4; }
.shots .right img { outline: 3px solid #009e73; outline-offset: -3px; }
.shots .wrong img { outline: 3px solid #d55e00; outline-offset: -3px; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; padding: 0 .8rem; }
  figure.wide { overflow-x: auto; } .wide img { max-width: none; width: 62rem; }
  .row { grid-template-columns: minmax(0, 1fr) auto; }
  .row .track { display: none; }
  .shots figure, .shots img { width: 5.2rem; } .shots img, .shots .lost { height: 5.2rem; }
}
@media print { .card, figure { break-inside: avoid; } .box { max-height: none; } }
"""


def page(title: str, introduction: Markup, sections: Sequence[tuple[str, str, Markup]]) -> str:
    """The whole page as HTML; it escapes everything but Markup.

    Args:
      title: the page's title and heading.
      introduction: the text below the heading.
      sections: (anchor, heading, body) of each, in order.
    """
    links = Markup("\n").join(
        Markup('<a href="#{}">{}</a>').format(*section[:2]) for section in sections
    )
    bodies = Markup("\n").join(
        Markup('<section id="{}">\n<h2>{}</h2>\n{}\n</section>').format(*section)
        for section in sections
    )
    return Markup(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<h1>{}</h1>\n{}\n"
        "<nav>{}</nav>\n{}\n{}</body>\n</html>\n"
    ).format(
        title,
        Markup(_CSS),
        title,
        introduction,
        links,
        bodies,
        SORTING + "\n" if f'<table class="{SORTABLE}">' in bodies else "",
    )
