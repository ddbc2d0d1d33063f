"""One check for all rooms: a computation must lower for accelerators that are not here."""

from collections.abc import Callable

import jax

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def assert_lowers(function: Callable, *args: object) -> None:
    """Lower the jitted ``function`` at the shapes of ``args`` (arrays) for every platform."""
    shapes = jax.tree.map(
        lambda leaf: (
            jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if hasattr(leaf, "shape") else leaf
        ),
        args,
    )
    for platform in PLATFORMS:
        jax.export.export(jax.jit(function), platforms=(platform,))(*shapes)
