"""Posteriors against scikit-learn's Gaussian process, drawn networks, and the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

import ntk_air as na
from ntk_air.inference import products
from tests.helpers.type_checks import without_type_checks

RBF_KERNEL = RBF(length_scale=1.5)


@pytest.fixture(scope="module")
def regression():
    rng = np.random.default_rng(0)
    x, x_test = rng.normal(size=(30, 3)), rng.normal(size=(7, 3))
    targets = np.stack([np.sin(x[:, 0]), x[:, 1]], axis=1) + 0.1 * rng.normal(size=(30, 2))
    return x, x_test, targets


@pytest.fixture(scope="module")
def parts(regression):
    x, x_test, targets = regression
    return RBF_KERNEL(x), targets, RBF_KERNEL(x_test, x), RBF_KERNEL(x_test)


@pytest.fixture(scope="module")
def kernels(regression):
    """NTK and NNGP of all 37 inputs, and the ensemble made of their blocks."""
    net, inputs = na.DenseNTK(depth=2, bias_variance=0.5), np.concatenate(regression[:2])
    ntk, nngp = np.asarray(net.ntk(inputs)), np.asarray(net.nngp(inputs))
    ensemble = na.inference.NetworkEnsemble(
        na.decompose(ntk[:30, :30]), nngp[:30, :30], ntk[30:, :30], nngp[30:, :30], nngp[30:, 30:]
    )
    return net, ntk, nngp, ensemble


@pytest.mark.parametrize("by", ["cholesky", "spectrum"])
def test_mean_covariance_and_evidence_are_scikit_learns(regression, parts, by):
    x, x_test, targets = regression
    kernel, _, cross, prior = parts
    peer = GaussianProcessRegressor(RBF_KERNEL, alpha=0.01, optimizer=None).fit(x, targets)
    mean, covariance = peer.predict(x_test, return_cov=True)
    given = kernel if by == "cholesky" else na.decompose(kernel)
    found = na.inference.gp_posterior(given, targets, cross, prior, noise_variance=0.01)
    np.testing.assert_allclose(found.mean, mean, atol=1e-10)
    np.testing.assert_allclose(found.covariance, np.asarray(covariance)[..., 0], atol=1e-10)
    evidence = na.inference.log_marginal_likelihood(given, targets, noise_variance=0.01)
    np.testing.assert_allclose(evidence, peer.log_marginal_likelihood_value_, rtol=1e-11)


@pytest.mark.parametrize("by", ["cholesky", "spectrum"])
def test_left_out_labels_are_those_of_refits(parts, by):
    kernel, targets, _, _ = parts
    given = kernel if by == "cholesky" else na.decompose(kernel)
    found = na.inference.left_out(given, targets, noise_variance=0.05)
    total = 0.0
    for row in (0, 11, 29):
        rest = np.delete(np.arange(30), row)
        refit = na.inference.gp_posterior(
            kernel[np.ix_(rest, rest)],
            targets[rest],
            kernel[[row]][:, rest],
            kernel[[row]][:, [row]],
            noise_variance=0.05,
        )
        np.testing.assert_allclose(found.mean[row], refit.mean[0], atol=1e-11)
        np.testing.assert_allclose(found.variance[row], refit.variance[0] + 0.05, rtol=1e-10)
    for mean, target in zip(np.asarray(found.mean).T, targets.T, strict=True):
        for middle, value, variance in zip(mean, target, found.variance, strict=True):
            total += jax.scipy.stats.norm.logpdf(value, middle, variance**0.5)
    np.testing.assert_allclose(found.log_likelihood(targets), total, rtol=1e-11)


def test_an_ensemble_is_the_average_over_initialisations(regression, kernels):
    """Mean and covariance against 4,000 draws of f_0, each moved by descent's own steps."""
    _, ntk, nngp, ensemble = kernels
    targets, steps, rate = regression[2], 40, 0.9 / ensemble.ntk.lambda_max
    found = ensemble.posterior(targets[:, :1], na.filters.GradientDescent(rate), steps)
    noise = np.random.default_rng(1).normal(size=(37, 4_000))
    outputs = np.linalg.cholesky(nngp + 1e-12 * np.eye(37)) @ noise
    for _ in range(steps):
        outputs = outputs - rate * ntk[:, :30] @ (outputs[:30] - targets[:, :1])
    test = outputs[30:]
    deviation = np.sqrt(np.asarray(found.variance) / 4_000)
    assert np.all(np.abs(test.mean(1) - found.mean[:, 0]) < 5 * deviation)
    scale = np.sqrt(np.outer(found.variance, found.variance) * 2 / 4_000)
    assert np.all(np.abs(np.cov(test) - found.covariance) < 5 * scale)


