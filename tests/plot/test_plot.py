"""The figures of ``na.plot``: what they draw, and what they refuse."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import ntk_air as na

mpl.use("agg")


@pytest.fixture
def axes():
    return Figure().add_subplot()


@pytest.fixture(scope="module")
def problem():
    data = na.load_dataset("clusters", n_train=40, n_test=12, n_clusters=4)
    noisy = data.with_label_noise(na.SymmetricNoise(0.2, exact=True), seed=0)
    return na.make_problem(noisy, na.DenseNTK(depth=2))


def drawn(axes):
    return {line.get_label(): line.get_xydata().T for line in axes.get_lines()}


def test_nothing_is_imported_before_a_figure_is_drawn():
    code = "import ntk_air, sys; ntk_air.plot.spectrum; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_spectrum_is_drawn_from_what_holds_one(problem, axes):
    expected = np.asarray(problem.spectrum.eigenvalues)
    for given in (problem, problem.spectrum, expected):
        na.plot.spectrum(given, ax=axes)
        ranks, values = axes.get_lines()[0].get_xydata().T
        np.testing.assert_array_equal(ranks, np.arange(1, 41))
        np.testing.assert_array_equal(values, expected)
        axes.clear()


def test_modes_below_precision_are_counted(axes):
    spectrum = na.decompose(np.diag([4.0, 1.0, 0.0, 0.0]))
    na.plot.spectrum(spectrum, half_lives=np.array([1.0, 2.0, np.inf, np.inf]), ax=axes)
    assert "precision: 2 modes below" in drawn(axes)
    steps = axes.figure.axes[1]
    np.testing.assert_array_equal(steps.get_lines()[0].get_xydata(), [[1, 1], [2, 2]])


def test_energies_of_a_summary_are_drawn_with_the_isotropic_line(problem, axes):
    summary = na.air_summary(problem)
    na.plot.energy(summary, ax=axes)
    lines = drawn(axes)
    np.testing.assert_array_equal(lines["clean labels $y$"][1], summary.energy_clean)
    np.testing.assert_array_equal(lines[r"centred noise $\zeta$"][1], summary.energy_noise_centred)
    np.testing.assert_allclose(lines["isotropic"][1], np.arange(1, 41) / 40)


def test_a_deviation_is_a_band_about_its_mean(axes):
    shares, deviation = np.array([0.2, 0.6, 1.0]), np.array([0.1, 0.2, 0.0])
    na.plot.energy({"noise": (shares, deviation)}, modes=np.array([1, 5, 9]), ax=axes)
    band = axes.collections[0].get_paths()[0].vertices
    for rank, mean, spread in zip((1, 5, 9), shares, deviation, strict=True):
        ends = band[band[:, 0] == rank, 1]
        assert (ends.min(), ends.max()) == pytest.approx((mean - spread, mean + spread))


def test_the_air_curve_is_signal_against_noise_with_its_area(problem, axes):
    summary = na.air_summary(problem)
    for given in (summary, summary.curve, {"labels": summary.curve}):
        na.plot.air(given, ax=axes)
        noise, signal = drawn(axes)[f"labels: area {summary.auc:.3f}"]
        np.testing.assert_array_equal(noise, summary.curve.noise)
        np.testing.assert_array_equal(signal, summary.curve.signal)
        axes.clear()


def test_runs_are_drawn_by_their_metric(problem, axes):
    run = na.solve(problem, na.Descent(), [0, 1, 10, 100])
    na.plot.convergence({"descent": run}, "held_out_accuracy", ax=axes)
    steps, values = drawn(axes)["descent"]
    np.testing.assert_array_equal(steps, [1, 10, 100])
    np.testing.assert_array_equal(values, run.held_out.accuracy[1:])
    assert axes.get_ylabel() == "held-out accuracy"


def test_suspects_are_sorted_and_counted(axes):
    na.plot.suspects(np.array([0.1, 0.9, 0.6, 0.5]), ax=axes)
    assert axes.get_lines()[0].get_ydata().tolist() == [0.9, 0.6, 0.5, 0.1]
    assert "2 more likely wrong than right" in drawn(axes)


def test_a_matrix_has_true_classes_for_rows(axes):
    na.plot.transition(np.array([[0.75, 0.25], [0.0, 1.0]]), ["a", "b"], ax=axes)
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): ".75", (1, 0): ".25", (1, 1): "1"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_a_new_figure_has_its_legend_below_and_leaves_settings_alone():
    before = dict(mpl.rcParams)
    axes = na.plot.energy({"clean labels": np.array([0.5, 1.0])})
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert legend.get_window_extent().y1 <= axes.get_window_extent().y0
    assert dict(mpl.rcParams) == before
    pyplot.close(figure)


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda: na.plot.spectrum(np.eye(2)), r"values must be a vector of numbers; got an array"),
        (lambda: na.plot.spectrum(np.ones(2), half_lives=np.ones(3)), "half_lives must have 2"),
        (lambda: na.plot.spectrum(np.ones(2), ax="here"), "ax must be axes of matplotlib"),
        (lambda: na.plot.energy({}), "shares must be curves by their labels"),
        (lambda: na.plot.energy({"a": np.ones(2), "b": np.ones(3)}), "shares of b must have 2"),
        (lambda: na.plot.air(None), "curves must be curves by their labels"),
        (lambda: na.plot.air({"a": (np.ones(2), np.ones(3))}), "signal of a must have 2"),
        (lambda: na.plot.convergence({"a": (np.ones(2), np.ones(2))}, "loss"), "quantity must be"),
        (lambda: na.plot.suspects(np.array([0.1, np.nan])), "found must know the probabilities"),
        (lambda: na.plot.transition(np.ones((2, 3))), "matrix must be square"),
        (lambda: na.plot.transition(np.eye(2), ["a"]), "class_names must have 2 entries; got 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_a_figure_is_made(draw, says, monkeypatch):
    monkeypatch.setattr("matplotlib.pyplot.subplots", lambda **_: pytest.fail("a figure was made"))
    with pytest.raises(ValueError, match=says):
        draw()


def test_a_metric_that_a_run_has_not_is_refused(problem):
    run = na.solve(problem.replace(held_out=None), na.Descent(), [1])
    with pytest.raises(ValueError, match="quantity must be one that run has; got 'held_out_acc"):
        na.plot.convergence(run, "held_out_accuracy")
