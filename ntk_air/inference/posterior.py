"""What a Gaussian process, or an ensemble of infinitely wide networks, says of held-out inputs.

All outputs share one kernel, so that they share one covariance. Arrays in, arrays out: ``jax.jit``,
``jax.grad`` and ``jax.vmap`` pass through; under them values are not inspected, only shapes.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.stats
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_inputs, check_same_dtype, check_same_features
from ntk_air._base.typing import (
    AnyArray,
    CrossKernel,
    Inputs,
    KernelMatrix,
    Targets,
    TestInputs,
)
from ntk_air.dynamics.filters.spectral import SpectralFilter
from ntk_air.inference.arguments import (
    Scalar,
    check_level,
    check_matrices,
    check_no_overflow,
    check_variance,
    checked_factor,
    is_traced,
)
from ntk_air.spectrum.decomposition import decompose
from ntk_air.spectrum.result import Spectrum


class Posterior(eqx.Module):
    """Mean and covariance of outputs at held-out inputs.

    Attributes:
        mean: means of the outputs, shape (n_test, n_out), in the unit of the labels.
        covariance: covariances between held-out inputs, the same for each output, shape
            (n_test, n_test), in the labels' unit squared.
    """

    mean: Float[Array, "n_test n_out"]
    covariance: Float[Array, "n_test n_test"]

    @property
    def variance(self) -> Float[Array, " n_test"]:
        """The variance of each output, (n_test,); rounding-negative ones are 0."""
        return jnp.maximum(jnp.diagonal(self.covariance), 0)

    def interval(
        self, level: float = 0.95, *, noise_variance: Scalar = 0.0
    ) -> tuple[Float[Array, "n_test n_out"], Float[Array, "n_test n_out"]]:
        """Lower and upper ends of central intervals, each of shape (n_test, n_out).

        Args:
            level: Probability that an interval covers, between 0 and 1.
            noise_variance: Variance σ² of label noise to be covered beside the output's own: 0 for
                the noiseless function, that of the fit for new labels.

        Raises:
            ValueError: A level outside (0, 1), a negative variance.
        """
        check_level(level)
        noise_variance = check_variance("noise_variance", noise_variance)
        deviation = jnp.sqrt(self.variance + noise_variance)[:, None]
        reach = jax.scipy.stats.norm.ppf(jnp.asarray((1 + level) / 2, self.mean.dtype)) * deviation
        return self.mean - reach, self.mean + reach


def gp_posterior(
    kernel: Spectrum | KernelMatrix,
    targets: Targets,
    cross_kernel: CrossKernel,
    prior: Float[AnyArray, "n_test n_test"],
    *,
    noise_variance: Scalar,
) -> Posterior:
    """The posterior of a Gaussian process, f ~ GP(0, K), given labels with noise of variance σ².

    Mean K_*(K + σ²)⁻¹ỹ and covariance K_** − K_*(K + σ²)⁻¹K_*ᵀ (Rasmussen, Williams 2006,
    section 2.2). With K the NNGP this is Bayesian inference in the infinitely wide network; with
    K the NTK the mean is kernel ridge regression, the limit of descent with weight decay.

    Args:
        kernel: Kernel K of the training inputs, shape (n_train, n_train), for a Cholesky factor;
            or its complete spectrum, which serves many σ² at the cost of one decomposition.
        targets: Labels ỹ, shape (n_train, n_out).
        cross_kernel: Kernel K_* of held-out with training inputs, shape (n_test, n_train).
        prior: Kernel K_** of the held-out inputs, shape (n_test, n_test).
        noise_variance: Variance σ² of the labels' noise, at least 0, in the labels' unit squared.

    Returns:
        The posterior of the noiseless function; ``interval`` adds σ² where asked.

    Raises:
        ValueError: Shapes or dtypes that disagree, values that are not finite, a truncated
            spectrum, a negative σ², or K + σ² that is not positive definite to rounding.

    Example:
        >>> import jax; jax.config.update("jax_enable_x64", True)
        >>> import numpy as np
        >>> import ntk_air as na
        >>> kernel, x, x_test = na.DenseNTK(depth=2).nngp, np.eye(3), np.ones((1, 3))
        >>> found = na.inference.gp_posterior(
        ...     kernel(x), np.ones((3, 1)), kernel(x_test, x), kernel(x_test), noise_variance=0.1
        ... )
        >>> found.mean.shape, bool(found.variance[0] < kernel(x_test)[0, 0])
        ((1, 1), True)
    """
    others = {"cross_kernel": cross_kernel, "prior": prior}
    factored = checked_factor(kernel, targets, noise_variance, others)
    half = factored.half_solve(jnp.asarray(cross_kernel).T)
    mean = half.T @ factored.half_solve(jnp.asarray(targets))
    found = Posterior(mean, jnp.asarray(prior) - half.T @ half)
    check_no_overflow("kernel, targets, cross_kernel and prior", found.mean, found.covariance)
    return found


class NetworkEnsemble(eqx.Module):
    """The kernels that an ensemble of infinitely wide networks is known by.

    Attributes:
        ntk: Complete spectrum of the NTK Θ of the training inputs.
        nngp: NNGP K of the training inputs, shape (n_train, n_train).
        ntk_cross: NTK Θ_* of held-out with training inputs, shape (n_test, n_train).
        nngp_cross: NNGP K_* of the same, shape (n_test, n_train).
        nngp_test: NNGP K_** of the held-out inputs, shape (n_test, n_test).
    """

    ntk: Spectrum
    nngp: KernelMatrix
    ntk_cross: CrossKernel
    nngp_cross: CrossKernel
    nngp_test: Float[AnyArray, "n_test n_test"]

    def posterior(self, targets: Targets, rule: SpectralFilter, time: Scalar = np.inf) -> Posterior:
        """Mean and covariance over initialisations after training all layers until a time.

        With H = g_t(Θ)/Θ the mean is Θ_*Hỹ and the covariance K_** + Θ_*HKHΘ_*ᵀ − Θ_*HK_*ᵀ −
        K_*HΘ_*ᵀ: each network is f_0 + Θ_*H(ỹ − f_0(X)) with f_0 ~ GP(0, K) (Lee et al. 2019,
        equations 14 to 16).

        Args:
            targets: Labels ỹ, shape (n_train, n_out).
            rule: Filter g of the training rule, such as ``na.filters.GradientFlow(rate)``.
            time: Number of steps t, at least 0; infinity is training to convergence.

        Raises:
            ValueError: Shapes or dtypes that disagree, a truncated spectrum, a time below 0; at
                infinity a Θ that is singular to rounding.

        Example:
            >>> import jax; jax.config.update("jax_enable_x64", True)
            >>> import numpy as np
            >>> import ntk_air as na
            >>> net, x, x_test = na.DenseNTK(depth=2), np.eye(3), np.ones((1, 3))
            >>> ensemble = na.inference.NetworkEnsemble(
            ...     na.decompose(net(x)), net.nngp(x), net(x_test, x), net.nngp(x_test, x),
            ...     net.nngp(x_test),
            ... )
            >>> start = ensemble.posterior(np.ones((3, 1)), na.filters.GradientFlow(0.1), 0)
            >>> bool(start.variance[0] == net.nngp(x_test)[0, 0])
            True
        """
        crosses = {"ntk_cross": self.ntk_cross, "nngp_cross": self.nngp_cross}
        check_matrices(self.ntk, targets, crosses | {"nngp_test": self.nngp_test})
        check_matrices(self.nngp, targets, {})
        dual = _dual(self.ntk, rule, time)
        rotate = self.ntk.eigenvectors
        weights = (jnp.asarray(self.ntk_cross) @ rotate * dual) @ rotate.T  # Θ_*H
        moved = weights @ jnp.asarray(self.nngp_cross).T
        covariance = jnp.asarray(self.nngp_test) + weights @ self.nngp @ weights.T
        found = Posterior(weights @ targets, covariance - moved - moved.T)
        check_no_overflow("targets and kernels", found.mean, found.covariance)
        return found


def network_ensemble(kernel: Any, x_train: Inputs, x_test: TestInputs) -> NetworkEnsemble:
    """Compute all kernels of an ensemble of infinitely wide networks.

    Args:
        kernel: Kernel with the methods ``ntk`` and ``nngp``, such as ``na.DenseNTK``.
        x_train: Training inputs, shape (n_train, *features).
        x_test: Held-out inputs, shape (n_test, *features).

    Raises:
        ValueError: A kernel without one of the two methods, inputs that it refuses.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> x = np.eye(3, dtype=np.float32)
        >>> na.inference.network_ensemble(na.DenseNTK(depth=2), x, x[:2]).ntk_cross.shape
        (2, 3)
    """
    for name in ("ntk", "nngp"):
        if not callable(getattr(kernel, name, None)):
            raise ValueError(
                f"kernel must have the methods ntk and nngp; got {type(kernel).__name__} "
                f"without {name}"
            )
    check_inputs("x_train", x_train)
    check_inputs("x_test", x_test)
    check_same_features("x_train", x_train, "x_test", x_test)
    check_same_dtype("x_train", x_train, "x_test", x_test)
    theta = kernel.ntk(x_train)
    precision = "float64" if theta.dtype == jnp.float64 else "float32"
    return NetworkEnsemble(
        ntk=decompose(theta, precision=precision),
        nngp=kernel.nngp(x_train),
        ntk_cross=kernel.ntk(x_test, x_train),
        nngp_cross=kernel.nngp(x_test, x_train),
        nngp_test=kernel.nngp(x_test),
    )


def _dual(ntk: Spectrum, rule: SpectralFilter, time: Scalar) -> Float[Array, " n_train"]:
    """g_t(λ)/λ of each mode."""
    if is_traced(time):
        return rule.response(ntk.eigenvalues, jnp.asarray(time)).dual
    if not time >= 0:
        raise ValueError(f"time must be at least 0; got {time}")
    if np.isfinite(time):
        return rule.response(ntk.eigenvalues, jnp.asarray(time, ntk.eigenvalues.dtype)).dual
    if not is_traced(ntk.eigenvalues) and ntk.n_below_precision:
        raise ValueError(
            f"time must be finite where the kernel is singular; got {time} and "
            f"{ntk.n_below_precision} eigenvalues that rounding cannot tell from 0"
        )
    return 1 / ntk.eigenvalues
