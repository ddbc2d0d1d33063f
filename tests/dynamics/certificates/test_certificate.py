"""The tail certificate against long plain runs, and against cases built to fool it."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntk_air.dynamics.certificates import tail_bounds as bounds_module
from ntk_air.dynamics.certificates.certificate import RunState, certify_pattern
from ntk_air.dynamics.certificates.tail_bounds import tail_basis
from tests.dynamics.certificates.runs import hard, margins, self_distilled
from tests.dynamics.reference import one_hot, spectrum_of, step_by_step
from tests.helpers.lowering import assert_lowers

N_CLUSTERS, PER_CLUSTER = 4, 10
N = N_CLUSTERS * PER_CLUSTER
CLUSTER_OF = np.repeat(np.arange(N_CLUSTERS), PER_CLUSTER)


def clustered_kernel(*, spread=0.2, seed=0):
    """A Gaussian kernel on tight clusters around orthogonal centres: positive definite."""
    rng = np.random.default_rng(seed)
    points = np.eye(N_CLUSTERS)[CLUSTER_OF] + spread * rng.normal(size=(N, N_CLUSTERS))
    square = ((points[:, None] - points[None]) ** 2).sum(-1)
    return np.exp(-square)


def clustered_labels(n_out, *, flips_per_cluster, seed=0):
    """Labels constant on clusters, and as many flipped in each cluster as asked for."""
    rng = np.random.default_rng(seed)
    flipped = np.zeros(N, dtype=bool)
    for cluster, flips in enumerate(flips_per_cluster):
        flipped[rng.choice(np.flatnonzero(cluster == CLUSTER_OF), flips, replace=False)] = True
    if n_out == 1:
        clean = np.where(CLUSTER_OF % 2, 1.0, -1.0)[:, None]
        return clean, np.where(flipped[:, None], -clean, clean)
    classes = CLUSTER_OF % n_out
    return one_hot(classes, n_out), one_hot(np.where(flipped, classes + 1, classes) % n_out, n_out)


def power_weights(exponent, scale=1.0):
    return lambda step: (1.0 + np.asarray(step) / scale) ** -exponent


def tail_of(weights, start):
    """The weights from ``start`` on, for an array of steps after it; they tend to 0."""
    return lambda after: np.where(
        np.isinf(after), 0.0, weights(start + np.where(np.isinf(after), 0, after))
    )


def check_against_run(certificate, run, *, start):
    """Everything the certificate says, at every later step of a plain run."""
    pattern = np.asarray(certificate.pattern)
    row_bounds = np.asarray(certificate.bounds)
    for step, predictions in run.items():
        if step < start:
            continue
        np.testing.assert_array_equal(hard(predictions), pattern)
        assert (np.abs(predictions - pattern) <= row_bounds).all()
        rms = np.linalg.norm(predictions - pattern) / np.sqrt(len(pattern))
        assert rms <= certificate.rms_bound


@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("flips", [1, 2, 3])
def test_a_certified_run_keeps_its_labels_within_all_bounds(n_out, flips):
    kernel = clustered_kernel()
    basis = tail_basis(spectrum_of(kernel))
    rate = 1.0 / basis.largest
    clean, noisy = clustered_labels(n_out, flips_per_cluster=[flips] * N_CLUSTERS)
    weights, start = power_weights(1.0, scale=5.0), 200
    run = self_distilled(kernel, noisy, weights, rate=rate, steps=range(6000))
    certificate = certify_pattern(
        basis,
        RunState(run[start], noisy, start),
        weights=tail_of(weights, start),
        learning_rate=rate,
        pattern=clean,
    )
    assert certificate.issued, certificate.reason
    check_against_run(certificate, run, start=start)
    for step in (200, 201, 230, 500, 2000, 5999):
        assert certificate.margin_bound(step) <= margins(run[step], clean).min()
        rms = np.linalg.norm(run[step] - clean) / np.sqrt(N)
        assert rms <= certificate.distance_bound(step)
    # Far out every mode has converged and α is spent: the margin is proved to tend to 1.
    bound = [certificate.margin_bound(step) for step in (200, 10**4, 10**6, 10**9)]
    assert bound == sorted(bound)
    assert 1 - bound[-1] < 1e-3
    assert 1 - certificate.margin_bound(math.inf) < 1e-8


@settings(max_examples=40, deadline=None)
@given(
    labels=st.fixed_dictionaries(
        {
            "n_out": st.sampled_from([1, 3]),
            "flips_per_cluster": st.lists(
                st.integers(0, 6), min_size=N_CLUSTERS, max_size=N_CLUSTERS
            ),
            "seed": st.integers(0, 3),
        }
    ),
    weights=st.builds(
        power_weights, st.sampled_from([0.0, 0.3, 1.0, 1.5]), st.sampled_from([1.0, 30.0])
    ),
    start=st.sampled_from([1, 10, 60, 300]),
    fraction=st.sampled_from([0.1, 0.7, 1.0]),
)
def test_whatever_is_certified_comes_true(labels, weights, start, fraction):
    seed = labels["seed"]
    kernel = clustered_kernel(spread=0.1 + 0.1 * seed, seed=seed)
    basis = tail_basis(spectrum_of(kernel))
    rate = fraction / basis.largest
    _, noisy = clustered_labels(**labels)
    run = self_distilled(kernel, noisy, weights, rate=rate, steps=range(1500))
    certificate = certify_pattern(
        basis,
        RunState(run[start], noisy, start),
        weights=weights(np.arange(start, start + 1500.0)),
        learning_rate=rate,
    )
    if certificate.issued:
        check_against_run(certificate, run, start=start)


def certificate_at(start, *, flips=(2, 2, 2, 2), n_out=1, schedule=None, fraction=1.0, **told):
    """The certificate of a clustered run, told its weights and clean labels unless others are."""
    kernel = clustered_kernel()
    basis = tail_basis(spectrum_of(kernel))
    rate = fraction / basis.largest
    clean, noisy = clustered_labels(n_out, flips_per_cluster=flips)
    schedule = power_weights(1.0, scale=5.0) if schedule is None else schedule
    outputs = self_distilled(kernel, noisy, schedule, rate=rate, steps=[start])[start]
    weights = schedule(np.arange(start, start + 2000.0))
    options = {"weights": weights, "pattern": clean} | told
    return certify_pattern(basis, RunState(outputs, noisy, start), learning_rate=rate, **options)


@pytest.mark.parametrize("n_out", [1, 3])
def test_a_wrong_majority_is_certified_final_but_never_clean(n_out):
    wrong = {"flips": (2, 6, 2, 2), "n_out": n_out}
    clean = clustered_labels(n_out, flips_per_cluster=wrong["flips"])[0]
    for start in (10, 100, 1000):
        refused = certificate_at(start, **wrong)
        assert not refused.issued
        assert "differ from the pattern" in refused.reason
    final = certificate_at(1000, **wrong, pattern=None)
    assert final.issued
    cluster = CLUSTER_OF == 1
    assert (hard(np.asarray(final.pattern)) != clean)[cluster].any(axis=1).all()


def test_constant_weight_that_memorises_is_refused():
    assert not certificate_at(100, schedule=np.ones_like).issued
    # 60 % on the noisy labels ends with the flipped rows on the wrong side, 1 − 2·0.6 < 0.
    refused = certificate_at(100, schedule=lambda step: np.full_like(step, 0.6, dtype=float))
    assert not refused.issued
    assert "exceeds its margin" in refused.reason


def test_noise_that_is_still_to_come_is_reckoned_with():
    """At f = y nothing is wrong yet; what breaks the pattern is α alone."""
    kernel = clustered_kernel()
    basis = tail_basis(spectrum_of(kernel))
    clean, noisy = clustered_labels(1, flips_per_cluster=[2] * 4)
    rate = 1.0 / basis.largest
    run = self_distilled(kernel, noisy, lambda step: 0.6, rate=rate, steps=[20_000], initial=clean)
    assert (hard(run[20_000]) != clean).any()
    state = RunState(clean, noisy)
    refused = certify_pattern(basis, state, weights=0.6, learning_rate=rate)
    assert not refused.issued
    assert certify_pattern(basis, state, weights=0.05, learning_rate=rate).issued


def test_a_small_constant_weight_keeps_its_own_remainder():
    certificate = certificate_at(500, schedule=lambda step: np.full_like(step, 0.02, dtype=float))
    assert certificate.issued
    limit = certificate.margin_bound(math.inf)
    # f_∞ = y + αξ (6a): the smallest margin tends to 1 − 2α, and is not promised more.
    assert limit <= 1 - 2 * 0.02
    assert limit > 0


def growing_for_ever(after):
    return np.where(np.isinf(after), 0.01, 0.01 * (1 - 1 / (1 + np.minimum(after, 1e18))))


def growing_late(after):
    return np.where(after > 10**6, 0.5, 1 / (1 + np.minimum(after, 1e6)))


@pytest.mark.parametrize(
    "weights",
    [
        np.linspace(0.0, 1e-3, 50),
        np.append(np.linspace(1e-3, 0.0, 50), 0.5),
        growing_for_ever,
        growing_late,
    ],
)
def test_growing_weights_are_refused_wherever_they_grow(weights):
    refused = certificate_at(100, weights=weights)
    assert not refused.issued
    assert "the weights grow" in refused.reason


def test_a_rate_above_one_over_the_largest_eigenvalue_is_refused():
    refused = certificate_at(100, fraction=1.001)
    assert not refused.issued
    assert refused.reason == "ηλ₁ = 1.001 is above 1: modes overshoot"
    assert certificate_at(100, fraction=1.0).issued


def test_ties_and_near_ties_are_refused():
    kernel = clustered_kernel()
    basis = tail_basis(spectrum_of(kernel))
    for n_out in (1, 3):
        clean, _ = clustered_labels(n_out, flips_per_cluster=[0] * 4)
        for nudge, reason in ((0.0, "differ from the pattern, or tie"), (1e-12, "exceeds")):
            outputs = clean.copy()
            outputs[7] = 0.0 if n_out == 1 else outputs[7].mean()
            outputs[7] += nudge * clean[7]
            state = RunState(outputs, clean)
            refused = certify_pattern(basis, state, weights=0.0, learning_rate=0.05, pattern=clean)
            assert not refused.issued
            assert reason in refused.reason
            if nudge == 0:
                final = certify_pattern(basis, state, weights=0.0, learning_rate=0.05)
                assert not final.issued


def test_zero_modes_leave_a_remainder_that_is_reported_and_real():
    rng = np.random.default_rng(0)
    clean, noisy = clustered_labels(1, flips_per_cluster=[1] * 4)
    # A kernel that knows the clusters and nothing else: rank 4 of 40.
    members = np.eye(N_CLUSTERS)[CLUSTER_OF]
    kernel = members @ members.T
    basis = tail_basis(spectrum_of(kernel))
    rate = 1.0 / basis.largest
    initial = 0.02 * rng.normal(size=clean.shape)
    weights = power_weights(1.5)
    run = self_distilled(kernel, noisy, weights, rate=rate, steps=range(20_001), initial=initial)
    certificate = certify_pattern(
        basis,
        RunState(run[100], noisy, 100),
        weights=tail_of(weights, 100),
        learning_rate=rate,
        pattern=clean,
    )
    assert certificate.issued
    check_against_run(certificate, run, start=100)
    left = np.linalg.norm(run[20_000] - clean) / np.sqrt(N)
    np.testing.assert_allclose(certificate.unmoved_rms, left, rtol=1e-4)
    limit = certificate.margin_bound(math.inf)
    assert limit <= margins(run[20_000], clean).min()
    assert limit < 0.99


@pytest.mark.parametrize("n_out", [1, 3])
def test_bounds_are_wider_than_the_bare_sum_by_the_stated_allowance(n_out):
    certificate = certificate_at(200, n_out=n_out)
    kernel, start = clustered_kernel(), 200
    values, vectors = np.linalg.eigh(kernel)
    clean, noisy = clustered_labels(n_out, flips_per_cluster=(2, 2, 2, 2))
    weights = power_weights(1.0, scale=5.0)
    outputs = self_distilled(kernel, noisy, weights, rate=1 / values[-1], steps=[start])[start]
    modes = np.maximum(
        np.abs(vectors.T @ (outputs - clean)), weights(start) * np.abs(vectors.T @ (noisy - clean))
    )
    bare = np.abs(vectors) @ modes
    assert (np.asarray(certificate.bounds) > bare).all()
    # 40 eigenvalues well apart: all that is added is rounding, and it is small.
    assert 0 < certificate.rounding_allowance < 1e-3
    assert (np.asarray(certificate.bounds) - bare).max() < 0.1 * bare.max()


def test_a_stated_step_rounding_is_really_covered():
    """A run whose residuals are disturbed at each step, as badly as was said, obeys the bounds."""
    kernel = clustered_kernel()
    basis = tail_basis(spectrum_of(kernel))
    rate, rounding, start = 1.0 / basis.largest, 1e-3, 200
    clean, noisy = clustered_labels(1, flips_per_cluster=[2] * 4)
    weights = power_weights(1.0, scale=5.0)
    outputs = self_distilled(kernel, noisy, weights, rate=rate, steps=[start])[start]
    certificate = certify_pattern(
        basis,
        RunState(outputs, noisy, start),
        weights=tail_of(weights, start),
        learning_rate=rate,
        pattern=clean,
        step_rounding=rounding,
    )
    assert certificate.issued
    worst_mode = np.linalg.eigh(kernel)[1][:, :1]  # always the same way, where it adds up

    def target(step, predictions):
        weight = weights(start + step)
        return weight * noisy + (1 - weight) * hard(predictions) + rounding * worst_mode

    run = step_by_step(
        kernel, target, learning_rate=rate, steps=range(0, 30_000, 100), initial=outputs
    )
    disturbed = {start + step: predictions for step, (predictions, _) in run.items()}
    check_against_run(certificate, disturbed, start=start)
    assert certificate.rounding_allowance > rounding


def test_a_poor_decomposition_widens_the_bounds_and_a_false_one_is_refused():
    kernel = clustered_kernel()
    spectrum = spectrum_of(kernel)
    _, noisy = clustered_labels(1, flips_per_cluster=[1] * 4)
    weights = power_weights(1.0, scale=5.0)
    rate = 0.9 / spectrum.lambda_max
    run = self_distilled(kernel, noisy, weights, rate=rate, steps=range(3000))
    common = {"weights": weights(np.arange(300, 3300.0)), "learning_rate": rate}
    state = RunState(run[300], noisy, 300)
    good = certify_pattern(tail_basis(spectrum), state, **common)

    allowances = [good.rounding_allowance]
    for size in (1e-12, 1e-9, 1e-2):
        noise = size * np.random.default_rng(1).normal(size=kernel.shape)
        nearby = spectrum_of(kernel + noise + noise.T)
        # The decomposition of a neighbour, held to what it does to the kernel itself.
        residuals = kernel @ nearby.eigenvectors - nearby.eigenvectors * nearby.eigenvalues
        poor = eqx.tree_at(
            lambda s: s.residuals,
            nearby,
            jnp.linalg.norm(residuals, axis=0) / nearby.eigenvalues[0],
        )
        certificate = certify_pattern(tail_basis(poor), state, **common)
        allowances.append(certificate.rounding_allowance)
        if certificate.issued:
            check_against_run(certificate, run, start=300)
    assert allowances == sorted(allowances)
    assert not certificate.issued
    assert "the decomposition is off" in certificate.reason


def test_bounds_lower_for_every_platform():
    basis = tail_basis(spectrum_of(clustered_kernel()))
    labels = jnp.ones((N, 2))
    tail = bounds_module.Tail(labels, labels, *(jnp.asarray(x) for x in (0.1, 0.1, 1e-9)))
    moment = bounds_module.Moment(*(jnp.asarray(x) for x in (5.0, 2.0, 0.05)))
    partition = basis.partitions[0]

    def bounds(of_the_basis, tail, moment):
        return bounds_module._bounds(*of_the_basis, tail=tail, moment=moment)

    assert_lowers(bounds, (basis.eigenvectors, basis.defects, partition), tail, moment)


def test_the_weight_of_a_certificate_is_at_least_all_weights_stated():
    basis = tail_basis(spectrum_of(np.diag([2.0, 1.0])))
    labels = np.array([[1.0], [-1.0]])
    rounded_up = 0.2 * (1 + 0.9e-12)  # growth that is taken for rounding
    certificate = certify_pattern(
        basis, RunState(labels, labels), weights=[0.2, rounded_up], learning_rate=0.5
    )
    assert certificate.issued
    assert float(certificate._tail.weight) >= rounded_up > 0.2
