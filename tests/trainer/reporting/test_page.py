"""HTML of a report: all is escaped, pictures are embedded, right and wrong are told apart."""

import base64
import html.parser

from trainer.reporting.figures import MARKERS, Style, style_of
from trainer.reporting.page import (
    Figures,
    Html,
    joined,
    markup,
    page,
    product_card,
    run_key,
    share,
    table,
    with_note,
)

_NASTY = '<script>alert("&")</script>'
_ESCAPED = "&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;"


class _Balance(html.parser.HTMLParser):
    """Checks that every element that must be closed is closed by its own tag."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _assert_well_formed(text):
    parser = _Balance()
    parser.feed(text)
    assert parser.open == []


def test_markup_escapes_all_but_html():
    assert markup("<b>{}</b>{}", _NASTY, Html("<i>")) == f"<b>{_ESCAPED}</b><i>"
    assert markup("{}", "{0} {}") == "{0} {}"
    assert isinstance(joined([markup("a"), markup("b")]), Html)


def test_page_is_well_formed_and_escapes():
    text = page(
        _NASTY,
        markup("<p>intro</p>"),
        [("runs", "Runs & more", table([("a", ""), ("b", "number")], [[_NASTY, 1], [None, 2]]))],
    )
    _assert_well_formed(text)
    assert _NASTY not in text
    assert text.count(_ESCAPED) == 3  # title, heading, cell
    assert '<a href="#runs">Runs &amp; more</a>' in text
    assert '<section id="runs">' in text
    assert '<td class="">–</td>' in text
    assert '<td class="number">2</td>' in text


def test_figures_are_embedded_and_kept():
    figures = Figures()
    text = figures.add("confusions a/b on train[80%:]", b"\x89PNG bytes", "curves", "A <caption>")
    assert base64.b64encode(b"\x89PNG bytes").decode() in text
    assert "data:image/png;base64," in text
    assert "A &lt;caption&gt;" in text
    figures.add("confusions a-b on train[80%]", b"other", "curves")
    assert figures.pngs == {
        "confusions-a-b-on-train-80.png": b"\x89PNG bytes",
        "confusions-a-b-on-train-80-1.png": b"other",
    }


def test_notes_and_shares():
    assert with_note("a<", "b<") == 'a&lt;<div class="note">b&lt;</div>'
    assert with_note("a<", "") == "a&lt;"
    assert share(0.24244) == "0.2424"
    assert share(0) == "0.0000"
    assert share(None) is None


def test_run_key_has_the_shape_of_every_style():
    keys = {run_key("run", style_of(place)) for place in range(84)}
    assert len(keys) == 84
    for marker in MARKERS:
        filled, hollow = (run_key("r", Style("#000000", marker, h)) for h in (False, True))
        assert filled != hollow
    assert "color: #0072B2" in run_key("run", style_of(0))


def test_card_of_a_wrong_product():
    card = product_card(1234, [b"one", b"two"], "A > B > <leaf>", "C > D > other", 0.98765)
    _assert_well_formed(card)
    assert 'class="card wrong"' in card
    assert card.count("data:image/jpeg;base64,") == 2
    assert base64.b64encode(b"two").decode() in card
    assert 'A &gt; B &gt; <span class="leaf">&lt;leaf&gt;</span>' in card
    assert 'C &gt; D &gt; <span class="leaf">other</span>' in card
    assert "98.8%" in card
    assert "1234" in card


def test_card_of_a_right_product_names_it_once():
    card = product_card(1, [], "BOOKS", "BOOKS", 0.5)
    assert 'class="card right"' in card
    assert card.count("BOOKS") == 1
