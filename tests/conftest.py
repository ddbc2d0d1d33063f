"""Strict numerics for every test: 64 bits, no silent promotion, shapes checked."""

import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Tests start many processes: where Python is told to keep no bytecode, each would compile all it
# imports, for five seconds. Bytecode is kept beside pytest's other caches instead.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

# A worker for each core: threads of BLAS beside them would wait for each other, busily.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import pytest
from jaxtyping import install_import_hook

import tests.helpers.type_checks  # noqa: F401  (the hook finds it by name)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

_HOOK = install_import_hook("ntk_air", "tests.helpers.type_checks.checked")


# Most of the suite's time is XLA's, compiling programs that run once: in one piece, without LLVM's
# optimisations and, where XLA still has it, by its older emitter this takes a fifth of the time.
# Variables that are set already are left as they are: `XLA_FLAGS= JAX_DISABLE_MOST_OPTIMIZATIONS=0
# pytest` compiles as a user's process does.
_FLAGS = ["--xla_cpu_parallel_codegen_split_count=1"]
if jax.__version_info__ < (0, 11):  # later releases have no such flag, and abort
    _FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(_FLAGS))
_QUICK = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "1"
jax.config.update("jax_disable_most_optimizations", _QUICK)
jax.config.update("jax_traceback_in_locations_limit", 0)  # no stack for each operation


def pytest_collection_finish() -> None:
    """Look for garbage less often, and never in what imports left: it took a twentieth of all."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


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
    if allowed.exists() and held.read_bytes().count(b"\n") > int(allowed.read_text()) // 2:
        jax.clear_caches()


@pytest.fixture(scope="module")
def optimised() -> Iterator[None]:
    """Programs with LLVM's optimisations, where rounding or speed depends on them."""
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()  # the option is no part of what JAX finds a compiled program by
    yield
    jax.config.update("jax_disable_most_optimizations", _QUICK)
    jax.clear_caches()


@pytest.fixture
def other_user() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A context in which this process is not root, whom no folder's mode stops."""

    @contextlib.contextmanager
    def context() -> Iterator[None]:
        if os.geteuid() != 0:
            pytest.skip("only root can be another user")
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return context


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte, which is soon full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
