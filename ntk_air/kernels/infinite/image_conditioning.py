"""What rounding does to deep kernels of images: what single images tell, and a second rounding."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air.kernels.infinite.conditioning import Probe
from ntk_air.kernels.infinite.elementwise import safe_divide
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair
from ntk_air.kernels.infinite.image_matrix import of_images
from ntk_air.kernels.infinite.pixel_covariances import (
    BlockMoments,
    Recipe,
    image_moments,
    neighbours,
    window_means,
)


@eqx.filter_jit
def probe_images(
    recipe: Recipe, variances: Float[Array, " two"], x: Float[Array, "n h w c"]
) -> Probe:
    """Follow each position of each image, its like at a tiny distance, and changes of all."""

    def look(images: Array) -> Probe:
        def kernel(change: Float[Array, " three"]) -> tuple[Array, tuple[Array, Array]]:
            longer, heavier, steeper = 1 + change
            changed = jnp.stack([variances[0] * heavier, variances[1]])
            moments = image_moments(recipe, changed, images * jnp.sqrt(longer))
            found, spread = _follow(recipe, changed, moments, steeper)
            largest = [jnp.max(block.behind, (0, 1, 2)) for block in moments]
            rows = jnp.max(jnp.stack(largest), 0), jnp.full(images.shape[-1], spread)
            blank = found == 0
            return jnp.where(blank, 0, jnp.log(jnp.where(blank, 1, found))), rows

        slopes, (variance, spread) = jax.jacfwd(kernel, has_aux=True)(jnp.zeros(3, x.dtype))
        return Probe(variance, spread, *jnp.abs(slopes.T))

    found = of_images(look, x)
    return found._replace(variance=found.variance.max(), spread=found.spread.max())


def changes_of_pairs(
    matrix: Float[Array, "n1 n2"], anew: Float[Array, "n1 n2"], scales: tuple[Array, Array]
) -> np.ndarray:
    """What another rounding changes, by the kernel or the root of the images' variances."""
    scale = jnp.sqrt(scales[0])[:, None] * jnp.sqrt(scales[1])
    return np.asarray(safe_divide(jnp.abs(matrix - anew), jnp.maximum(jnp.abs(matrix), scale)))


def _follow(
    recipe: Recipe, variances: Array, moments: list[BlockMoments], steeper: Array
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """The kernel of corresponding positions, and by how much layers multiply a small 1 − cos θ.

    In each layer that is by what they do at the position where it is most. What each κ̇ is
    multiplied by is 1, and there to be differentiated.
    """
    weight, bias = variances
    near = float(jnp.finfo(weight.dtype).tiny) ** 0.5

    def spread_by(ratio: Array, total: Array) -> Array:
        return jnp.maximum(total, 0) + jnp.log(jax.lax.stop_gradient(ratio).max())

    def convolved(x: Array) -> Array:
        return weight / 9 * sum(neighbours(x, (0,), (1,)))

    def step(state: tuple[Array, Array, Array, Array], behind: Array):
        kernel, gap, total, most = state
        total = spread_by(safe_divide(convolved(gap), behind), total)
        one = jnp.ones_like(behind)
        dual = recipe.activation.dual(GaussianPair(behind, behind, one, near * one, one > 0))
        slope = steeper * dual.derivative_product
        kernel = dual.post.variance1 + slope * (convolved(kernel) + bias)
        gap = dual.post.variance1 * dual.post.folded_gap / near
        return (kernel, gap, total, jnp.maximum(most, total)), None

    zero = jnp.zeros((), weight.dtype)
    kernel = gap = moments[0].before[0]
    total = most = parted = zero
    for block in moments:
        (kernel, gap, total, most), _ = jax.lax.scan(step, (kernel, gap, total, most), block.behind)
        parted = safe_divide(gap, block.last).max()
        if block.within is not None:
            kernel, gap = window_means(kernel, (0, 1)), parted * block.mean_norm**2
    most = jnp.maximum(most, spread_by(parted, total))
    outputs = kernel if recipe.kernel == "ntk" else moments[-1].last
    return weight * jnp.mean(outputs, (0, 1)) + bias, jnp.exp(most)
