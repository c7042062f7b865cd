"""What all charts share."""

from matplotlib.figure import Figure

from cdisc_tfds.pages.chart_drawing import chart_look, logarithmic, shortened


def test_shortened_names_keep_both_ends():
    assert shortened("abc", 3) == "abc"
    assert shortened("abcdefghijkl", 9) == "abcde…jkl"


def test_logarithmic_axes_have_whole_numbers():
    with chart_look():
        figure = Figure()
        ax = figure.subplots()
        ax.set_xscale("log")
        ax.set_xlim(1, 30)
        logarithmic(ax.xaxis)
        figure.draw_without_rendering()
        ticks = zip(ax.get_xticks(), ax.get_xticklabels())
        labels = [label.get_text() for place, label in ticks if 1 <= place <= 30]
        assert labels == ["1", "2", "5", "10", "20"]
        assert not any(label.get_text() for label in ax.get_xticklabels(minor=True))
