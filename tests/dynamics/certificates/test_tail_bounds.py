"""Bounds on a run's tail where there is little to spare."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics.certificates import tail_bounds as bounds_module
from ntk_air.dynamics.certificates.certificate import RunState, certify_pattern
from ntk_air.dynamics.certificates.tail_bounds import tail_basis
from tests.dynamics.certificates.runs import margins, self_distilled
from tests.dynamics.reference import spectrum_of


@pytest.mark.parametrize("eigenvalues", [[0.9, 0.05], [0.9, 0.8]])
def test_bounds_hold_where_they_are_tight(eigenvalues):
    """A weight that drops to 0, after which fast modes forget all noise that they took up."""
    rate, weights = 1.0, np.array([0.2, 0.2, 0.2, 0.0])
    kernel, noisy = np.diag(eigenvalues), np.array([[-1.0], [-1.0]])
    clean = np.ones((2, 1))
    basis = tail_basis(spectrum_of(kernel))
    initial = clean * 0.9
    run = self_distilled(
        kernel,
        noisy,
        lambda step: weights[min(step, 3)],
        rate=rate,
        steps=range(40),
        initial=initial,
    )
    certificate = certify_pattern(
        basis, RunState(initial, noisy), weights=weights, learning_rate=rate, pattern=clean
    )
    assert certificate.issued, certificate.reason
    nearest = 0.0
    for step, outputs in run.items():
        distance = np.linalg.norm(outputs - clean) / np.sqrt(2)
        assert distance <= certificate.distance_bound(step)
        assert margins(outputs, clean).min() >= certificate.margin_bound(step)
        nearest = max(nearest, distance / certificate.distance_bound(step))
    assert nearest > 0.7


def test_error_and_noise_of_a_group_of_modes_add_up_by_their_squares():
    """In one mode of a group there may be all error, in another all noise."""
    pair = bounds_module.Partition(
        group=jnp.array([0, 0]),
        alone=jnp.array([False, False]),
        size=jnp.array([2.0, 0.0]),
        angle=jnp.zeros(2),
        lowest=jnp.array([0.5, 0.0]),
        highest=jnp.array([0.5, 0.0]),
    )
    tail = bounds_module.Tail(
        error=jnp.zeros((2, 1)),
        noise=jnp.zeros((2, 1)),
        weight=jnp.array(0.8),
        learning_rate=jnp.array(1.0),
        step_rounding=jnp.array(0.0),
    )
    now = bounds_module.Moment(jnp.array(0.0), jnp.array(0.0), jnp.array(0.8))
    error, noise = jnp.array([[0.3], [0.0]]), jnp.array([[0.5], [0.0]])
    bound = bounds_module._group_bounds(pair, error, noise, tail=tail, moment=now)
    # While e keeps its 0.3 in one mode, another takes up to α·0.5 = 0.4 of noise.
    np.testing.assert_allclose(bound[0, 0], 0.5, rtol=1e-14)
