"""The page: well-formed, and it escapes all but markup."""

from markupsafe import Markup

from cdisc_tfds.pages.page import page
from tests.helpers.html_checks import assert_well_formed

_NASTY = '<script>alert("&")</script>'
_ESCAPED = "&lt;script&gt;alert(&#34;&amp;&#34;)&lt;/script&gt;"


def test_page_is_well_formed_and_escapes():
    text = page(
        _NASTY,
        Markup("<p>intro</p>"),
        [("runs", "Runs & more", Markup("<p>{}</p>").format(_NASTY)), ("x", _NASTY, Markup())],
    )
    assert_well_formed(text)
    assert _NASTY not in text
    assert text.count(_ESCAPED) == 5  # title, heading, body; the last section's link and heading
    assert '<a href="#runs">Runs &amp; more</a>' in text
    assert '<section id="runs">' in text
    assert "<p>intro</p>" in text
