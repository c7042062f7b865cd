"""The chart of specialists."""

from tests.helpers.png_checks import has_colour, image_of
from trainer.reporting.run_styles import style_of
from trainer.reporting.specialists_chart import specialists_chart


def test_specialists_chart_grows_with_their_number():
    few = image_of(specialists_chart(["A", "B"], [0.5, 1.0], style_of(1).colour))
    many = specialists_chart(["NAME"] * 49, [0.5] * 49, style_of(1).colour)
    assert has_colour(many, style_of(1).colour)
    assert few.height < 200 < 1000 < image_of(many).height < 1500
