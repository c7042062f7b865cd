"""Tables of a page, and the contents of their cells: shares, notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]) -> Markup:
    """A table; it escapes everything but Markup.

    Args:
      columns: (heading, CSS classes) of each; the class `number` aligns a column to the right.
      rows: a value for each column; None appears as a dash.
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
        '<div class="scroll"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody>\n'
        "</table></div>"
    ).format(head, body)


def with_note(text: object, note: str) -> Markup:
    """The text with a smaller note below it; just the text if the note is empty."""
    return Markup('{}<div class="note">{}</div>').format(text, note) if note else escape(text)


def share(value: float | None) -> str | None:
    """A share, 0 to 1, with four decimals as in the study; None stays None."""
    return None if value is None else f"{value:.4f}"