def test_time_zero_is_the_prior_and_infinity_interpolates(regression, kernels):
    _, ntk, nngp, ensemble = kernels
    targets, flow = regression[2], na.filters.GradientFlow(1.0)
    start = ensemble.posterior(targets, flow, 0)
    assert np.all(start.mean == 0)
    np.testing.assert_allclose(start.covariance, nngp[30:, 30:], atol=1e-14)
    train = ntk[:30, :30], nngp[:30, :30]
    itself = na.inference.NetworkEnsemble(na.decompose(train[0]), train[1], *train, train[1])
    end = itself.posterior(targets, flow)
    np.testing.assert_allclose(end.mean, targets, atol=1e-8)
    assert np.max(end.variance) < 1e-8
    late, end = ensemble.posterior(targets, flow, 1e9), ensemble.posterior(targets, flow)
    np.testing.assert_allclose(late.covariance, end.covariance, atol=1e-8)


def test_an_ensemble_is_made_of_all_kernels(regression, kernels):
    net, *_, expected = kernels
    found = na.inference.network_ensemble(net, *regression[:2])
    for name in ("nngp", "ntk_cross", "nngp_cross", "nngp_test"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-14)
    np.testing.assert_allclose(found.ntk.eigenvalues, expected.ntk.eigenvalues, atol=1e-13)


