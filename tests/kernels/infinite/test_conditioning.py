"""Refusals where roundings would show, built so that each of their parts decides."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.infinite.activations.by_name import as_activation
from ntk_air.kernels.infinite.conditioning import Probe, check_depth, check_pairs
from ntk_air.kernels.infinite.recursion import Recipe

X = jnp.asarray(np.random.default_rng(0).standard_normal((1, 6)), np.float32)


@pytest.mark.parametrize(
    "by",  # norm, weight, slope
    [(27.0, 40.0, 0.0), (50.0, 0.0, 0.0), (0.0, 90.0, 0.0), (0.0, 0.0, 60.0), (15.0, 30.0, 20.0)],
)
def test_roundings_of_norms_weights_and_slopes_add_up(by):
    """Of 2ε, of ε and of 1.5ε each: above 1e-5, and with a fifth less below it."""
    recipe, used = Recipe(as_activation("erf"), 4, None, "ntk"), jnp.ones((), np.float32)

    def probed(share):
        single = (jnp.asarray(number, np.float32) for number in (1.0, 1.0))
        return Probe(*single, *(jnp.full(1, share * part, np.float32) for part in by))

    check_depth("x", recipe, used, 1.0, probed=probed(0.8))
    with pytest.raises(ValueError, match=r"got depth 4, which multiplies .* to 1\.[0-3]e-05"):
        check_depth("x", recipe, used, 1.0, probed=probed(1))


def test_a_quadrature_rounds_three_times_as_much_as_a_closed_form():
    erf = jax.scipy.special.erf
    probed = Probe(jnp.ones(()), jnp.ones(()), *(jnp.full(1, by) for by in (0.0, 40.0, 0.0)))
    for activation, refused in ((as_activation("erf"), False), (as_activation(erf), True)):
        recipe, used = Recipe(activation, 40, None, "nngp"), jnp.ones((), np.float32)
        with pytest.raises(ValueError, match=r"to 1\.4e-05") if refused else nullcontext():
            check_depth("x", recipe, used, 1.0, probed=probed)


def exchanged(x):
    return x[:, [1, 0, 2, 3, 4, 5]]


PARTED = jnp.ones((1, 6), np.float32).at[0, 0].add(2.0**-18)
LONGER, TURNED = X * np.float32(1 + 2**-22), X.at[0, 0].add(2.0**-6)


@pytest.mark.parametrize(
    ("weight", "near"),
    [
        (8.0, (X, X * np.float32(1 + 1e-4))),
        (6.0, (PARTED, exchanged(PARTED))),  # norms rounded to one number
        (24.0, (X, LONGER)),  # by what is left if they were one in truth
        (5.0, (X, TURNED)),  # the gap's roundings alone, in every layer
    ],
)
def test_inputs_that_layers_take_apart_by_more_than_is_known_are_refused(weight, near):
    recipe = Recipe(as_activation("sine"), 20, "normal", "ntk")
    variances = jnp.asarray([weight, 0.1], np.float32)
    message = r"got depth 20, which multiplies 1 − cos .* up to 8\.3e.*rows 0 and 0 by \d\.\de-0"
    with pytest.raises(ValueError, match=message):
        check_pairs("x1 and x2", recipe, variances, near, spread=8.3e6)
    check_pairs("x1 and x2", recipe, variances, (X, X), spread=8.3e6)
    check_pairs("x1 and x2", recipe, variances, (X, -X), spread=8.3e6)
