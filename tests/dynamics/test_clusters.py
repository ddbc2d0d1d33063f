"""Sections 4 and 6 of theory.md on its own example: 8 clusters of 50 points on the sphere."""

import numpy as np
import pytest

from ntk_air.data import SymmetricNoise, load_dataset
from ntk_air.dynamics.certificates.certificate import RunState
from ntk_air.dynamics.certificates.run_certificate import certify, certify_state
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.filters.scheduled import HardPatternTail
from ntk_air.dynamics.filters.spectral import GradientDescent
from ntk_air.dynamics.predictions.distance import (
    agreement_level,
    clustered_floor,
    constant_weight_level,
    descent_distance,
    early_stopping_floor,
    memorisation_level,
)
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import Agreement, Constant, Hard, Harmonic, Supervision
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.spectrum.decomposition import decompose
from tests.dynamics.runs import follow, problem_of

HARMONIC = Supervision(Hard(), Harmonic())
TRIED = tuple(range(0, 105, 5))


@pytest.fixture(scope="module")
def clusters():
    inputs = load_dataset("clusters").inputs
    kernel = np.asarray(DenseNTK(depth=2)(inputs))
    return kernel, decompose(kernel)


def labels(rate, *, n_classes=2):
    """Clean and noisy labels with exactly the share ``rate`` flipped in each cluster."""
    dataset = drawn(rate, n_classes=n_classes)
    return dataset.clean_targets(), dataset.noisy_targets()


def drawn(rate, *, n_classes=2):
    dataset = load_dataset("clusters", n_classes=n_classes)
    return dataset.with_label_noise(SymmetricNoise(rate, exact=True), seed=0)


@pytest.mark.parametrize(
    ("n_classes", "rate"), [(2, 0.1), (2, 0.2), (2, 0.3), (2, 0.4), (4, 0.1), (4, 0.4), (8, 0.1)]
)
def test_descent_stops_at_its_floor_and_ends_in_the_noise(clusters, rate, n_classes):
    _, spectrum = clusters
    dataset = drawn(rate, n_classes=n_classes)
    clean, noisy = dataset.clean_targets(), dataset.noisy_targets()
    descent = GradientDescent(spectrum.default_learning_rate)
    times = np.unique(np.round(np.geomspace(1, 1e8, 120)))
    run = follow(spectrum, noisy, descent, times, method=ClosedForm(), clean=clean)
    signal = 1 - rate * n_classes / (n_classes - 1)
    floor = early_stopping_floor(clean, signal=signal)
    if n_classes == 2:
        assert floor == pytest.approx(2 * rate)
        assert memorisation_level(clean, noisy) == pytest.approx(2 * rate**0.5)
        assert run.best().train.rms_distance == pytest.approx(2 * rate, rel=0.01)
    # At 10 % noise four classes are 2.2 % above (1 − s)‖y_i‖: 5 flips do not divide by 3 classes,
    # and 0.03 % of the clean labels' energy lies outside the top 8 eigenspaces.
    if n_classes < 8:
        assert run.best().train.rms_distance == pytest.approx(floor, rel=0.025)
    as_drawn = clustered_floor(spectrum, clean, noisy, dataset.groups)
    assert run.best().train.rms_distance == pytest.approx(as_drawn, rel=0.003)
    assert run.best().train.zero_one_error == 0
    assert run.last().train.rms_distance == pytest.approx(memorisation_level(clean, noisy), 1e-3)
    assert run.last().train.memorised_share == 1
    predicted = descent_distance(spectrum, descent, clean=clean, noisy=noisy, times=times)
    np.testing.assert_allclose(predicted, run.train.rms_distance, rtol=1e-9)


def test_the_figures_that_theory_states(clusters):
    _, spectrum = clusters
    descent = GradientDescent(spectrum.default_learning_rate)
    times = np.arange(0, 400.0)
    # Seen there with another draw of the points; the last digit is the draw's.
    for rate, best in ((0.2, 0.4006), (0.4, 0.8009)):
        clean, noisy = labels(rate)
        run = follow(spectrum, noisy, descent, times, method=ClosedForm(), clean=clean)
        assert run.best().train.rms_distance == pytest.approx(best, abs=2e-3)


