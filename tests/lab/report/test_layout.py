"""Headings, tables, numbers and figures that all reports share."""

import io

import numpy as np
import pytest
from rich.console import Console

from ntk_air.lab.report import layout

RESULTS = {
    "dataset": "made",
    "n_train": 20,
    "n_classes": 2,
    "noise_kind": "symmetric",
    "noise_rate": 0.2,
    "kernel": "dense",
    "precision": "float64",
}


def shown(renderable):
    text = io.StringIO()
    Console(file=text, width=80).print(renderable)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_a_heading_names_the_data_and_what_the_results_name_of_it():
    lines = shown(layout.heading(RESULTS, layout.kernel_line(RESULTS), "more"))
    assert lines == [
        "made: 20 inputs, 2 classes, 20% symmetric label noise",
        "kernel: dense, float64",
        "more",
    ]
    several = RESULTS | {"noise_rate": [0.0, 0.4], "n_test": 5}
    assert shown(layout.heading(several)) == [
        "made: 20 inputs, 5 held out, 2 classes, symmetric label noise"
    ]
    assert shown(layout.heading(several, noise_rate=0.25))[0].endswith("25% symmetric label noise")
    few = {name: RESULTS[name] for name in ("dataset", "n_train")}
    assert shown(layout.heading(few)) == ["made: 20 inputs"]


def test_figures_are_titled_by_data_noise_and_kernel():
    title = layout.caption(RESULTS, layout.spread_line({"seeds": [0, 1]}))
    assert title.splitlines() == [
        "made: 20 inputs, 2 classes, 20% symmetric label noise; dense",
        "bars: ± 1 standard deviation over 2 seeds",
    ]
    network = {"dataset": "made", "n_train": 20, "network": "wide"}
    assert layout.caption(network) == "made: 20 inputs; wide"
    assert layout.spread_line({"seeds": [0]}) == "one seed"


def test_numbers_that_there_are_none_of_are_dashes():
    assert layout.number(0.12345, ".3f") == "0.123"
    assert layout.number(None, ".3f") == layout.number(float("nan"), ".3f") == "–"
    assert layout.with_spread(1.0, 0.5, ".1f") == "1.0 ± 0.5"
    assert layout.with_spread(1.0, None, ".1f") == "1.0"
    assert layout.with_spread(None, None, ".1f") == layout.with_spread(None, 0.1, ".1f") == "–"


def test_a_table_is_aligned_to_the_left_and_then_to_the_right():
    rows = [("one", "1"), ("seventeen", "17"), ("none",)]
    assert shown(layout.table(("name", "count"), rows)) == [
        *("name       count", "one            1", "seventeen     17", "none")
    ]
    right = layout.table(("name", "count"), rows, n_left=0)
    assert shown(right)[1] == "      one      1"


@pytest.mark.parametrize("height", [None, 1.5])
def test_figures_are_saved_one_by_one_and_together(tmp_path, height, monkeypatch):
    saved = []
    monkeypatch.setattr(layout, "save_figure", lambda *given: saved.append(given))

    def line(axes):
        axes.plot([0, 1])

    figures = layout.Figures(
        {"first": line, "second": line}, "made: 20 inputs", height_inches=height
    )
    assert figures.save(tmp_path) == ["first", "second", "overview"]
    assert [given[1:] for given in saved] == [
        (tmp_path, name, ("png", "pdf")) for name in ("first", "second", "overview")
    ]
    assert figures.save(tmp_path, overview_alone=True) == ["overview"]
    assert saved.pop()[2] == "overview"
    heights = np.array([figure.get_size_inches()[1] for figure, *_ in saved])
    of_title = heights - ([2.6, 2.6, 2.5] if height is None else 1.5)
    assert of_title == pytest.approx(of_title[0]) and 0.1 < of_title[0] < 0.2
    assert {figure.get_suptitle() for figure, *_ in saved} == {"made: 20 inputs"}
    assert [len(figure.axes) for figure, *_ in saved] == [1, 1, 2]
