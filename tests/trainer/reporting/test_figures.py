"""Figures of a report: what they pick, that texts keep apart, and that the PNGs are pictures."""

import dataclasses
import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.helpers.fake_runs import history
from trainer.reporting import figures as report_figures
from trainer.reporting.figures import Confusion, Curve, style_of


def _curve(place=0, epochs=4, name="run", published=None):
    return Curve(
        name,
        style_of(place),
        history([0.1 * epoch for epoch in range(epochs)]),
        epochs - 1,
        published or {},
    )


def _image(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def _has_colour(png, colour):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    pixels = np.asarray(_image(png).convert("RGB"), int)
    return np.all(np.abs(pixels - wanted) < 24, axis=-1).any()  # lines have soft edges


def test_styles_differ():
    styles = [style_of(place) for place in range(84)]
    assert len(set(styles)) == 84
    assert len({style.colour for style in styles[:7]}) == 7


def test_curves_are_drawn_in_each_runs_colour_and_in_a_row_for_each_group():
    one = report_figures.curves_figure([("categories", [_curve(0), _curve(1)])])
    two = report_figures.curves_figure([("categories", [_curve(0)]), ("level 1", [_curve(1)])])
    for png in (one, two):
        assert _has_colour(png, style_of(0).colour)
        assert _has_colour(png, style_of(1).colour)
        assert not _has_colour(png, style_of(2).colour)
    assert _image(two).height > 1.7 * _image(one).height


def test_published_value_is_drawn_without_a_curve():
    for values in ((0.2424,), (0.5756, 0.3516, 0.3504)):
        curve = _curve(0, epochs=0, published={"val_accuracy": values})
        assert _has_colour(report_figures.curves_figure([("t", [curve])]), style_of(0).colour)


def test_one_published_value_of_several_runs_is_written_once():
    curves = [
        _curve(0, published={"val_accuracy": (0.4,)}),
        _curve(1, published={"val_accuracy": (0.2,)}),
        _curve(2, published={"val_accuracy": (0.4,)}),
        _curve(3, published={"val_accuracy": (0.5, 0.6)}),  # drawn, each at its epoch
    ]
    published = report_figures._published(curves, "val_accuracy")
    assert published == [(0.2, style_of(1).colour), (0.4, style_of(2).colour)]
    assert report_figures._published(curves, "val_product_accuracy") == []


@pytest.mark.parametrize("epochs", [0, 1])
def test_curves_of_few_epochs(epochs):
    _image(report_figures.curves_figure([("t", [_curve(epochs=epochs)])]))


def test_values_that_are_not_finite_are_left_out():
    rows = history([0.1, 0.2, 0.3])
    rows[1] = dataclasses.replace(rows[1], val_loss=float("nan"))
    rows[2] = dataclasses.replace(rows[2], val_loss=float("inf"))
    curve = Curve("run", style_of(0), rows, 0, {})
    assert report_figures._points(curve, "val_loss") == [(1, 1.9)]
    _image(report_figures.curves_figure([("t", [curve])]))


def test_names_with_markup_are_drawn_as_they_are():
    _image(report_figures.curves_figure([("$t$", [_curve(name="$\\frac_{$ _x")])]))


def test_the_same_curves_give_the_same_bytes():
    groups = [("t", [_curve()])]
    assert report_figures.curves_figure(groups) == report_figures.curves_figure(groups)


def test_labels_are_spread_as_little_as_needed():
    ax = Figure(figsize=(5, 5), dpi=72).add_axes((0, 0, 1, 1))  # 360 points high
    ax.set_ylim(0, 3.6)
    spread = lambda values: report_figures._spread(ax, values, points=10)  # noqa: E731
    np.testing.assert_allclose(spread([1.0, 2.0, 3.0]), [1.0, 2.0, 3.0])
    np.testing.assert_allclose(spread([2.0, 2.0, 2.0]), [1.9, 2.0, 2.1])
    np.testing.assert_allclose(spread([0.0, 0.02, 2.0]), [0.0, 0.1, 2.0])
    np.testing.assert_allclose(spread([1.0, 3.6, 3.6]), [1.0, 3.5, 3.6])
    assert len(spread([])) == 0


def test_largest_confusions():
    matrix = [[90, 10, 0], [5, 5, 10], [0, 0, 7]]
    assert report_figures.largest_confusions(matrix) == [
        Confusion(1, 2, 10, 0.5),
        Confusion(0, 1, 10, 0.1),
        Confusion(1, 0, 5, 0.25),
    ]


def test_confusion_figure_shows_only_the_categories_of_the_largest_confusions():
    matrix = np.eye(49, dtype=int) * 20
    matrix[3, 4] = matrix[30, 31] = 9
    names = ["VÊTEMENT - LINGERIE ET BEAUCOUP D'AUTRES CHOSES ENCORE"] * 49
    few = _image(report_figures.confusion_figure(matrix, names, limit=2))
    four = _image(report_figures.confusion_figure(matrix, names, limit=14))
    assert few.width < four.width < 1200
    assert few.height < four.height
    matrix[:, 0] += 5  # all are taken for the first
    assert _image(report_figures.confusion_figure(matrix, names)).height < 1400


def test_shortened_names_keep_both_ends():
    assert report_figures._shortened("abc", 3) == "abc"
    assert report_figures._shortened("abcdefghijkl", 9) == "abcde…jkl"


def test_specialists_figure_grows_with_their_number():
    few = _image(report_figures.specialists_figure(["A", "B"], [0.5, 1.0], style_of(1).colour))
    many = report_figures.specialists_figure(["NAME"] * 49, [0.5] * 49, style_of(1).colour)
    assert _has_colour(many, style_of(1).colour)
    assert few.height < 200 < 1000 < _image(many).height < 1500