@pytest.mark.parametrize(
    ("n_classes", "rate"), [(2, 0.1), (2, 0.2), (2, 0.3), (2, 0.4), (4, 0.1), (4, 0.4)]
)
def test_hard_labels_carry_the_signs_to_the_clean_labels(clusters, rate, n_classes):
    """(6b)–(6d): certified within 100 steps, then exactly the linear tail, to d < 0.02."""
    kernel, spectrum = clusters
    clean, noisy = labels(rate, n_classes=n_classes)
    run = follow(
        kernel,
        noisy,
        HARMONIC,
        [*TRIED, 1000, 2000],
        method=Stepwise(),
        clean=clean,
        store_at=[*TRIED, 1000, 2000],
    )
    eta = run.learning_rate
    certificate = certify(problem_of(spectrum, noisy, clean=clean), HARMONIC, run)
    assert certificate.issued, certificate.reason
    assert 0 < certificate.step <= 100
    distances = run.train.rms_distance[-2:]
    assert distances[0] < 0.02
    assert distances[1] < distances[0]
    for index, step in enumerate((1000, 2000), start=len(TRIED)):
        assert (np.abs(run.stored.train[index] - clean) <= certificate.bounds).all()
        assert run.train.margin_min[index] >= certificate.margin_bound(step)
        assert run.train.rms_distance[index] <= certificate.distance_bound(step)
    start = certificate.step
    tail = follow(
        spectrum,
        noisy,
        HardPatternTail(eta, HARMONIC.weights(np.arange(start, start + 100000))),
        [1000 - start, 100000],
        method=ClosedForm(),
        clean=clean,
        initial=run.stored.train[TRIED.index(start)],
    )
    assert tail.train.rms_distance[0] == pytest.approx(float(distances[0]), rel=1e-9)
    assert tail.train.rms_distance[1] < 2e-4
    assert certificate.margin_bound(10**9) > 1 - 1e-4


def test_more_than_half_flipped_goes_wrong_without_a_certificate(clusters):
    """(6e)."""
    kernel, spectrum = clusters
    clean, noisy = labels(0.6)
    run = follow(kernel, noisy, HARMONIC, TRIED, method=Stepwise(), clean=clean, store_at=TRIED)
    assert run.last().train.zero_one_error == 1
    problem, rate = problem_of(spectrum, noisy, clean=clean), run.learning_rate
    at_steps = zip(run.stored.train, TRIED, strict=True)
    states = [RunState(outputs, noisy, step) for outputs, step in at_steps]
    for state in states:
        assert not certify_state(problem, HARMONIC, state, learning_rate=rate).issued
    # What is final is the wrong pattern: without clean labels no more can be said.
    unknown = problem_of(spectrum, noisy)
    final = certify_state(unknown, HARMONIC, states[-1], learning_rate=rate)
    assert final.issued
    np.testing.assert_array_equal(final.pattern, -clean)


def test_constant_and_agreement_weights_end_at_their_levels(clusters):
    """(6a), (6f), from f = y: f_∞ = y + αξ."""
    kernel, spectrum = clusters
    clean, noisy = labels(0.2)
    eta = spectrum.default_learning_rate
    assert agreement_level(clean, noisy) == pytest.approx(0.2 * 2 * 0.2**0.5, rel=1e-14)
    ends = (
        (Constant(0.1), constant_weight_level(clean, noisy, weight=0.1)),
        (Agreement(), agreement_level(clean, noisy)),
    )
    for schedule, expected in ends:
        tail = HardPatternTail(eta, np.full(400_000, expected / memorisation_level(clean, noisy)))
        end = follow(
            spectrum, noisy, tail, [2000, 400_000], method=ClosedForm(), clean=clean, initial=clean
        )
        assert end.train.rms_distance[1] == pytest.approx(expected, rel=1e-6)
        stepped = follow(
            kernel,
            noisy,
            Supervision(Hard(), schedule),
            [2000],
            method=Stepwise(),
            clean=clean,
            initial=clean,
        )
        assert stepped.train.rms_distance[0] == pytest.approx(
            float(end.train.rms_distance[0]), rel=1e-9
        )


def test_a_truncated_spectrum_cannot_predict_the_distance(clusters):
    kernel, _ = clusters
    clean, noisy = labels(0.2)
    with pytest.raises(ValueError, match="spectrum must hold all modes; got 9 of 400"):
        descent_distance(
            decompose(kernel, top_k=9),
            GradientDescent(0.01),
            clean=clean,
            noisy=noisy,
            times=np.ones(1),
        )
