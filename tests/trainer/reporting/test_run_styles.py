"""Styles of runs."""

from trainer.reporting.run_styles import style_of


def test_styles_differ():
    styles = [style_of(place) for place in range(84)]
    assert len(set(styles)) == 84
    assert len({style.colour for style in styles[:7]}) == 7
