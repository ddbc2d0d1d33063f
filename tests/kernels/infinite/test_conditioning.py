"""Refusals where roundings would show, built so that each of their parts decides."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.infinite.activations.by_name import as_activation
from ntk_air.kernels.infinite.conditioning import Probe, check_depth, check_pairs
from ntk_air.kernels.infinite.recursion import Recipe

X = np.random.default_rng(0).standard_normal((1, 6)).astype(np.float32)


@pytest.mark.parametrize(("by_norm", "by_weight"), [(27.0, 40.0), (50.0, 0.0), (0.0, 90.0)])
def test_roundings_of_norms_and_of_weights_add_up(by_norm, by_weight):
    """Each norm is wrong by 2ε, each weight by ε: above 1e-5, and with a fifth less below it."""
    recipe, used = Recipe(as_activation("erf"), 4, None, "ntk"), jnp.ones((), np.float32)

    def probed(share):
        single = (jnp.asarray(number, np.float32) for number in (1.0, 1.0))
        return Probe(*single, *(jnp.full(1, share * by, np.float32) for by in (by_norm, by_weight)))

    check_depth("x", recipe, used, 1.0, probed=probed(0.8))
    with pytest.raises(ValueError, match=r"got depth 4, which multiplies .* to 1\.[0-3]e-05"):
        check_depth("x", recipe, used, 1.0, probed=probed(1))


def test_inputs_that_layers_take_apart_by_half_of_their_digits_are_refused():
    """1 − cos grows 8.3e6 times, which leaves digits, and fewer than five."""
    recipe = Recipe(as_activation("sine"), 12, "normal", "ntk")
    variances = jnp.asarray([8.0, 0.1], np.float32)
    near = jnp.asarray(X), jnp.asarray(X * np.float32(1 + 1e-4))
    with pytest.raises(ValueError, match=r"got depth 12, which multiplies 1 − cos .* up to 8\.3e"):
        check_pairs("x1 and x2", recipe, variances, near, spread=8.3e6)