def test_intervals_cover_what_they_say():
    """Labels drawn from the model: of 95 % and 50 % intervals as many cover, within 5 s.e."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 4))
    kernel = np.asarray(na.DenseNTK(depth=2).nngp(x))
    root = np.linalg.cholesky(kernel + 1e-10 * np.eye(60))
    functions = root @ rng.normal(size=(60, 200))  # a draw is an output: they share one posterior
    labels = functions + 0.3 * rng.normal(size=(60, 200))
    found = na.inference.gp_posterior(
        kernel[:50, :50], labels[:50], kernel[50:, :50], kernel[50:, 50:], noise_variance=0.09
    )
    covered = {0.5: [], 0.95: []}
    for level, shares in covered.items():
        for truth, noise in ((functions, 0.0), (labels, 0.09)):
            lower, upper = found.interval(level, noise_variance=noise)
            shares.extend(np.mean((lower <= truth[50:]) & (truth[50:] <= upper), axis=0))
    for level, shares in covered.items():
        error = np.std(shares) / len(shares) ** 0.5
        assert abs(np.mean(shares) - level) < 5 * error
        assert error < 0.02


def test_transformations_pass_through(parts):
    kernel, targets, cross, prior = map(jnp.asarray, parts)

    def variance(noise):
        found = na.inference.gp_posterior(kernel, targets, cross, prior, noise_variance=noise)
        return found.variance[0]

    def likelihood(noise):
        return na.inference.log_marginal_likelihood(kernel, targets, noise_variance=noise)

    noises = jnp.array([0.01, 0.1, 1.0])
    together = jax.vmap(jax.jit(variance))(noises)
    np.testing.assert_allclose(together, [variance(float(noise)) for noise in noises], rtol=1e-9)
    for function in (variance, likelihood):
        slope = (function(0.1 + 1e-5) - function(0.1 - 1e-5)) / 2e-5
        np.testing.assert_allclose(jax.grad(function)(0.1), slope, rtol=1e-7)


def test_a_hyperparameter_is_fitted_by_its_gradient(regression):
    """d ln p / dσ_w² through DenseNTK's own recursion, against a difference."""
    x, _, targets = regression

    def likelihood(scale):
        kernel = scale * na.DenseNTK(depth=2).nngp(jnp.asarray(x))
        return na.inference.log_marginal_likelihood(kernel, targets, noise_variance=0.1)

    slope = (likelihood(1 + 1e-5) - likelihood(1 - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(likelihood)(1.0), slope, rtol=1e-6)


@pytest.mark.parametrize("criterion", ["evidence", "leave-one-out", "gcv"])
def test_the_noise_chosen_is_the_best_of_its_criterion(parts, criterion):
    kernel, targets, _, _ = parts
    chosen = na.inference.choose_noise_variance(na.decompose(kernel), targets, criterion=criterion)

    def score(variance):
        if criterion == "evidence":
            return na.inference.log_marginal_likelihood(kernel, targets, noise_variance=variance)
        if criterion == "leave-one-out":
            found = na.inference.left_out(kernel, targets, noise_variance=variance)
            return found.log_likelihood(targets)
        smoother = kernel @ np.linalg.inv(kernel + variance * np.eye(30))
        share = np.trace(np.eye(30) - smoother) / 30
        return -np.sum((targets - smoother @ targets) ** 2) / 30 / 2 / share**2

    best = score(chosen.noise_variance)
    assert not chosen.at_end
    np.testing.assert_allclose(abs(best), abs(chosen.score), rtol=1e-8)
    for factor in (0.9, 1.1):
        assert score(chosen.noise_variance * factor) < best
    assert 0.002 < chosen.noise_variance < 0.05  # 0.01 made the labels


def test_products_alone_solve_the_same(parts):
    kernel, targets, _, _ = parts
    exact = np.linalg.solve(kernel + 1e-3 * np.eye(30), targets)
    plain = na.inference.solve_by_products(kernel, targets, noise_variance=1e-3, tolerance=1e-10)
    helped = na.inference.solve_by_products(
        kernel, targets, noise_variance=1e-3, top=na.decompose(kernel, top_k=15), tolerance=1e-10
    )
    for found in (plain, helped):
        assert found.converged
        np.testing.assert_allclose(found.dual, exact, rtol=1e-5, atol=1e-6 * np.abs(exact).max())
        true = np.linalg.norm(targets - (kernel + 1e-3 * np.eye(30)) @ found.dual, axis=0)
        np.testing.assert_allclose(
            found.residuals, true / np.linalg.norm(targets, axis=0), rtol=0.1
        )
    assert helped.n_products < plain.n_products / 1.5
    short = na.inference.solve_by_products(kernel, targets, noise_variance=1e-3, max_products=3)
    assert not short.converged
    assert short.n_products == 4


def test_whole_numbers_beyond_64_bits_are_numbers(parts):
    kernel, targets, _, _ = parts
    found, expected = (
        na.inference.log_marginal_likelihood(kernel, targets, noise_variance=large)
        for large in (2**64, float(2**64))
    )
    assert found == expected


def test_the_preconditioner_is_the_inverse_of_top_modes_and_a_level(parts):
    """M = V diag(λ)Vᵀ + λ_k(I − VVᵀ) + σ², in full."""
    top = na.decompose(parts[0], top_k=6)
    values, modes = np.asarray(top.eigenvalues), np.asarray(top.eigenvectors)
    outside = np.eye(30) - modes @ modes.T
    matrix = (modes * values) @ modes.T + values[-1] * outside + 0.3 * np.eye(30)
    vectors = np.random.default_rng(0).normal(size=(30, 2))
    found = products._preconditioned(matrix @ vectors, top, 0.3)
    np.testing.assert_allclose(found, vectors, atol=1e-12)


def test_bad_arguments_are_named(parts):
    kernel, targets, cross, prior = parts

    def refused(match, *arguments, noise_variance=0.1):
        with without_type_checks(), pytest.raises(ValueError, match=match):
            na.inference.gp_posterior(*arguments, noise_variance=noise_variance)

    refused("noise_variance must be a finite number", kernel, targets, cross, prior,
            noise_variance=-1.0)  # fmt: skip
    refused(r"targets must have one row.*got shape \(29, 2\)", kernel, targets[:29], cross, prior)
    refused(r"cross_kernel must have shape \(7, 30\)", kernel, targets, cross[:, :5], prior)
    refused(r"prior must have shape \(7, 7\)", kernel, targets, cross, prior[:, :5])
    refused("same dtype", kernel, targets.astype(np.float32), cross, prior)
    refused("targets must be finite", kernel, targets * np.nan, cross, prior)
    refused(r"kernel must be \(n_train, n_train\)", kernel[:, :4], targets, cross, prior)
    truncated = na.decompose(kernel, top_k=3)
    refused("spectrum must hold all modes; got 3 of 30", truncated, targets, cross, prior)
    singular = np.ones((30, 30))
    refused("positive definite", singular, targets, cross, prior, noise_variance=0)
    refused("positive definite", na.decompose(singular), targets, cross, prior, noise_variance=0)
    refused(
        "targets, cross_kernel and prior must be of a size", kernel, targets, 1e200 * cross, prior
    )
    for call in (na.inference.log_marginal_likelihood, na.inference.solve_by_products):
        with (
            np.errstate(all="ignore"),
            pytest.raises(ValueError, match="targets must be of a size"),
        ):
            call(kernel, 1e200 * targets, noise_variance=0.1)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        na.inference.gp_posterior(*parts, noise_variance=0.1).interval(1.0)
    with pytest.raises(ValueError, match="methods ntk and nngp; got RBF"):
        na.inference.network_ensemble(RBF_KERNEL, kernel, kernel)
    with without_type_checks(), pytest.raises(ValueError, match="criterion"):
        na.inference.choose_noise_variance(na.decompose(kernel), targets, criterion="aic")
    with pytest.raises(ValueError, match="time must be finite where the kernel is singular"):
        na.inference.NetworkEnsemble(
            na.decompose(singular), singular, cross, cross, prior
        ).posterior(targets, na.filters.GradientFlow(1.0))
