"""Skeletons of times: curves combined from a few times are those evaluated at each time."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics.closed_form import exact_curves
from ntk_air.dynamics.closed_form import skeleton as sk
from ntk_air.dynamics.closed_form.chunks import chunk_length, in_chunks
from ntk_air.dynamics.closed_form.eigenframe import EigenFrame, project
from ntk_air.dynamics.closed_form.exact_curves import (
    Skeletons,
    direct_curves,
    find_skeletons,
    skeleton_curves,
)
from ntk_air.dynamics.filters.momentum import HeavyBall
from ntk_air.dynamics.filters.scheduled import HardPatternTail
from ntk_air.dynamics.filters.spectral import GradientDescent, GradientFlow
from ntk_air.problem import HeldOut
from tests.dynamics.reference import noisy_problem
from tests.helpers.lowering import assert_lowers
from tests.helpers.problems import random_orthogonal
from tests.helpers.type_checks import without_type_checks

N, N_TEST = 300, 37
TIMES = np.unique(np.round(np.geomspace(1, 1e4, 150)))[-100:]
EIGENVALUES = (1.0 + np.arange(N)) ** -1.5
WEIGHTS = (1.0 + np.arange(10_000)) ** -0.7


def a_frame(*, with_held_out=True, n_out=3):
    """Features of given Gram eigenvalues, held-out features in their span, labels, an f_0."""
    rng = np.random.default_rng(0)
    clean, noisy = noisy_problem(N, n_out)
    vectors = random_orthogonal(N, seed=1)
    cross = (rng.normal(size=(N_TEST, N)) * np.sqrt(EIGENVALUES)) @ vectors.T
    held_out = HeldOut(
        cross, noisy_problem(N_TEST, n_out, seed=2)[0], initial=rng.normal(size=(N_TEST, n_out))
    )
    return EigenFrame(
        eigenvalues=jnp.asarray(EIGENVALUES),
        eigenvectors=jnp.asarray(vectors),
        initial=jnp.asarray(0.1 * rng.normal(size=clean.shape)),
        clean=jnp.asarray(clean),
        noisy=jnp.asarray(noisy),
        held_out=held_out if with_held_out else None,
    )


CHUNKS = in_chunks(TIMES, 33)  # the last chunk is filled up


@pytest.mark.parametrize(
    ("rule", "with_held_out"),
    # The tail is driven by clean and noisy labels in different ways.
    [(GradientDescent(1.7), True), (HardPatternTail(1.0, WEIGHTS), False)],
    ids=["descent", "tail"],
)
def test_curves_of_a_skeleton_are_the_direct_ones(rule, with_held_out):
    frame = a_frame(with_held_out=with_held_out)
    basis = project(frame)
    skeletons = find_skeletons(rule, frame, basis, CHUNKS, n_time=len(TIMES))
    assert skeletons is not None
    assert len(skeletons.train.steps) < len(TIMES)
    assert max(len(picked) for picked in skeletons.train.picked) <= 40
    # 128 does not divide 300 rows: the last chunk of rows begins among those counted before.
    got = skeleton_curves(rule, frame, basis, CHUNKS, skeletons=skeletons, rows=128)
    direct = direct_curves(rule, frame, basis, CHUNKS)
    expected = jax.tree.map(lambda curve: curve[: len(TIMES)], direct)
    assert (got[1] is None) != with_held_out
    for part, reference in zip(got[: 1 + with_held_out], expected, strict=False):
        for curve, values in vars(reference).items():
            scale = np.abs(values).max()
            np.testing.assert_allclose(
                getattr(part, curve), values, rtol=1e-11, atol=1e-12 * scale, err_msg=curve
            )


@pytest.mark.parametrize("held", [1, 7_000, 10**9])
def test_no_more_predictions_are_held_at_once_than_asked_for(held, monkeypatch):
    """A skeleton gives all times at once, of as many rows as that allows, of one at least."""
    asked = []
    monkeypatch.setattr(exact_curves, "_LEAST_WORK", 0)
    monkeypatch.setattr(exact_curves, "find_skeletons", lambda *_, n_time: "found")
    monkeypatch.setattr(
        exact_curves, "skeleton_curves", lambda *_, **options: asked.append(options)
    )
    frame = a_frame()
    basis, times = project(frame), jnp.asarray(TIMES)
    rule = GradientDescent(1.0)
    with without_type_checks():  # neither of the two stands for what it gives
        exact_curves.metric_curves(rule, frame, basis, times, chunk_elements=held)
    (options,) = asked
    assert options["skeletons"] == "found"
    assert options["rows"] == 1 or options["rows"] * len(TIMES) * 3 <= held
    assert options["rows"] <= N


@pytest.mark.parametrize("top", ["isolated", "clustered"])
def test_the_error_is_measured_on_every_mode_and_is_small(top):
    """Against the filter in NumPy: 1 − (1 − ηλ)ᵗ is what multiplies a label in f_t."""
    eigenvalues = EIGENVALUES if top == "isolated" else np.geomspace(1.0, 1e-5, N)
    retrieved = 1 - (1 - eigenvalues[None, :]) ** TIMES[:, None]
    found = sk.find_skeleton(
        GradientDescent(1.0),
        jnp.asarray(eigenvalues),
        jnp.asarray(eigenvalues),
        chunks=CHUNKS,
        n_time=len(TIMES),
    )
    worst = 0.0
    for block, picked, combination in zip(
        found.blocks, found.picked, found.combination, strict=True
    ):
        rows = np.searchsorted(TIMES, np.asarray(found.steps)[picked])
        deviation = np.abs(combination @ retrieved[rows][:, block] - retrieved[:, block])
        worst = max(worst, np.max(deviation.max(axis=1) / retrieved[:, block].max(axis=1)))
    # NumPy's own power of numbers near 1 keeps some 12 digits.
    assert worst < 1e-11
    assert float(found.error) < 1e-12


def test_a_combination_that_is_off_is_found_out():
    values = jnp.asarray(EIGENVALUES)
    rule = GradientDescent(1.0)
    found = sk.find_skeleton(rule, values, values, chunks=CHUNKS, n_time=len(TIMES))
    for block in (0, len(found.blocks) - 1):
        off = eqx.tree_at(
            lambda s, block=block: s.combination[block],
            found,
            found.combination[block].at[-1].multiply(1 + 1e-6),
        )
        error = float(sk._largest_error(rule, values, values, CHUNKS, skeleton=off))
        np.testing.assert_allclose(error, 1e-6, rtol=1e-3)


@pytest.mark.parametrize(
    ("rule", "eigenvalues", "times"),
    [
        (GradientDescent(1.0), EIGENVALUES, TIMES[:20]),  # few times
        (GradientDescent(1.0), EIGENVALUES[:100], TIMES),  # few modes
        (GradientDescent(2.5), EIGENVALUES, TIMES),  # beyond all numbers
        (HeavyBall(1.0, 1 - 1e-9), np.linspace(1, 0.5, N), TIMES),  # modes that swing apart
    ],
)
def test_no_skeleton_where_it_would_save_little_or_miss(rule, eigenvalues, times):
    values = jnp.asarray(eigenvalues)
    chunks = in_chunks(times, len(times))
    assert sk.find_skeleton(rule, values, values, chunks=chunks, n_time=len(times)) is None


def test_a_block_of_zero_modes_and_time_zero_stand_still():
    values = jnp.asarray(np.where(np.arange(N) < 250, EIGENVALUES, 0.0))
    times = np.concatenate([[0.0], TIMES[1:]])
    chunks = in_chunks(times, CHUNKS.shape[1])
    found = sk.find_skeleton(GradientFlow(1.0), values, values, chunks=chunks, n_time=len(times))
    assert float(found.error) < 1e-12
    np.testing.assert_array_equal(found.combination[-1], 0)
    np.testing.assert_array_equal(found.combination[0][0], 0)


def test_a_combination_that_is_not_a_number_is_found_out():
    values = jnp.asarray(EIGENVALUES)
    rule = GradientDescent(1.0)
    found = sk.find_skeleton(rule, values, values, chunks=CHUNKS, n_time=len(TIMES))
    broken = eqx.tree_at(lambda s: s.combination[1], found, found.combination[1].at[3].set(jnp.nan))
    assert np.isinf(sk._largest_error(rule, values, values, CHUNKS, skeleton=broken))


def temporary_bytes(n_time):
    """Of the compiled curves at ``n_time`` times, from 2 blocks of 4 picked times each."""
    frame = a_frame(with_held_out=False)
    train = sk.Skeleton(
        steps=jnp.arange(8.0),
        picked=(jnp.arange(4), jnp.arange(4, 8)),
        combination=(jnp.ones((n_time, 4)), jnp.ones((n_time, 4))),
        bounds=(0, 150, N),
        error=jnp.zeros(()),
    )
    rows = chunk_length(N, 15_000 // (n_time * 3))
    compiled = skeleton_curves.lower(
        GradientDescent(1.0),
        frame,
        project(frame),
        in_chunks(np.arange(float(n_time)), 10),
        skeletons=Skeletons(train=train, held_out=None),
        rows=rows,
    ).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_memory_grows_by_the_curves_and_weights_and_not_by_predictions():
    # Predictions at one time are n_train · n_out = 900 numbers.
    assert temporary_bytes(1000) - temporary_bytes(100) < 900 * 100 * 8


def test_skeletons_lower_for_every_platform():
    rule, frame = GradientDescent(1.0), a_frame(with_held_out=False)
    basis = project(frame)
    skeletons = find_skeletons(rule, frame, basis, CHUNKS, n_time=len(TIMES))
    modes = jnp.asarray(sk._sampled_modes(EIGENVALUES, skeletons.train.bounds))

    def every_part(run, skeletons, modes, times):
        frame, basis, chunks = run
        values = frame.eigenvalues
        return (
            sk._sampled_curves(rule, values, values, modes=modes, times=times),
            sk._largest_error(rule, values, values, chunks, skeleton=skeletons.train),
            skeleton_curves(rule, frame, basis, chunks, skeletons=skeletons, rows=128),
        )

    assert_lowers(every_part, (frame, basis, CHUNKS), skeletons, modes, jnp.asarray(TIMES))


def test_chunks_are_of_equal_length_and_pad_little():
    assert [chunk_length(200, largest) for largest in (26, 200, 1000, 1, 0)] == [25, 200, 200, 1, 1]
    chunks = in_chunks(np.arange(7.0), 3)
    np.testing.assert_array_equal(chunks, [[0, 1, 2], [3, 4, 5], [6, 6, 6]])
