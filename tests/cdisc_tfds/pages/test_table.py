"""Tables and their cells: all is escaped but markup."""

from markupsafe import Markup

from cdisc_tfds.pages.table import share, table, with_note
from tests.helpers.html_checks import assert_well_formed

_NASTY = '<script>alert("&")</script>'
_ESCAPED = "&lt;script&gt;alert(&#34;&amp;&#34;)&lt;/script&gt;"


def test_table_is_well_formed_and_escapes_all_but_markup():
    columns = [("a <b>", ""), ("b", "number")]
    text = table(columns, [[_NASTY, 1], [None, 2], [Markup("<i>x</i>"), with_note(_NASTY, _NASTY)]])
    assert_well_formed(text)
    assert isinstance(text, Markup)
    assert _NASTY not in text
    assert text.count(_ESCAPED) == 3
    assert '<th class="">a &lt;b&gt;</th>' in text
    assert '<td class="">–</td>' in text
    assert '<td class="number">2</td>' in text
    assert '<td class=""><i>x</i></td>' in text


def test_braces_in_a_value_are_no_placeholders():
    assert '<td class="">{0} {} {x}</td>' in table([("a", "")], [["{0} {} {x}"]])


def test_notes_and_shares():
    assert with_note("a<", "b<") == 'a&lt;<div class="note">b&lt;</div>'
    assert with_note("a<", "") == "a&lt;"
    assert share(0.24244) == "0.2424"
    assert share(0) == "0.0000"
    assert share(None) is None
