"""Figures: whole files, the same bytes each time, no state left in matplotlib."""

import matplotlib as mpl
import pytest

from ntk_air.lab.plotting import COLUMN_WIDTH_INCHES, draw_figure, draw_panels, save_figure


def draw(axes):
    axes.plot([1, 2, 3], label="line")
    axes.set_xlabel("steps")


def test_a_figure_is_saved_twice_with_the_same_bytes(tmp_path):
    contents = []
    for name in ("first", "second"):
        save_figure(draw_figure(draw), tmp_path, name)
        contents.append(
            [(tmp_path / f"{name}{suffix}").read_bytes() for suffix in (".png", ".pdf")]
        )
    assert contents[0] == contents[1]
    assert contents[0][0].startswith(b"\x89PNG")
    assert contents[0][1].startswith(b"%PDF")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("first.pdf", "first.png", "second.pdf", "second.png")
    ]


def test_panels_are_lettered_in_reading_order():
    figure = draw_panels([draw] * 3)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["(a)", "(b)", "(c)"]
    assert figure.get_size_inches()[0] == pytest.approx(2 * COLUMN_WIDTH_INCHES)


def test_a_legend_takes_room_of_its_own_below_the_axes():
    few, many = (
        draw_figure(lambda axes, n=n: [axes.plot([n], label=str(n)) for n in range(n)])
        for n in (0, 12)
    )
    assert many.get_size_inches()[1] - few.get_size_inches()[1] == pytest.approx(4 * 0.115)
    many.draw_without_rendering()
    (legend,) = many.subfigs[0].legends
    assert legend.get_window_extent().y1 < many.axes[0].get_window_extent().y0


def test_a_long_title_is_broken_into_lines():
    figure = draw_figure(draw, title="word " * 30)
    lines = figure.get_suptitle().splitlines()
    assert len(lines) == 3 and max(map(len, lines)) <= 70


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path):
    before = dict(mpl.rcParams)
    save_figure(draw_figure(draw), tmp_path, "figure")
    assert dict(mpl.rcParams) == before
