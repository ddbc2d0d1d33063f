"""A student's query embeddings on their way to a teacher's, in closed form (theory.md, 11-kim).

Loss ½‖F − Z‖² of embeddings, or ½‖(F − Z)Dᵀ‖² of the scores of documents D. The second is
descent twice over, in the eigenbasis of the inputs' kernel and in that of DᵀD.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_finite, check_floating, check_kind
from ntk_air._base.typing import AnyArray, Times
from ntk_air.dynamics.filters.spectral import decay, geometric_sum
from ntk_air.dynamics.run.inputs import Steps, check_times
from ntk_air.dynamics.run.learning_rate import RelativeRate, absolute_rate
from ntk_air.problem import Problem


class EmbeddingRun(eqx.Module):
    """The student's embeddings at several steps.

    Attributes:
        times: steps, (n_time,).
        train: embeddings F_t of the training queries, (n_time, n_train, n_out).
        held_out: embeddings of the held-out queries, (n_time, n_test, n_out), where there are any.
        learning_rate: η, absolute.
    """

    times: Times
    train: Float[Array, "n_time n_train n_out"]
    held_out: Float[Array, "n_time n_test n_out"] | None
    learning_rate: float = eqx.field(static=True)


def match_teacher(
    problem: Problem,
    times: Steps,
    documents: AnyArray | None = None,
    *,
    rate: float | RelativeRate | None = None,
) -> EmbeddingRun:
    """Follow gradient descent of a query encoder on a teacher's embeddings, or on its scores.

    F_t − Z = V[(1 − ηλ_iμ_k)ᵗ ∘ Vᵀ(F_0 − Z)U]Uᵀ with Θ = V diag(λ) Vᵀ and DᵀD = U diag(μ) Uᵀ for
    scores; for embeddings all μ_k are 1 (Kim et al. 2023, arXiv 2301.12005, in the kernel regime).

    Args:
        problem: complete spectrum of the queries' kernel; ``labels.noisy`` are the teacher's
            embeddings Z of the training queries, (n_train, n_out), ``labels.initial`` the
            student's own at the start.
        times: steps to record at, (n_time,), ascending whole numbers from 0.
        documents: document embeddings D, (n_document, n_out), whose scores F Dᵀ are matched;
            ``None`` matches the embeddings themselves.
        rate: learning rate η, absolute or ``RelativeRate`` of 1/(λ₁μ₁); ``None`` is all of it.

    Returns:
        Embeddings of training and held-out queries at all times.

    Raises:
        ValueError: a spectrum that is not complete, documents that are not finite, of another
            dimension or all zero, times that do not ascend, a rate at which descent diverges.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> from ntk_air.dynamics.embedding import match_teacher
    >>> theta, teacher = np.diag([2.0, 1.0]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> queries = na.Problem(na.Labels(teacher), theta, na.decompose(theta))
    >>> match_teacher(queries, [1]).train[0].tolist()
    [[1.0, 0.0], [0.0, 0.5]]
    >>> match_teacher(queries, [1], documents=np.array([[1.0, 0.0]])).train[0].tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    check_kind("problem", problem, Problem)
    spectrum = problem.spectrum
    if not spectrum.complete:
        raise ValueError(
            f"spectrum must hold all modes; got {spectrum.n_mode} of {problem.n_train}"
        )
    steps, _ = check_times(times)
    sizes, basis = _document_modes(documents, problem.n_out)
    largest = spectrum.lambda_max * float(sizes.max())
    rate = absolute_rate(RelativeRate(1.0) if rate is None else rate, largest_eigenvalue=largest)
    initial = problem.labels.initial
    start = jnp.zeros(problem.noisy.shape) if initial is None else jnp.asarray(initial)
    vectors = jnp.asarray(spectrum.eigenvectors)
    away = vectors.T @ (jnp.asarray(problem.noisy) - start) @ basis
    speeds = rate * jnp.maximum(jnp.asarray(spectrum.eigenvalues), 0)[:, None] * sizes
    when = jnp.asarray(steps)[:, None, None]
    moved = vectors @ ((1 - decay(speeds, when)) * away) @ basis.T
    held_out = None
    if problem.held_out is not None:
        dual = vectors @ (rate * sizes * geometric_sum(speeds, when) * away) @ basis.T
        held_out = jnp.stack([problem.held_out.predictions(each) for each in dual])
    return EmbeddingRun(np.asarray(steps), start + moved, held_out, rate)


def _document_modes(
    documents: AnyArray | None, n_out: int
) -> tuple[Float[Array, " n_out"], Float[Array, "n_out n_out"]]:
    """Eigenvalues μ and eigenvectors U of DᵀD; of the identity where embeddings are matched."""
    if documents is None:
        return jnp.ones(n_out), jnp.eye(n_out)
    check_floating("documents", documents)
    if documents.ndim != 2 or documents.shape[1] != n_out or not documents.shape[0]:
        raise ValueError(
            f"documents must have shape (n_document, {n_out}), as the teacher's embeddings have "
            f"{n_out} entries; got {documents.shape}"
        )
    check_finite("documents", documents)
    if not np.any(np.asarray(documents)):
        raise ValueError("documents must not all be zero: no score would depend on the student")
    # By singular values: squares would lose the digits of the small ones.
    _, values, rows = np.linalg.svd(np.asarray(documents), full_matrices=True)
    sizes = np.zeros(n_out)
    sizes[: len(values)] = values**2
    return jnp.asarray(sizes), jnp.asarray(rows.T)
