"""Empirical neural tangent kernels: of a finite network, at given parameters."""

import functools
import math
from collections.abc import Hashable
from typing import Any, Literal, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air.kernels.gram import (
    HOST_TILES,
    LARGEST_TILE,
    TILES_IN_FLIGHT,
    assemble,
    block_length,
    check_pair,
    plan_tile,
)
from ntk_air.progress import Progress, no_progress
from ntk_air.typing import AnyArray, ApplyFn, Parameters

Outputs: TypeAlias = Literal["mean", "full", "logit_sum"] | int
"""How the output axes of an empirical NTK are reduced."""

UNBOUNDED_TILE_BYTES = 2**30
"""Bytes that a tile may take where the caller sets no bound."""

ASSUMED_COPIES = 3
"""Copies of a tile's Jacobians to count where the compiler does not report its memory."""


def empirical_ntk(
    apply_fn: ApplyFn,
    params: Parameters,
    x1: Float[AnyArray, "n1 *features1"],
    x2: Float[AnyArray, "n2 *features2"] | None = None,
    *,
    outputs: Outputs = "mean",
    max_memory_bytes: int | None = None,
    progress: Progress = no_progress,
) -> Float[np.ndarray, "n1 n2 *outputs"]:
    """The empirical NTK: inner products of the gradients of a network's outputs.

    Θ_cc'(x, x') = Σ_p ∂f_c(x)/∂θ_p · ∂f_c'(x')/∂θ_p (Jacot, Gabriel, Hongler 2018, section 4).
    The Jacobian of each example is taken in reverse mode and contracted, tile by tile. The
    network sees one example at a time, so none can influence the gradient of another.

    Args:
        apply_fn: the network, ``apply_fn(params, x)`` of shape (n, n_out).
        params: its parameters. Floating-point leaves are differentiated; integers, booleans
            and leaves that are no arrays are held fixed.
        x1: inputs, shape (n1, *features), in the precision of the parameters.
        x2: other inputs, shape (n2, *features); ``None`` stands for ``x1`` and gives a result
            that is symmetric in every bit.
        outputs: ``"mean"`` averages Θ_cc over the outputs c: shape (n1, n2). ``"full"`` keeps
            every pair of outputs: shape (n1, n2, n_out, n_out). ``"logit_sum"`` is the NTK of
            the sum of the outputs, Σ_cc' Θ_cc': shape (n1, n2). An integer c selects Θ_cc:
            shape (n1, n2).
        max_memory_bytes: a bound in bytes on what this call holds, result and tiles together,
            beside inputs and parameters; ``None`` is no bound.
        progress: called after each tile.

    Returns:
        The kernel as a NumPy array in the precision of the parameters.

    Raises:
        MemoryBudgetError: the result and a tile of one example cannot fit; nothing has been
            computed.
        ValueError: inputs or parameters that are not finite, not of one precision, or empty;
            a network whose output is not of shape (n, n_out); an unknown value of ``outputs``.
    """
    job = _job(apply_fn, params, x1, x2, outputs)
    tile = plan_tile(
        "the empirical NTK",
        job.shape,
        result_bytes=math.prod(job.shape + job.output_axes) * job.dtype.itemsize,
        need=job.need,
        max_memory_bytes=max_memory_bytes,
        max_tile_bytes=UNBOUNDED_TILE_BYTES,
        largest=job.largest_tile(
            min(max_memory_bytes or UNBOUNDED_TILE_BYTES, UNBOUNDED_TILE_BYTES)
        ),
        smallest=1,
        growth=1,
        alternative=None if outputs != "full" else 'outputs="mean" has a far smaller result',
    )
    return assemble(
        job.tile,
        job.shape + job.output_axes,
        tile=tile,
        symmetric=x2 is None,
        dtype=job.dtype,
        progress=functools.partial(progress, "empirical NTK"),
    )


class EmpiricalKernel(eqx.Module):
    """The empirical NTK of a network as a kernel, ``kernel(x1, x2=None)``.

    Arguments as of ``empirical_ntk``; ``gram_matrix`` hands its bound on memory to it.
    """

    apply_fn: ApplyFn
    params: Parameters
    outputs: Outputs = eqx.field(default="mean", static=True)

    def __call__(
        self,
        x1: Float[AnyArray, "n1 *features1"],
        x2: Float[AnyArray, "n2 *features2"] | None = None,
    ) -> Float[np.ndarray, "n1 n2 *outputs"]:
        """The kernel between all pairs of inputs; ``x2=None`` stands for ``x1``."""
        return empirical_ntk(self.apply_fn, self.params, x1, x2, outputs=self.outputs)

    def assemble(
        self,
        x1: Float[AnyArray, "n1 *features1"],
        x2: Float[AnyArray, "n2 *features2"] | None,
        *,
        max_memory_bytes: int | None,
        progress: Progress,
    ) -> Float[np.ndarray, "n1 n2 *outputs"]:
        """The matrix under a bound on memory, for ``gram_matrix``.

        Raises:
            ValueError: ``outputs="full"``, which is no matrix; what ``empirical_ntk`` refuses.
        """
        if self.outputs == "full":
            raise ValueError(
                'outputs must not be "full" for a Gram matrix, which has two axes: use '
                "empirical_ntk for shape (n1, n2, n_out, n_out)"
            )
        return empirical_ntk(
            self.apply_fn,
            self.params,
            x1,
            x2,
            outputs=self.outputs,
            max_memory_bytes=max_memory_bytes,
            progress=progress,
        )


