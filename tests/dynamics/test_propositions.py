"""Propositions 5a to 6g of theory.md by simulation, against closed forms where there are any."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.filters.distillation import (
    StoppedTeacher,
)
from ntk_air.dynamics.filters.scheduled import HardPatternTail
from ntk_air.dynamics.filters.spectral import GradientDescent
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.problem import HeldOut
from tests.dynamics import supervised
from tests.dynamics.reference import SPECTRA, kernel_with, spectrum_of
from tests.dynamics.runs import follow
from tests.dynamics.same_runs import assert_same

N, LAST = 24, 10_000
TIMES = [0, 1, 2, 10, 37, 100, 1000, LAST]


@pytest.fixture(scope="module")
def problem():
    """A spectrum with zero modes, and random labels: nothing that a closed form could lean on."""
    kernel = kernel_with(SPECTRA["rank_deficient"](N))
    _, clean, noisy, initial = supervised.a_problem(3, n=N)
    return kernel, spectrum_of(kernel), {"clean": clean, "initial": initial}, noisy


RATE = 0.9


def distill(kernel, noisy, *, teacher_times, student_times, teacher=None, student=None, **run):
    """A teacher trained on the given labels, and a student trained on its outputs alone."""
    methods = [Stepwise() if method is None else method for method in (teacher, student)]
    plain = sv.plain_descent()
    trained = follow(kernel, noisy, plain, teacher_times, method=methods[0], **run)
    taught = sv.Supervision(
        sv.Identity(), sv.Constant(0.0), sv.Pretrained(trained.final.predictions)
    )
    return trained, follow(kernel, noisy, taught, student_times, method=methods[1], **run)


def test_5a_a_converged_student_is_its_stopped_teacher_on_every_input():
    kernel, clean, noisy, _ = supervised.a_problem(3, n=40)
    kernel = kernel + 0.5 * np.eye(40)
    train, test = slice(0, 25), slice(25, 40)
    got, taught = distill(
        kernel[train, train],
        noisy[train],
        teacher_times=[5],
        student_times=[0, 10**5],
        student=Stepwise(converged_below=1e-13),
        clean=clean[train],
        held_out=HeldOut(kernel[test, train], clean[test]),
    )
    assert "converged" in taught.notes[0]
    teacher, student = got.final, taught.final
    np.testing.assert_allclose(student.predictions, teacher.predictions, atol=1e-11)
    np.testing.assert_allclose(
        np.asarray(student.held_out_predictions),
        np.asarray(teacher.held_out_predictions),
        atol=1e-11,
    )
    # The teacher had not converged: its student is not just another fit of the noisy labels.
    assert got.train.residual_norm[-1] > 0.1


def test_5b_a_converged_teacher_passes_on_nothing():
    kernel, clean, noisy, _ = supervised.a_problem(3)
    kernel = kernel + 0.5 * np.eye(24)
    times = [0, 3, 50]
    _, student = distill(
        kernel,
        noisy,
        teacher_times=[10**5],
        teacher=Stepwise(converged_below=1e-13),
        student_times=times,
        clean=clean,
    )
    plain = follow(kernel, noisy, sv.plain_descent(), times, method=Stepwise(), clean=clean)
    for name, curve in plain.curves().items():
        np.testing.assert_allclose(
            student.curves()[name], curve, rtol=1e-10, atol=1e-12, err_msg=name
        )


def test_5c_a_stopped_student_of_a_stopped_teacher_has_the_product_filter(problem):
    kernel, spectrum, options, noisy = problem
    _, student = distill(
        kernel,
        noisy,
        teacher_times=[20],
        student_times=TIMES,
        clean=options["clean"],
        descent=Descent(RATE),
    )
    rule = StoppedTeacher(GradientDescent(RATE), teacher_steps=20)
    exact = follow(spectrum, noisy, rule, TIMES, method=ClosedForm(), clean=options["clean"])
    assert_same(student, exact)


def test_5d_a_finite_sum_of_weights_is_a_stopping_time():
    """Identity self-distillation with Σα = 5 flow-like steps never goes beyond them."""
    kernel, clean, noisy, _ = supervised.a_problem(3)
    schedule = sv.Geometric(1 - 1e-3, start=5e-3)  # Σα = 5, each step so small that it is a flow
    got = follow(
        kernel,
        noisy,
        sv.Supervision(sv.Identity(), schedule),
        [40000],
        method=Stepwise(),
        clean=clean,
    )
    values, vectors = np.linalg.eigh(kernel)
    stopped = vectors @ ((1 - np.exp(-5 * values / values[-1]))[:, None] * (vectors.T @ noisy))
    np.testing.assert_allclose(got.final.predictions, stopped, atol=2e-3)
    assert got.train.residual_norm[-1] > 0.3 * np.linalg.norm(noisy)


def test_6a_constant_weight_ends_at_its_share_of_the_noise():
    kernel, clean, noisy = supervised.clusters(0.2)
    kernel = kernel + np.eye(60)
    got = follow(
        kernel,
        noisy,
        sv.Supervision(sv.Hard(), sv.Constant(0.3)),
        [2000],
        method=Stepwise(),
        clean=clean,
    )
    np.testing.assert_allclose(
        got.final.predictions, clean + 0.3 * (noisy - clean), rtol=0, atol=1e-10
    )
    np.testing.assert_allclose(got.train.rms_distance, 0.3 * 2 * np.sqrt(0.2), rtol=1e-9)


def test_6b_once_the_pattern_holds_the_run_is_linear_and_ends_at_the_clean_labels():
    kernel, clean, noisy = supervised.clusters(0.4)
    spectrum = spectrum_of(kernel)
    supervision = sv.Supervision(sv.Hard(), sv.Harmonic(20.0))
    rate, held, last = 1 / spectrum.lambda_max, 100, LAST
    run = {"clean": clean, "descent": Descent(rate)}
    whole = follow(
        kernel, noisy, supervision, [held, 500, last], method=Stepwise(), store_at=[held], **run
    )
    assert whole.train.zero_one_error[0] == 0
    tail = follow(
        spectrum,
        noisy,
        HardPatternTail(rate, supervision.weights(np.arange(held, last))),
        [0, 500 - held, last - held],
        method=ClosedForm(),
        initial=whole.stored.train[0],
        clean=clean,
    )
    np.testing.assert_allclose(whole.final.predictions, tail.final.predictions, atol=1e-11)
    np.testing.assert_allclose(whole.train.rms_distance, tail.train.rms_distance, rtol=1e-9)
    distances = np.asarray(whole.train.rms_distance)
    assert (np.diff(distances) < 0).all()
    assert distances[-1] < 0.02


def test_6b_modes_without_eigenvalue_never_move():
    kernel = kernel_with(SPECTRA["rank_deficient"](N))
    reached = np.linalg.eigh(kernel)[1][:, N // 2 :]
    _, clean, _, _ = supervised.a_problem(1, n=N)
    for _ in range(N):  # labels whose signs the modes that move can tell
        clean = np.sign(reached @ (reached.T @ clean))
    got = follow(
        kernel,
        clean,
        sv.Supervision(sv.Hard(), sv.Harmonic(300.0)),
        [20000],
        method=Stepwise(),
        clean=clean,
    )
    vectors = np.linalg.eigh(kernel)[1][:, : N // 2]
    assert np.linalg.norm(vectors.T @ clean) > 0.1
    remainder = np.linalg.norm(vectors.T @ clean) / np.sqrt(N)
    assert got.train.zero_one_error[0] == 0
    np.testing.assert_allclose(got.train.rms_distance, remainder, rtol=1e-6)
    np.testing.assert_allclose(vectors.T @ got.final.predictions, 0, atol=1e-12)


def test_6f_agreement_has_a_fixed_point_for_each_pattern_that_most_labels_agree_with():
    """From near 0 the run ends at d = ρ·2√ρ, from ỹ it stays there; a start with signs keeps some.

    With Θ > 0 a fixed point has f = αỹ + (1 − α)P, α the share of rows where P and ỹ differ, and
    P = sign f: any P that differs from ỹ on less than half of the rows. d = 0 would need α = 0
    with P = y, so it is none as soon as one label is flipped.
    """
    flipped = 0.2
    kernel, clean, noisy = supervised.clusters(flipped)
    kernel = kernel + np.eye(60)
    supervision = sv.Supervision(sv.Hard(), sv.Agreement())
    some = np.random.default_rng(1).normal(size=clean.shape)

    def end(initial):
        got = follow(
            kernel, noisy, supervision, [3000], method=Stepwise(), clean=clean, initial=initial
        )
        outputs = np.asarray(got.final.predictions)
        weight = np.mean(np.sign(outputs) != noisy)
        fixed = weight * noisy + (1 - weight) * np.sign(outputs)
        np.testing.assert_allclose(outputs, fixed, atol=1e-9)
        return float(got.train.rms_distance[0])

    to_clean, to_noisy = flipped * 2 * np.sqrt(flipped), 2 * np.sqrt(flipped)
    for start in (0 * clean, clean, 0.01 * some):
        np.testing.assert_allclose(end(start), to_clean, rtol=1e-9)
    np.testing.assert_allclose(end(noisy), to_noisy, rtol=1e-9)
    assert 2 * to_clean < end(0.1 * some) < 0.9 * to_noisy


def test_6g_only_a_label_function_that_sharpens_carries_signs_to_the_labels():
    kernel, clean, noisy = supervised.clusters(0.4)
    floor, times = 2 * 0.4, [0, *np.unique(np.geomspace(1, LAST, 60).astype(int))]

    def distances(label_function, schedule, teacher=None):
        got = follow(
            kernel,
            noisy,
            sv.Supervision(label_function, schedule, teacher),
            times,
            method=Stepwise(),
            clean=clean,
        )
        return np.asarray(got.train.rms_distance)

    decaying = sv.Harmonic(20.0)
    for schedule, teacher in ((decaying, None), (sv.Constant(0.3), sv.LastEpoch(20))):
        assert distances(sv.Identity(), schedule, teacher).min() > 0.99 * floor
    assert distances(sv.Hard(), decaying)[-1] < 0.03 * floor
    assert distances(sv.Sharpened(0.05), decaying)[-1] < 0.03 * floor


def test_a_majority_of_wrong_labels_wins():
    kernel, clean, noisy = supervised.clusters(0.6)
    got = follow(
        kernel,
        noisy,
        sv.Supervision(sv.Hard(), sv.Harmonic(20.0)),
        [LAST],
        method=Stepwise(),
        clean=clean,
    )
    assert got.train.zero_one_error[0] == 1
    np.testing.assert_allclose(got.final.predictions, -clean, atol=0.1)
    assert jnp.all(got.final.predictions * clean < 0)
