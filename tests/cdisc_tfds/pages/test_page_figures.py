"""Pictures within the page."""

import base64

from cdisc_tfds.pages.page_figures import Figures


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


def test_long_names_are_cut():
    """As of an evaluation on a split of many parts."""
    figures = Figures()
    for png in (b"one", b"two"):
        figures.add("confusions run on " + "train[0:1]+" * 60, png, "confusions")
    assert sorted(figures.pngs.values()) == [b"one", b"two"]
    assert all(len(name) < 140 for name in figures.pngs)