_Static: TypeAlias = tuple[tuple[Hashable, ...], Any]


class _Network(NamedTuple):
    """A network split into what JAX differentiates, what it traces, and the rest."""

    trainable: Parameters
    fixed: Any
    static: _Static


def _split(apply_fn: ApplyFn, params: Parameters) -> _Network:
    apply_fn, params = jax.tree.map(_as_jax, (apply_fn, params))
    trainable, rest = eqx.partition(params, eqx.is_inexact_array)
    fixed, static = eqx.partition((apply_fn, rest), eqx.is_array)
    leaves, structure = jax.tree.flatten(static)
    return _Network(trainable, fixed, (tuple(leaves), structure))


def _as_jax(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf


def _apply(network: _Network, x: Any) -> Any:
    """The network's outputs at a batch."""
    leaves, structure = network.static
    apply_fn, rest = eqx.combine(network.fixed, jax.tree.unflatten(structure, leaves))
    return apply_fn(eqx.combine(network.trainable, rest), x)


@functools.partial(jax.jit, static_argnames="static")
def _values(trainable: Parameters, fixed: Any, x: Any, *, static: _Static) -> Any:
    """The network's outputs; jitted so that a second look at their shape traces nothing."""
    return _apply(_Network(trainable, fixed, static), x)


@functools.partial(jax.jit, static_argnames=("static", "outputs", "n_out"))
def _tile(
    trainable: Parameters,
    fixed: Any,
    x1: Float[AnyArray, "n1 *features1"],
    x2: Float[AnyArray, "n2 *features2"] | None,
    *,
    static: _Static,
    outputs: Outputs,
    n_out: int,
) -> Float[Array, "n1 n2 *outputs"]:
    """The kernel of one tile: per-example Jacobians, contracted."""

    def jacobian(x: Any, cotangents: Array) -> list[Array]:
        def of_one(example: Array) -> Parameters:
            _, pull_back = jax.vjp(
                lambda trainable: _apply(_Network(trainable, fixed, static), example[None])[0],
                trainable,
            )
            return jax.vmap(pull_back)(cotangents)

        leaves = jax.tree.leaves(jax.vmap(of_one)(x))
        return [leaf.reshape(*leaf.shape[:2], -1) for leaf in leaves]

    def block(cotangents: Array) -> Array:
        first = jacobian(x1, cotangents)
        second = first if x2 is None else jacobian(x2, cotangents)
        # Accelerators would round the factors to fewer bits than their own precision.
        contract = functools.partial(
            jnp.einsum, "iap,jbp->ijab", precision=jax.lax.Precision.HIGHEST
        )
        return functools.reduce(jnp.add, map(contract, first, second))

    each = jnp.eye(n_out, dtype=x1.dtype)
    if outputs == "full":
        return block(each)
    if outputs == "logit_sum":
        return block(jnp.ones((1, n_out), x1.dtype))[..., 0, 0]
    if outputs != "mean":
        return block(each[outputs : outputs + 1])[..., 0, 0]
    # One output after the other: the Jacobian of all of them would take n_out times the memory.
    total, _ = jax.lax.scan(
        lambda total, cotangent: (total + block(cotangent[None])[..., 0, 0], None),
        jnp.zeros((len(x1), len(x1 if x2 is None else x2)), x1.dtype),
        each,
    )
    return total / n_out


class _Job(NamedTuple):
    """A kernel to compute: checked arguments and what follows from them."""

    network: _Network
    rows: np.ndarray
    columns: np.ndarray | None
    outputs: Outputs
    n_out: int
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, int]:
        """(n1, n2)."""
        return len(self.rows), len(self.rows if self.columns is None else self.columns)

    @property
    def output_axes(self) -> tuple[int, ...]:
        """The axes of the result behind (n1, n2)."""
        return (self.n_out, self.n_out) if self.outputs == "full" else ()

    def tile(self, first: slice, second: slice | None) -> Array:
        """The kernel between slices of the inputs."""
        columns = None
        if second is not None:
            columns = (self.rows if self.columns is None else self.columns)[second]
        return self._evaluate(_tile, self.rows[first], columns)

    def _evaluate(self, tile: Any, x1: Any, x2: Any) -> Any:
        trainable, fixed, static = self.network
        return tile(trainable, fixed, x1, x2, static=static, outputs=self.outputs, n_out=self.n_out)

    @property
    def _pair_bytes(self) -> int:
        """Bytes of the Jacobians of one row and one column."""
        n_kept = self.n_out if self.outputs == "full" else 1
        n_params = sum(leaf.size for leaf in jax.tree.leaves(self.network.trainable))
        return 2 * n_kept * n_params * self.dtype.itemsize

    def largest_tile(self, max_bytes: int) -> int:
        """Rows of a tile whose Jacobians alone fill the memory."""
        return min(LARGEST_TILE, max(1, max_bytes // (TILES_IN_FLIGHT * self._pair_bytes)))

    def need(self, tile: int) -> int:
        """Bytes held for tiles of at most that many rows, as the compiler lays them out."""
        sizes = [block_length(n, tile) for n in self.shape]
        x1, x2 = (jax.ShapeDtypeStruct((n, *self.rows.shape[1:]), self.dtype) for n in sizes)
        only_diagonal = self.columns is None and sizes[0] == len(self.rows)
        lowered = self._evaluate(_tile.lower, x1, None if only_diagonal else x2)
        usage = lowered.compile().memory_analysis()
        if usage is None:  # not every platform tells
            computed = ASSUMED_COPIES * max(sizes) * self._pair_bytes
        else:
            computed = usage.temp_size_in_bytes + usage.output_size_in_bytes
        inputs = sum(sizes) * math.prod(self.rows.shape[1:])
        stored = HOST_TILES * math.prod(sizes) * math.prod(self.output_axes)
        return TILES_IN_FLIGHT * computed + (inputs + stored) * self.dtype.itemsize


def _job(
    apply_fn: ApplyFn, params: Parameters, x1: AnyArray, x2: AnyArray | None, outputs: Outputs
) -> _Job:
    """Check all arguments before any work starts."""
    check_pair(x1, x2)
    rows = np.asarray(x1)
    dtype = jax.dtypes.canonicalize_dtype(rows.dtype)
    _check_parameters(params, dtype)
    network = _split(apply_fn, params)
    n_out = _count_outputs(network, rows.shape[1:], dtype)
    _check_outputs(outputs, n_out)
    return _Job(network, rows, None if x2 is None else np.asarray(x2), outputs, n_out, dtype)


def _check_parameters(params: Parameters, dtype: np.dtype) -> None:
    """Require finite floating-point leaves, at least one, in the precision of the inputs."""
    n_trainable = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = f"params{jax.tree_util.keystr(path)}"
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
            if isinstance(leaf, float | complex):
                raise ValueError(
                    f"{name} must be an array, so that it has a precision; got the number {leaf!r}"
                )
            continue
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        n_trainable += 1
        if jax.dtypes.canonicalize_dtype(leaf.dtype) != dtype:
            raise ValueError(
                f"{name} must have the precision of the inputs, {dtype}; got {leaf.dtype}"
            )
        if not np.isfinite(np.asarray(leaf)).all():
            raise ValueError(f"{name} must be finite; got NaN or infinity")
    if n_trainable == 0:
        raise ValueError("params must hold at least one floating-point array; got none")


def _count_outputs(network: _Network, features: tuple[int, ...], dtype: np.dtype) -> int:
    """The number of outputs, from abstract batches of one and two."""
    n_out = 0
    for n in (1, 2):
        batch = jax.ShapeDtypeStruct((n, *features), dtype)
        result = _values.eval_shape(network.trainable, network.fixed, batch, static=network.static)
        shape = getattr(result, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] != n or 0 in shape:
            got = f"shape {shape}" if shape is not None else f"a {type(result).__name__}"
            raise ValueError(
                "apply_fn(params, x) must return one array of shape (n, n_out); got "
                f"{got} for a batch of {n}"
            )
        if result.dtype != dtype:
            raise ValueError(
                f"apply_fn must return the precision of its arguments, {dtype}; got {result.dtype}"
            )
        n_out = shape[1]
    return n_out


def _check_outputs(outputs: Outputs, n_out: int) -> None:
    """Require a known reduction or the index of an output."""
    if outputs in ("mean", "full", "logit_sum"):
        return
    if isinstance(outputs, bool) or not isinstance(outputs, int) or not 0 <= outputs < n_out:
        raise ValueError(
            "outputs must be 'mean', 'full', 'logit_sum' or the index of one of the network's "
            f"{n_out} outputs; got {outputs!r}"
        )
