"""The result of a decomposition: eigenvalues, eigenvectors and how far they can be trusted."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Bool, Float

from ntk_air._base.checks import check_array, check_whole_number
from ntk_air._base.precision import Precision
from ntk_air._base.typing import Targets


class Spectrum(eqx.Module):
    """Θ = V diag(λ) Vᵀ, eigenvalues descending, with residuals and the reasons for any shortfall.

    Made by ``decompose``. Where ``complete`` is false only the largest ``n_mode`` of ``n_train``
    modes are held, and the counts are counts among these.

    Attributes:
        eigenvalues: λ₁ ≥ … ≥ λ_n_mode, shape (n_mode,), in units of Θ, as computed:
            rounding-negative values are not clipped.
        eigenvectors: Orthonormal columns, shape (n_train, n_mode), column j of eigenvalue j.
        residuals: ‖Θv_j − λ_j v_j‖ / λ₁, shape (n_mode,).
        trace: The trace of Θ, from its diagonal and not from the eigenvalues.
        symmetry_error: max |Θ − Θᵀ| / max |Θ| of the kernel as given; by a random probe where Θ is
            not dense.
        orthogonality_error: max |VᵀV − I|.
        n_negative: The number of eigenvalues below zero.
        n_below_precision: The number of eigenvalues at most ``precision_floor``: noise of the
            arithmetic.
        epsilon: The machine epsilon of the kernel or of the decomposition, whichever is coarser.
        precision: The precision of the decomposition.
        complete: Whether all modes are held.
        solver: The name of what computed it; a fallback is named here and explained in ``notes``.
        notes: The reasons where something fell short; empty where nothing did.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> kernel = np.diag([4.0, 1.0, 0.0]).astype(np.float32)
        >>> spectrum = na.decompose(kernel, precision="float32")
        >>> spectrum.lambda_max, spectrum.condition_number, spectrum.n_below_precision
        (4.0, 4.0, 1)
        >>> round(spectrum.trace_share, 6), spectrum.complete
        (1.0, True)
    """

    eigenvalues: Float[Array, " n_mode"]
    eigenvectors: Float[Array, "n_train n_mode"]
    residuals: Float[Array, " n_mode"]
    trace: float
    symmetry_error: float
    orthogonality_error: float
    n_negative: int
    n_below_precision: int
    epsilon: float
    precision: Precision = eqx.field(static=True)
    complete: bool = eqx.field(static=True)
    solver: str = eqx.field(static=True)
    notes: tuple[str, ...] = eqx.field(static=True)

    @property
    def n_train(self) -> int:
        """The number of training inputs, n."""
        return self.eigenvectors.shape[0]

    @property
    def n_mode(self) -> int:
        """The number of modes held: n where complete."""
        return self.eigenvalues.shape[0]

    @property
    def precision_floor(self) -> float:
        """n·ε·λ₁: what arithmetic with epsilon ε cannot tell from zero."""
        return self.n_train * self.epsilon * float(self.eigenvalues[0])

    @property
    def zero_floor(self) -> float:
        """What the solver cannot tell from zero: four times the largest residual, measured.

        A residual bounds the distance to an eigenvalue of the kernel (Weyl), so that this is
        much finer than the worst case n·ε·λ₁ with the solver's ε, which it never exceeds. A mode
        between it and ``precision_floor`` has an uncertain eigenvalue, yet is no zero.
        """
        epsilon = float(np.finfo(self.precision).eps)
        measured = max(4 * float(np.max(self.residuals)), 8 * epsilon)
        return min(measured, self.n_train * epsilon) * self.lambda_max

    @property
    def resolved(self) -> Bool[np.ndarray, " n_mode"]:
        """Which modes lie above ``precision_floor``."""
        return np.asarray(self.eigenvalues) > self.precision_floor

    @property
    def lambda_max(self) -> float:
        """λ₁."""
        return float(self.eigenvalues[0])

    @property
    def lambda_min(self) -> float:
        """The smallest eigenvalue held, as computed: it may be rounding-negative."""
        return float(self.eigenvalues[-1])

    @property
    def condition_number(self) -> float:
        """λ₁ over the smallest eigenvalue above ``precision_floor``.

        Where ``n_below_precision`` is not zero this is the condition number on the range that
        the arithmetic resolves; the whole kernel's is at least 1/(n·ε) and may be infinite.
        """
        return self.lambda_max / float(np.asarray(self.eigenvalues)[self.resolved][-1])

    @property
    def largest_stable_learning_rate(self) -> float:
        """2/λ₁: descent on ½‖f − target‖² is stable strictly below it (theory.md section 0)."""
        return 2 / self.lambda_max

    @property
    def default_learning_rate(self) -> float:
        """1/λ₁: the largest at which every mode's error shrinks without changing sign."""
        return 1 / self.lambda_max

    @property
    def effective_rank(self) -> float:
        """exp(−Σ p ln p) with p = λ/Σλ over the positive modes held (Roy, Vetterli 2007)."""
        positive = np.maximum(np.asarray(self.eigenvalues), 0)
        return float(np.exp(np.sum(scipy.special.entr(positive / np.sum(positive)))))

    def eigengap(self, k: int) -> float:
        """λ_k/λ_{k+1}; ∞ where λ_{k+1} is at most ``precision_floor``.

        Args:
            k: Number of the mode, from 1 to ``n_mode`` − 1.

        Raises:
            ValueError: Another k.
        """
        k = check_whole_number("k", k, minimum=1, maximum=self.n_mode - 1)
        if not self.resolved[k]:
            return float("inf")
        return float(self.eigenvalues[k - 1]) / float(self.eigenvalues[k])

    @property
    def trace_share(self) -> float:
        """The share of the trace that the modes held carry: 1 to rounding where complete."""
        return float(np.sum(self.eigenvalues)) / self.trace

    def project(self, labels: Targets) -> Float[Array, "n_mode n_out"]:
        """The coefficients Vᵀ·labels.

        Args:
            labels: Labels, shape (n_train, n_out), in any unit; cast to the spectrum's precision.

        Raises:
            ValueError: Labels that do not have n_train rows.
        """
        check_array("labels", labels)
        if labels.ndim != 2 or labels.shape[0] != self.n_train:
            raise ValueError(
                f"labels must have one row for each of the {self.n_train} training inputs; "
                f"got shape {labels.shape}"
            )
        return _project(self.eigenvectors, jnp.asarray(labels, self.eigenvectors.dtype))


@jax.jit
def _project(
    eigenvectors: Float[Array, "n_train n_mode"], labels: Float[Array, "n_train n_out"]
) -> Float[Array, "n_mode n_out"]:
    # Accelerators would otherwise round float32 factors to 10 or 7 bits.
    return jnp.matmul(eigenvectors.T, labels, precision="highest")
