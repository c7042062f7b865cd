"""What all charts share."""

from cdisc_tfds.pages.chart_drawing import shortened


def test_shortened_names_keep_both_ends():
    assert shortened("abc", 3) == "abc"
    assert shortened("abcdefghijkl", 9) == "abcde…jkl"
