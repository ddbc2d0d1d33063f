"""Legends lie off the data, and no curve is unseen under another."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from ntk_air.plot.legible import legend_below, separate_curves

X = np.geomspace(1, 1000, 30)


@pytest.fixture
def figure():
    return Figure(layout="constrained")


def test_curves_that_coincide_are_named_once_and_drawn_one_inside_the_other(figure):
    axes = figure.add_subplot(xscale="log")
    first, second, third, other = (
        axes.plot(X, y, label=label)[0]
        for label, y in (("a: 1", X), ("b: 1", X), ("c", X.copy()), ("d", 1000 - X))
    )
    assert separate_curves([axes]) == ["coincide: a; b; c"]
    widths = [line.get_linewidth() for line in (first, second, third, other)]
    assert widths[0] > widths[1] > widths[2] == widths[3]


def test_a_curve_that_leaves_another_is_seen_beneath_and_not_said_to_coincide(figure):
    axes = figure.add_subplot(xscale="log")
    (first,) = axes.plot(X, X, label="a")
    (second,) = axes.plot(X, np.minimum(X, 100), label="b")
    assert separate_curves([axes]) == []
    assert first.get_linewidth() > second.get_linewidth()


def test_points_and_what_has_no_name_are_left_alone(figure):
    axes = figure.add_subplot()
    lines = [*axes.plot(X, X, "o", label="points"), *axes.plot(X, X), *axes.plot(X, X, label="a")]
    before = [line.get_linewidth() for line in lines]
    assert separate_curves([axes]) == []
    assert [line.get_linewidth() for line in lines] == before


def test_the_legend_is_outside_the_axes_with_what_coincides_above_it(figure):
    axes = figure.add_subplot()
    for label in ("one", "two"):
        axes.plot(X, X, label=label)
    twin = axes.twinx()
    twin.plot(X, 1 / X, label="three")
    assert legend_below(figure, [axes, twin], ["coincide: one; two"]) == 2
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two", "three"]
    assert legend.get_title().get_text() == "coincide: one; two"
    for each in (axes, twin):
        assert legend.get_window_extent().y1 <= each.get_window_extent().y0
