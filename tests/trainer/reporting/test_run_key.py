"""The runs' keys."""

from trainer.reporting.run_key import run_key
from trainer.reporting.run_styles import MARKERS, Style, style_of

_NASTY = '<script>alert("&")</script>'
_ESCAPED = "&lt;script&gt;alert(&#34;&amp;&#34;)&lt;/script&gt;"


def test_a_runs_name_is_escaped():
    key = run_key(_NASTY, style_of(0))
    assert _ESCAPED in key and _NASTY not in key


def test_run_key_has_the_shape_of_every_style():
    keys = {run_key("run", style_of(place)) for place in range(84)}
    assert len(keys) == 84
    for marker in MARKERS:
        filled, hollow = (run_key("r", Style("#000000", marker, h)) for h in (False, True))
        assert filled != hollow
    assert "color: #0072B2" in run_key("run", style_of(0))
