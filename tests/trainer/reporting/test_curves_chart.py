"""The chart of curves: what it picks, and that the PNG shows it."""

import dataclasses

import pytest

from tests.helpers.fake_runs import history
from tests.helpers.png_checks import has_colour, image_of
from trainer.reporting import curves_chart
from trainer.reporting.curves_chart import Curve
from trainer.reporting.run_styles import style_of


def _curve(place=0, epochs=4, name="run", published=None):
    return Curve(
        name,
        style_of(place),
        history([0.1 * epoch for epoch in range(epochs)]),
        epochs - 1,
        published or {},
    )


def test_curves_are_drawn_in_each_runs_colour_and_in_a_row_for_each_group():
    one = curves_chart.curves_chart([("categories", [_curve(0), _curve(1)])])
    two = curves_chart.curves_chart([("categories", [_curve(0)]), ("level 1", [_curve(1)])])
    for png in (one, two):
        assert has_colour(png, style_of(0).colour)
        assert has_colour(png, style_of(1).colour)
        assert not has_colour(png, style_of(2).colour)
    assert image_of(two).height > 1.7 * image_of(one).height


def test_published_value_is_drawn_without_a_curve():
    for values in ((0.2424,), (0.5756, 0.3516, 0.3504)):
        curve = _curve(0, epochs=0, published={"val_accuracy": values})
        assert has_colour(curves_chart.curves_chart([("t", [curve])]), style_of(0).colour)


def test_one_published_value_of_several_runs_is_written_once():
    curves = [
        _curve(0, published={"val_accuracy": (0.4,)}),
        _curve(1, published={"val_accuracy": (0.2,)}),
        _curve(2, published={"val_accuracy": (0.4,)}),
        _curve(3, published={"val_accuracy": (0.5, 0.6)}),  # drawn, each at its epoch
    ]
    published = curves_chart._published(curves, "val_accuracy")
    assert published == [(0.2, style_of(1).colour), (0.4, style_of(2).colour)]
    assert curves_chart._published(curves, "val_product_accuracy") == []


@pytest.mark.parametrize("epochs", [0, 1])
def test_curves_of_few_epochs(epochs):
    image_of(curves_chart.curves_chart([("t", [_curve(epochs=epochs)])]))


def test_values_that_are_not_finite_are_left_out():
    rows = history([0.1, 0.2, 0.3])
    rows[1] = dataclasses.replace(rows[1], val_loss=float("nan"))
    rows[2] = dataclasses.replace(rows[2], val_loss=float("inf"))
    curve = Curve("run", style_of(0), rows, 0, {})
    assert curves_chart._points(curve, "val_loss") == [(1, 1.9)]
    image_of(curves_chart.curves_chart([("t", [curve])]))


def test_names_with_markup_are_drawn_as_they_are():
    image_of(curves_chart.curves_chart([("$t$", [_curve(name="$\\frac_{$ _x")])]))


def test_the_same_curves_give_the_same_bytes():
    groups = [("t", [_curve()])]
    assert curves_chart.curves_chart(groups) == curves_chart.curves_chart(groups)
