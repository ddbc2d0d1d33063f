"""What tests of networks on images share: loops over pixels, draws beside their expectation."""

import jax
import jax.numpy as jnp
import numpy as np

X = np.random.default_rng(0).standard_normal((3, 4, 4, 2))
VARIANCES = {"weight_variance": 1.7, "bias_variance": 0.3}


def layer_by_hand(layer, parametrisation):
    """Effective weight and bias of a layer, by the formula of ``LayerScales``."""
    weight, bias = np.asarray(layer["weight"]), np.asarray(layer["bias"])
    if parametrisation == "standard":
        return weight, bias
    fan_in = weight.size // weight.shape[-1]
    scale, shift = VARIANCES["weight_variance"] / fan_in, VARIANCES["bias_variance"]
    return weight * np.sqrt(scale), bias * np.sqrt(shift)


def convolved(images, weight, bias):
    """A 3 × 3 convolution padded with zeros, pixel by pixel."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    made = np.zeros((*images.shape[:3], weight.shape[-1]))
    for row, column in np.ndindex(images.shape[1:3]):
        patch = padded[:, row : row + 3, column : column + 3]
        made[:, row, column] = np.einsum("nhwc,hwcm->nm", patch, weight) + bias
    return made


def deviations_from_expectation(network, ntk, nngp, *, n_draws):
    """How many standard errors E[Θ_m] and E[ffᵀ] lie off, and the largest relative error."""

    def draw(key):
        params = network.init(key, X.shape[3])
        jacobian = jax.jacobian(lambda p: network.apply(p, X)[:, 0])(params)
        rows = jnp.concatenate([leaf.reshape(len(X), -1) for leaf in jax.tree.leaves(jacobian)], 1)
        outputs = network.apply(params, X)[:, 0]
        return rows @ rows.T, jnp.outer(outputs, outputs)

    # One after another: a batch of convolutions with filters of their own is slow on a CPU.
    keys = jax.random.split(jax.random.key(1), n_draws)
    found = jax.jit(lambda keys: jax.lax.map(draw, keys))(keys)
    scores, errors = [], []
    for draws, wanted in zip(map(np.asarray, found), (ntk, nngp), strict=True):
        error = draws.std(axis=0) / np.sqrt(n_draws)
        scores.append((draws.mean(axis=0) - np.asarray(wanted, float)) / error)
        errors.append(error / np.abs(np.asarray(wanted, float)).max())
    return np.abs(scores).max(), np.max(errors)
