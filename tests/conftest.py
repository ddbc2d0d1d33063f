"""Strict numerics for every test: 64 bits, no silent promotion, shapes checked."""

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

_HOOK = install_import_hook("ntk_air", "beartype.beartype")


@pytest.fixture
def standard_promotion():
    """JAX's usual promotion, for code of other libraries that relies on it."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(autouse=True, scope="module")
def few_memory_mappings() -> Iterator[None]:
    """Forget compiled programs before a process holds more mappings than Linux grants it.

    XLA keeps some mappings for each program that it compiled, and aborts the process when the
    kernel refuses another: a worker comes to 65,530 of them, Linux's default, within the suite.
    """
    yield
    allowed, held = Path("/proc/sys/vm/max_map_count"), Path("/proc/self/maps")
    if allowed.exists() and held.read_bytes().count(b"\n") > int(allowed.read_text()) // 4:
        jax.clear_caches()
