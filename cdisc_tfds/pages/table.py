"""Tables of a page, and the contents of their cells: shares, notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from cdisc_tfds.pages.table_sorting import SORTABLE


def table(
    columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]], sortable: bool = False
) -> Markup:
    """A table; it escapes everything but Markup.

    Args:
      columns: (heading, CSS classes) of each; the class `number` aligns a column to the right.
      rows: a value for each column; None appears as a dash.
      sortable: whether a click on a heading sorts the rows. The table then scrolls within a box.
    """
    head = Markup("\n").join(
        Markup('<th class="{}">{}</th>').format(css, heading) for heading, css in columns
    )
    body = Markup("\n").join(
        Markup("<tr>{}</tr>").format(
            Markup("\n").join(
                Markup('<td class="{}">{}</td>').format(css, "–" if value is None else value)
                for (_, css), value in zip(columns, row, strict=True)
            )
        )
        for row in rows
    )
    return Markup(
        '<div class="scroll{}"><table class="{}">\n<thead><tr>{}</tr></thead>\n<tbody>\n{}\n'
        "</tbody>\n</table></div>"
    ).format(*((" box", SORTABLE) if sortable else ("", "")), head, body)


def with_note(text: object, note: str) -> Markup:
    """The text with a smaller note below it; just the text if the note is empty."""
    return Markup('{}<div class="note">{}</div>').format(text, note) if note else escape(text)


def share(value: float | None) -> str | None:
    """A share, 0 to 1, with four decimals as in the study; None stays None."""
    return None if value is None else f"{value:.4f}"
