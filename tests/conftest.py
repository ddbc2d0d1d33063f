"""Strict numerics for every test: 64 bits, no silent promotion, shapes checked."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

_HOOK = install_import_hook("ntk_air", "beartype.beartype")


def pytest_configure(config: pytest.Config) -> None:
    """Compile each program once for all workers, all processes that tests start and all later runs.

    JAX keys what it keeps by the program, its options and its own version, so that nothing stale is
    found. `pytest --cache-clear` empties the folder; without pytest's cache none is used.
    """
    if not config.pluginmanager.has_plugin("cacheprovider"):
        return
    assert config.cache is not None
    options = {
        "jax_compilation_cache_dir": str(config.cache.mkdir("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in options.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


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
