"""Strict numerics for every test: 64 bits, no silent promotion, shapes checked."""

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
