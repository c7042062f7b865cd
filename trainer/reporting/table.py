"""Tables of a report, and what their cells show: runs, shares, notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from trainer.reporting.run_styles import Style

# Unicode shapes for the markers of the figures, filled and hollow.
_SHAPES = dict(zip("osD^vPX<>ph*", "●■◆▲▼✚✖◀▶⬟⬢★"))
_HOLLOW_SHAPES = dict(zip("osD^vPX<>ph*", "○□◇△▽✛✕◁▷⬠⬡☆"))


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]) -> Markup:
    """A table.

    Args:
      columns: (heading, CSS classes), among them `number` to align right.
      rows: a value for each column; None is shown as a dash.
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
    """Something with a smaller note below, if there is one."""
    return Markup('{}<div class="note">{}</div>').format(text, note) if note else escape(text)


def share(value: float | None) -> str | None:
    """A share, 0 to 1, as the study writes it."""
    return None if value is None else f"{value:.4f}"


def run_key(name: str, style: Style) -> Markup:
    """A run's name behind its marker in its colour."""
    shape = (_HOLLOW_SHAPES if style.hollow else _SHAPES)[style.marker]
    return Markup('<span class="key" style="color: {}">{}</span>{}').format(
        style.colour, shape, name
    )
