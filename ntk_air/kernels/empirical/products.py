"""Products with the empirical NTK, without the kernel and without a Jacobian."""

import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.memory import check_budget, require_memory
from ntk_air._base.typing import AnyArray, ApplyFn, Parameters
from ntk_air.kernels._tiling import block_length
from ntk_air.kernels.empirical.methods import Outputs, has_forward_derivative, output_cotangents
from ntk_air.kernels.empirical.network import Network
from ntk_air.kernels.empirical.ntk import compute
from ntk_air.kernels.empirical.task import Task, make_task
from ntk_air.kernels.empirical.work import count_work
from ntk_air.kernels.operators.operator import KernelOperator

UNBOUNDED_PRODUCT_BYTES = 2**30
"""Bytes that a product may take where the caller sets no bound."""

LARGEST_CHUNK = 1024
"""Examples seen at once where memory allows: more gain no speed."""

MOST_GRADIENTS = 64
"""Gradients held at once where memory allows."""


class MatrixFreeKernel(KernelOperator):
    """The empirical NTK of a set of inputs, known by products through the network alone.

    Made by ``matrix_free_kernel``.

    Attributes:
        network: The checked network.
        chunks: The inputs, shape (n_chunks, chunk, *features); rows are repeated to fill the last.
        n: The number of inputs.
        n_out: The number of outputs.
        outputs: The reduction of the output axes: ``"mean"``, ``"full"``, ``"logit_sum"`` or the
            index of an output.
        gradients_held: The number of gradients held at once.
    """

    network: Network
    chunks: Float[Array, "n_chunks chunk *features"]
    n: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)
    outputs: Outputs = eqx.field(static=True)
    gradients_held: int = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n), or (n · n_out, n · n_out) for ``outputs="full"``."""
        size = self.n * (self.n_out if self.outputs == "full" else 1)
        return size, size

    @property
    def dtype(self) -> jnp.dtype:
        """The precision of inputs and parameters."""
        return self.chunks.dtype

    def matvec(self, vectors: Float[AnyArray, "n k"]) -> Float[Array, "n k"]:
        """The product Θ·vectors for a block of k vectors.

        Raises:
            ValueError: vectors of another length or precision.
        """
        if vectors.ndim != 2 or vectors.shape[0] != self.shape[0]:
            raise ValueError(
                f"vectors must have shape ({self.shape[0]}, k); got shape {vectors.shape}"
            )
        if jax.dtypes.canonicalize_dtype(vectors.dtype) != self.dtype:
            raise ValueError(
                f"vectors must have the precision of the kernel, {self.dtype}; got {vectors.dtype}"
            )
        return _products(self.network, self.chunks, vectors, **self._options)

    def to_dense(self) -> Float[Array, "n n"]:
        """The whole matrix, computed tile by tile."""
        rows = np.asarray(self.chunks).reshape(-1, *self.chunks.shape[2:])[: self.n]
        task = Task(self.network, rows, None, self.outputs, self.n_out, self.dtype)
        kernel = compute(task)
        if self.outputs == "full":
            kernel = kernel.transpose(0, 2, 1, 3).reshape(self.shape)
        return jnp.asarray(kernel)

    def diagonal(self) -> Float[Array, " n"]:
        """The diagonal: squared norms of gradients, a few examples at a time."""
        return _diagonal(self.network, self.chunks, n=self.n, **self._options)

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "outputs": self.outputs,
            "n_out": self.n_out,
            "gradients_held": self.gradients_held,
        }


def matrix_free_kernel(
    apply_fn: ApplyFn,
    params: Parameters,
    x: Float[AnyArray, "n *features"],
    *,
    outputs: Outputs = "mean",
    max_memory_bytes: int | None = None,
) -> MatrixFreeKernel:
    """The empirical NTK of a set of inputs as an operator that never holds a matrix.

    Θu = J(Jᵀu): the gradient of the outputs weighted by u, in reverse mode and summed over chunks
    of examples, then its forward derivative (Novak, Sohl-Dickstein, Schoenholz 2022, section 3.3,
    without the basis vectors). One product takes the time of a few passes through the network,
    times n_out for the mean over outputs.

    Args:
        apply_fn: Network, ``apply_fn(params, x)`` of shape (n, n_out).
        params: Parameters of the network, a pytree whose floating-point leaves are differentiated.
        x: Inputs, shape (n, *features), in the precision of the parameters.
        outputs: Reduction of the output axes. ``"mean"`` averages over the outputs,
            ``"logit_sum"`` is the NTK of their sum, an integer selects one: a matrix of n rows.
            ``"full"`` keeps them all: a matrix of n · n_out rows, those of one example together.
        max_memory_bytes: Bound in bytes on what a product or the diagonal holds, beside inputs,
            parameters, vectors and their images; ``None`` is no bound.

    Returns:
        The operator, in the precision of the parameters.

    Raises:
        MemoryBudgetError: One example and one gradient cannot fit.
        ValueError: Inputs or parameters that are not finite, not of one precision, or empty; a
            network that mixes the examples of a batch, or that can only be differentiated in
            reverse mode; an unknown value of ``outputs``.

    Example:
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> x = jnp.eye(4, 3)
        >>> theta = na.matrix_free_kernel(lambda w, x: jnp.tanh(x @ w), jnp.full((3, 2), 0.1), x)
        >>> theta.matvec(jnp.ones((4, 1))).shape
        (4, 1)
    """
    max_memory_bytes = check_budget(max_memory_bytes)
    task = make_task(apply_fn, params, x, None, outputs=outputs)
    one = jax.ShapeDtypeStruct((1, *task.rows.shape[1:]), task.dtype)
    if not has_forward_derivative(task.network, one):
        raise ValueError(
            "apply_fn must have a derivative in forward mode for products with its kernel; "
            "got one that is given in reverse mode only, by jax.custom_vjp"
        )
    chunk, gradients_held = _sizes(task, max_memory_bytes)
    task.check_batches(chunk)
    return MatrixFreeKernel(
        network=task.network,
        chunks=_in_chunks(task.rows, chunk),
        n=len(task.rows),
        n_out=task.n_out,
        outputs=outputs,
        gradients_held=gradients_held,
    )


def _in_chunks(rows: np.ndarray, chunk: int) -> Float[Array, "n_chunks chunk *features"]:
    """The rows in chunks of one size; rows are repeated to fill the last."""
    n, features = len(rows), rows.shape[1:]
    filled = np.resize(rows, (math.ceil(n / chunk) * chunk, *features))
    return jnp.asarray(filled.reshape(-1, chunk, *features))


def _sizes(task: Task, max_memory_bytes: int | None) -> tuple[int, int]:
    """Examples of a chunk and gradients held at once, the most that fit."""
    n = len(task.rows)
    bound = min(max_memory_bytes or UNBOUNDED_PRODUCT_BYTES, UNBOUNDED_PRODUCT_BYTES)
    chunk, gradients = min(n, LARGEST_CHUNK), MOST_GRADIENTS
    while (needed := _held(task, chunk, gradients)) > bound and chunk * gradients > 1:
        # Fewer gradients cost a second look at the same activations, small chunks much more.
        if gradients > 1:
            gradients = max(1, min(gradients - 1, int(gradients * bound / needed)))
        else:
            chunk = block_length(n, max(1, min(chunk - 1, int(chunk * bound / needed))))
    require_memory(
        what="a product with the empirical NTK, of one example and one gradient at a time,",
        needed_bytes=needed,
        max_bytes=max_memory_bytes,
        way_out=f"allow max_memory_bytes={needed}",
    )
    return block_length(n, chunk), gradients


def _held(task: Task, chunk: int, gradients: int) -> int:
    """Bytes that products or the diagonal hold at their peak, if nothing is fused."""
    n, features = len(task.rows), task.rows.shape[1:]
    chunk = block_length(n, chunk)
    n_rows = n * (task.n_out if task.outputs == "full" else 1)
    chunks = jax.ShapeDtypeStruct((math.ceil(n / chunk), chunk, *features), task.dtype)
    vectors = jax.ShapeDtypeStruct((n_rows, gradients), task.dtype)
    options = {"outputs": task.outputs, "n_out": task.n_out, "gradients_held": gradients}
    products = _products.trace(task.network, chunks, vectors, **options)
    diagonal = _diagonal.trace(task.network, chunks, n=n, **options)
    return math.ceil(max(count_work(each.jaxpr.jaxpr).bytes_held for each in (products, diagonal)))


# --- computation ------------------------------------------------------------------------------


def _mapped(function: Callable[[Any], Any], xs: AnyArray, at_once: int) -> Array:
    """The function of each of ``xs``, that many together."""
    if len(xs) <= at_once:
        return jax.vmap(function)(xs)
    return jax.lax.map(function, xs, batch_size=at_once)


@functools.partial(jax.jit, static_argnames=("outputs", "n_out", "gradients_held"))
def _products(
    network: Network,
    chunks: Float[AnyArray, "n_chunks chunk *features"],
    vectors: Float[AnyArray, "n_rows k"],
    *,
    outputs: Outputs,
    n_out: int,
    gradients_held: int,
) -> Float[Array, "n_rows k"]:
    """The kernel times each vector."""
    cotangents = output_cotangents(outputs, n_out, chunks.dtype)

    def of_vector(vector: Array) -> Array:
        if outputs == "full":
            return _push_and_pull(network, chunks, vector.reshape(-1, n_out)).reshape(-1)

        def of_output(cotangent: Array) -> Array:
            return _push_and_pull(network, chunks, vector[:, None] * cotangent) @ cotangent

        total = _mapped(of_output, cotangents, gradients_held).sum(axis=0)
        return total / n_out if outputs == "mean" else total

    n_passes = 1 if outputs == "full" else len(cotangents)
    with jax.default_matmul_precision("highest"):
        return _mapped(of_vector, vectors.T, max(1, gradients_held // n_passes)).T


def _push_and_pull(
    network: Network,
    chunks: Float[AnyArray, "n_chunks chunk *features"],
    weights: Float[AnyArray, "n n_out"],
) -> Float[Array, "n n_out"]:
    """J Jᵀ times weights of every output of every example."""
    n, n_out = weights.shape
    n_chunks, chunk = chunks.shape[:2]
    filled = jnp.pad(weights, ((0, n_chunks * chunk - n), (0, 0)))
    filled = filled.reshape(n_chunks, chunk, n_out)

    def pull_back(x: AnyArray, weights: Array) -> Parameters:
        _, pull = jax.vjp(lambda trainable: network.batch(trainable, x), network.trainable)
        return pull(weights)[0]

    def push_forward(x: AnyArray) -> Array:
        return jax.jvp(
            lambda trainable: network.batch(trainable, x), (network.trainable,), (gradient,)
        )[1]

    if n_chunks == 1:
        gradient = pull_back(chunks[0], filled[0])
        return push_forward(chunks[0])[:n]
    gradient, _ = jax.lax.scan(
        lambda total, xw: (jax.tree.map(jnp.add, total, pull_back(*xw)), None),
        jax.tree.map(jnp.zeros_like, network.trainable),
        (chunks, filled),
    )
    return jax.lax.map(push_forward, chunks).reshape(-1, n_out)[:n]


@functools.partial(jax.jit, static_argnames=("n", "outputs", "n_out", "gradients_held"))
def _diagonal(
    network: Network,
    chunks: Float[AnyArray, "n_chunks chunk *features"],
    *,
    n: int,
    outputs: Outputs,
    n_out: int,
    gradients_held: int,
) -> Float[Array, " n_rows"]:
    """The squared norms of gradients."""
    cotangents = output_cotangents(outputs, n_out, chunks.dtype)

    def of_one(example: Array) -> Array:
        _, pull = jax.vjp(lambda trainable: network.one(trainable, example), network.trainable)

        def squared_norm(cotangent: Array) -> Array:
            squares = jax.tree.map(lambda leaf: jnp.sum(leaf**2), pull(cotangent))
            return sum(jax.tree.leaves(squares), jnp.zeros((), chunks.dtype))

        return jax.lax.map(squared_norm, cotangents)

    with jax.default_matmul_precision("highest"):
        examples = chunks.reshape(-1, *chunks.shape[2:])[:n]
        norms = _mapped(of_one, examples, gradients_held)
    if outputs == "full":
        return norms.reshape(-1)
    return norms.mean(axis=1) if outputs == "mean" else norms.sum(axis=1)
