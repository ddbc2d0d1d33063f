"""Exact trajectories against plain NumPy stepping, step after step, up to 10,000 steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics.closed_form.chunks import in_chunks
from ntk_air.dynamics.closed_form.eigenframe import EigenFrame, project
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.closed_form.exact_curves import direct_curves
from ntk_air.dynamics.filters.distillation import (
    DistillationRounds,
    LastEpochTeacher,
    RestartedStudent,
    StoppedTeacher,
)
from ntk_air.dynamics.filters.momentum import HeavyBall
from ntk_air.dynamics.filters.scheduled import HardPatternTail, IdentityDistillation
from ntk_air.dynamics.filters.spectral import GradientDescent, GradientFlow, ModeLabels
from ntk_air.dynamics.run import metrics
from ntk_air.problem import HeldOut
from tests.dynamics.reference import (
    SPECTRA,
    kernel_with,
    noisy_problem,
    spectrum_of,
    step_by_step,
)
from tests.dynamics.runs import follow
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers

N = 40
STEPS = (0, 1, 2, 3, 17, 100, 1000, 10_000)
WEIGHTS = 1.0 / (1.0 + np.arange(10_000)) ** 0.5


reference_metrics = jax.jit(metrics.train_metrics)


def exactly_at(spectrum, noisy, rule, *, times=STEPS, method=None, **options):
    """The exact run with all predictions kept: eight times in every test, to compile once."""
    assert len(times) == len(STEPS)
    method = ClosedForm() if method is None else method
    return follow(spectrum, noisy, rule, times, method=method, store_at=times, **options)


def a_frame(spectrum, noisy, held_out=None):
    noisy = jnp.asarray(noisy)
    return EigenFrame(
        eigenvalues=spectrum.eigenvalues,
        eigenvectors=spectrum.eigenvectors,
        initial=jnp.zeros_like(noisy),
        clean=noisy,
        noisy=noisy,
        held_out=held_out,
    )


def labels_and_start(n_out, seed=0):
    clean, noisy = noisy_problem(N, n_out, seed=seed)
    return clean, noisy, 0.1 * np.random.default_rng(seed + 1).normal(size=clean.shape)


def test_student_of_a_stopped_teacher():
    kernel = kernel_with(SPECTRA["power_law"](N))
    spectrum = spectrum_of(kernel)
    clean, noisy, initial = labels_and_start(3)
    rate = 1.5 / spectrum.lambda_max
    run = {"learning_rate": rate, "initial": initial}
    teacher = step_by_step(kernel, lambda t, f: noisy, steps=[37], **run)[37][0]
    stepped = step_by_step(kernel, lambda t, f: teacher, steps=STEPS, **run)
    rule = StoppedTeacher(GradientDescent(rate), teacher_steps=37)
    exactly = exactly_at(spectrum, noisy, rule, clean=clean, initial=initial)
    for index, step in enumerate(STEPS):
        np.testing.assert_allclose(exactly.stored.train[index], stepped[step][0], atol=1e-9)
    converged = exactly_at(spectrum, noisy, rule, times=(*range(7), 1e12), initial=initial)
    np.testing.assert_allclose(converged.final.predictions, teacher, atol=1e-9)


def test_tail_of_a_hard_pattern_is_its_linear_recursion():
    kernel = kernel_with(SPECTRA["rank_deficient"](N))
    spectrum = spectrum_of(kernel)
    clean, noisy, initial = labels_and_start(3)
    rate = 1.0 / spectrum.lambda_max
    stepped = step_by_step(
        kernel,
        lambda t, f: clean + WEIGHTS[t % 10_000] * (noisy - clean),
        learning_rate=rate,
        steps=STEPS,
        initial=initial,
    )
    tail = HardPatternTail(rate, WEIGHTS)
    exactly = exactly_at(spectrum, noisy, tail, clean=clean, initial=initial)
    for index, step in enumerate(STEPS):
        np.testing.assert_allclose(exactly.stored.train[index], stepped[step][0], atol=1e-9)
        np.testing.assert_allclose(
            exactly.train.rms_distance[index],
            np.linalg.norm(stepped[step][0] - clean) / np.sqrt(N),
            rtol=1e-9,
        )


def test_small_distances_keep_their_digits():
    """The training loss falls to 1e-200 without a floor of rounding."""
    kernel = kernel_with(np.full(N, 0.5))
    spectrum = spectrum_of(kernel)
    _, noisy, _ = labels_and_start(3)
    exactly = exactly_at(spectrum, noisy, GradientDescent(1.0), times=(*range(7), 300.0))
    expected = np.linalg.norm(noisy) * 0.5**300
    np.testing.assert_allclose(exactly.train.residual_norm[-1], expected, rtol=1e-10)


def test_very_large_times_reach_the_noisy_labels_or_their_projection():
    # Exact zeros: of eigenvalues that are rounding, 1e15 steps would make something.
    spectrum = spectrum_of(kernel_with(SPECTRA["rank_deficient"](N)))
    spectrum = eqx.tree_at(
        lambda s: s.eigenvalues, spectrum, spectrum.eigenvalues.at[N // 2 :].set(0.0)
    )
    clean, noisy, initial = labels_and_start(3)
    for rule in (GradientDescent(1.0), GradientFlow(1.0), HeavyBall(1.0, 0.9)):
        times = (*range(6), 1e12, 1e15)
        end = exactly_at(spectrum, noisy, rule, times=times, clean=clean, initial=initial)
        moved = np.asarray(spectrum.eigenvectors[:, : N // 2])
        expected = initial + moved @ moved.T @ (noisy - initial)
        np.testing.assert_allclose(end.final.predictions, expected, atol=1e-12)
        assert all(np.isfinite(curve).all() for curve in end.curves().values())


def test_modes_that_a_truncated_spectrum_lacks_stand_still_and_are_counted():
    kernel = kernel_with(SPECTRA["power_law"](N))
    full, top = spectrum_of(kernel), spectrum_of(kernel, top_k=5)
    clean, noisy, initial = labels_and_start(3)
    truncated = follow(
        top, noisy, GradientDescent(1.0), [0, 30], method=ClosedForm(), clean=clean, initial=initial
    )
    basis = np.asarray(full.eigenvectors[:, :5])
    kept = 1 - (1 - np.asarray(full.eigenvalues[:5])) ** 30
    expected = initial + basis @ (kept[:, None] * (basis.T @ (noisy - initial)))
    np.testing.assert_allclose(truncated.final.predictions, expected, atol=1e-12)
    reference = metrics.train_metrics(
        expected, clean, noisy, parameter_distance=truncated.train.parameter_distance[1]
    )
    for name, value in vars(reference).items():
        np.testing.assert_allclose(getattr(truncated.train, name)[1], value, err_msg=name)
    assert any("only 5 of 40 modes" in note for note in truncated.notes)


def test_metrics_do_not_depend_on_the_chunks():
    spectrum = spectrum_of(kernel_with(SPECTRA["power_law"](N)))
    clean, noisy, initial = labels_and_start(3)
    weighted = IdentityDistillation(1.0, WEIGHTS)
    runs = [
        follow(
            spectrum,
            noisy,
            weighted,
            np.arange(23.0),
            method=ClosedForm(chunk_elements=size),
            clean=clean,
            initial=initial,
        )
        for size in (5 * N * 3, 10**6)
    ]
    for name, curve in runs[1].curves().items():
        np.testing.assert_allclose(curve, runs[0].curves()[name], rtol=1e-12, err_msg=name)


def test_outputs_are_kept_at_one_step_or_none_as_asked():
    spectrum = spectrum_of(kernel_with(SPECTRA["power_law"](N)))
    _, noisy, _ = labels_and_start(3)
    rule = GradientDescent(1.0)
    one, none = (
        follow(spectrum, noisy, rule, [0, 30], method=ClosedForm(), store_at=asked)
        for asked in ([30], [])
    )
    np.testing.assert_array_equal(one.stored.train, one.final.predictions[None])
    assert none.stored is None


def compiled_curves(n_time, *, chunk):
    spectrum = spectrum_of(kernel_with(SPECTRA["power_law"](N)))
    _, noisy, _ = labels_and_start(3)
    frame = a_frame(spectrum, noisy)
    chunks = in_chunks(np.arange(float(n_time)), chunk)
    return direct_curves.lower(GradientDescent(1.0), frame, project(frame), chunks).compile()


def test_memory_does_not_grow_with_times_beyond_the_curves_themselves():
    few, many = (compiled_curves(n, chunk=8).memory_analysis() for n in (80, 8000))
    n_curves, extra_times = 9, 8000 - 80
    grown = many.temp_size_in_bytes - few.temp_size_in_bytes
    # Storing the predictions would take n_train · n_out = 120 numbers a time.
    assert grown <= 2 * n_curves * extra_times * 8


def test_a_new_learning_rate_and_new_labels_compile_nothing():
    spectrum = spectrum_of(kernel_with(SPECTRA["power_law"](N)))
    clean, noisy, _ = labels_and_start(3)
    exactly_at(spectrum, noisy, GradientDescent(1.0))
    with count_compilations() as compiled:
        exactly_at(spectrum, clean, GradientDescent(0.5), times=range(8))
    assert not compiled


EVERY_RULE = [
    GradientDescent(1.0),
    GradientFlow(1.0),
    HeavyBall(1.0, 0.5),
    RestartedStudent(1.0, epoch_steps=3, weight=0.2),
    LastEpochTeacher(1.0, epoch_steps=3, weight=0.2),
    DistillationRounds(GradientDescent(1.0), round_steps=3),
    StoppedTeacher(GradientDescent(1.0), teacher_steps=4),
    IdentityDistillation(1.0, [0.5] * 8),
    HardPatternTail(1.0, [0.5] * 8),
]


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: type(rule).__name__)
def test_every_rule_lowers_for_every_platform(rule):
    eigenvalues = jnp.asarray(SPECTRA["power_law"](6))
    labels = ModeLabels(*jnp.ones((3, 6, 2)))

    def follow(rule, eigenvalues, labels, steps):
        return rule.advance(rule.begin(eigenvalues), eigenvalues, labels, steps)

    assert_lowers(follow, rule, eigenvalues, labels, jnp.arange(4.0))


def test_metric_curves_lower_for_every_platform():
    spectrum = spectrum_of(kernel_with(SPECTRA["power_law"](6)))
    held_out = HeldOut(np.ones((3, 6)), np.ones((3, 2)))
    frame = a_frame(spectrum, np.ones((6, 2)), held_out)
    assert_lowers(project, frame)
    chunks = in_chunks(np.arange(4.0), 2)
    assert_lowers(direct_curves, GradientDescent(1.0), frame, project(frame), chunks)


def test_float32_runs_in_float32_and_agrees():
    kernel = kernel_with(SPECTRA["step"](N))
    clean, noisy, initial = labels_and_start(3)
    single, double = (
        exactly_at(
            spectrum_of(kernel, precision=precision),
            noisy,
            GradientDescent(1.0),
            times=(*range(7), 1000),
            clean=clean,
            initial=initial,
        )
        for precision in ("float32", "float64")
    )
    assert single.final.predictions.dtype == jnp.float32
    # An eigenvalue off by a few ε moves its residual by up to that times the number of steps.
    tolerance = 5 * 1000 * float(np.finfo(np.float32).eps)
    np.testing.assert_allclose(single.final.predictions, double.final.predictions, atol=tolerance)


def test_divergence_is_refused_with_the_bound_or_shown_when_asked_for():
    spectrum = spectrum_of(kernel_with(SPECTRA["power_law"](N)))
    _, noisy, _ = labels_and_start(3)
    for rule, bound in ((GradientDescent(2.1), "2,"), (HeavyBall(3.9, 0.9), "3.8,")):
        with pytest.raises(ValueError, match=f"learning_rate must lie below {bound}"):
            follow(spectrum, noisy, rule, [1], method=ClosedForm())
    diverging = exactly_at(
        spectrum,
        noisy,
        GradientDescent(2.1),
        times=(*range(6), 100, 1e5),
        method=ClosedForm(allow_divergence=True),
    )
    loss = np.asarray(diverging.train.training_loss)
    assert loss[-2] > 1e3 * loss[0]
    assert not np.isfinite(diverging.train.rms_distance[-1])
    assert any("diverged beyond the range of float64 by step 100000" in n for n in diverging.notes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"times": []}, "times must be a list of steps"),
        ({"times": np.array([[1.0]])}, "times must be a list of steps"),
        ({"times": [1.0, np.nan]}, "times must be finite"),
        ({"times": [-1.0, 2.0]}, r"times\[0\] must be a finite number, at least 0"),
        ({"times": [3.0, 2.0]}, r"times must be ascending; got 3.0 before 2.0"),
        ({"times": [0.5]}, "times must be whole numbers of steps; got 0.5 at index 0"),
        ({"store_at": [2.0, 1.0]}, "store_at must be ascending"),
        (
            {"noisy": np.ones((N + 1, 1))},
            "noisy must have one row .* kernel's 40 inputs",
        ),
        ({"noisy": np.full((N, 1), np.nan)}, "noisy must be finite; got NaN"),
        (
            {"held_out": HeldOut(np.ones((2, N + 1)), np.ones((2, 1)))},
            r"held_out must have \(n_train, n_out\) = \(40, 1\); got \(41, 1\)",
        ),
        ({"rule": IdentityDistillation(1.0, [0.5])}, "must not go beyond the 1 weights given"),
    ],
)
def test_bad_arguments_are_refused_by_name(changed, message):
    spectrum = spectrum_of(kernel_with(SPECTRA["power_law"](N)))
    arguments = {"noisy": np.ones((N, 1)), "rule": GradientDescent(1.0), "times": [0, 2]}
    arguments |= changed
    with pytest.raises(ValueError, match=message):
        follow(
            spectrum,
            arguments.pop("noisy"),
            arguments.pop("rule"),
            method=ClosedForm(),
            **arguments,
        )


def test_an_indefinite_kernel_is_refused_and_rounding_is_noted():
    eigenvalues = SPECTRA["power_law"](N)
    labels = np.ones((N, 3))
    with pytest.raises(ValueError, match=r"semi-definite kernel; its smallest .* is -0\.1"):
        follow(
            spectrum_of(kernel_with(np.append(eigenvalues[:-1], -0.1))),
            labels,
            GradientDescent(1.0),
            [1],
            method=ClosedForm(),
        )
    rounded = exactly_at(
        spectrum_of(kernel_with(np.append(eigenvalues[:-1], -1e-12))),
        labels,
        GradientDescent(1.0),
        times=(*range(7), 1e15),
    )
    assert any("1 of 40 eigenvalues are below 0" in note for note in rounded.notes)
    assert np.isfinite(rounded.train.rms_distance).all()
