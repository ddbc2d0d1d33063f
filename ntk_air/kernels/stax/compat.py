"""neural-tangents 0.6.5 on current JAX, without TensorFlow and without touching JAX.

neural-tangents was last released for JAX 0.4 and asks JAX and SciPy for names that are gone. Its
own modules are loaded here with another ``__import__`` among their builtins: where they import
``jax``, they get a view of it in which these names are there. The names stay there for calls
made later, and nobody else sees them: no module of JAX or SciPy is changed.

This is the only module that imports neural-tangents.
"""

import builtins
import contextlib
import functools
import importlib.abc
import importlib.machinery
import importlib.metadata
import math
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import jax.api_util
import jax.core
import jax.extend.core
import jax.interpreters.ad
import jax.numpy as jnp
import scipy.linalg

NEURAL_TANGENTS_VERSION = "0.6.5"
JAX_VERSIONS_SEEN_TO_WORK = ("0.10.1", "0.12.0.1")

_NAME = "neural_tangents"
_LAST_NAME_OF_ITS_IMPORT = "Kernel"
_IMPORT_LOCK = threading.RLock()


def load_neural_tangents() -> ModuleType:
    """Return the module ``neural_tangents``, made to run on the JAX that is installed.

    It has all its public parts (``stax``, ``predict``, ``batch``, ``monte_carlo_kernel_fn``,
    ``linearize``, ``empirical_ntk_fn``, …), except that ``neural_tangents.experimental``, which
    needs TensorFlow, is empty. The first call imports it, later ones return the same module;
    after the first, ``import neural_tangents`` works everywhere in the process. One that was
    imported before, by whatever means, is returned as it is. Safe to call from several threads.

    Raises:
        ImportError: neural-tangents is missing or not release 0.6.5, where the message names the
            extra to install; JAX is of a series that this was never seen to work on; or the import
            fails for another reason, in which case it leaves nothing behind.
    """
    with _IMPORT_LOCK:
        imported = sys.modules.get(_NAME)
        if imported is not None and hasattr(imported, _LAST_NAME_OF_ITS_IMPORT):
            return imported
        _require_known_jax()
        _require_known_neural_tangents()
        with _sources_loaded_on(_views()):
            module = importlib.import_module(_NAME)
            _replace_what_no_view_can_mend(sys.modules[f"{_NAME}._src.empirical"])
        return module


def _series(version: str) -> list[str]:
    return version.split(".")[:2]


def _require_known_jax() -> None:
    if _series(jax.__version__) not in map(_series, JAX_VERSIONS_SEEN_TO_WORK):
        raise ImportError(
            f"neural-tangents {NEURAL_TANGENTS_VERSION} was seen to work here on JAX "
            f"{', '.join(JAX_VERSIONS_SEEN_TO_WORK)} and on no other series; got JAX "
            f"{jax.__version__}: install one of these, or import neural_tangents yourself first "
            "if it runs on yours",
            name=_NAME,
        )


def _require_known_neural_tangents() -> None:
    try:
        found = f"got {(version := importlib.metadata.version('neural-tangents'))}"
    except importlib.metadata.PackageNotFoundError:
        found, version = "none is installed", None
    if version != NEURAL_TANGENTS_VERSION:
        raise ImportError(
            f"neural-tangents {NEURAL_TANGENTS_VERSION} is needed and {found}: "
            'pip install "ntk-air[neural-tangents]"',
            name=_NAME,
        )


# --- Loading its sources ---------------------------------------------------------------------


@contextlib.contextmanager
def _sources_loaded_on(views: Mapping[str, ModuleType]) -> Iterator[None]:
    """While inside, neural_tangents' modules are loaded on ``views`` of what they import.

    What an earlier import that failed left in ``sys.modules`` is set aside first, for Python
    would build on it; it comes back if this import fails too.
    """
    finder = _SourceFinder(views)
    set_aside = {name: sys.modules.pop(name) for name in _its_loaded_modules()}
    sys.meta_path.insert(0, finder)
    try:
        yield
    except BaseException as error:
        for name in _its_loaded_modules():
            del sys.modules[name]
        sys.modules.update(set_aside)
        if isinstance(error, Exception):
            raise ImportError(
                f"neural-tangents {NEURAL_TANGENTS_VERSION} could not be imported on JAX "
                f"{jax.__version__}: {error}",
                name=_NAME,
            ) from error
        raise
    finally:
        sys.meta_path.remove(finder)


def _its_loaded_modules() -> list[str]:
    return [name for name in list(sys.modules) if name.partition(".")[0] == _NAME]


class _SourceFinder(importlib.abc.MetaPathFinder):
    """Finds neural_tangents' modules and has them loaded on views of what they import."""

    def __init__(self, views: Mapping[str, ModuleType]):
        self._builtins = vars(builtins) | {"__import__": functools.partial(_import, views)}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != _NAME:
            return None
        if fullname == f"{_NAME}.experimental":
            return importlib.machinery.ModuleSpec(fullname, _EmptyLoader(), is_package=True)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _SourceLoader(spec.loader.name, spec.loader.path, self._builtins)
        return spec


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Runs a source file with the builtins it is given: its import statements ask these."""

    def __init__(self, fullname: str, path: str, module_builtins: dict[str, Any]):
        super().__init__(fullname, path)
        self._builtins = module_builtins

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self._builtins
        super().exec_module(module)


class _EmptyLoader(importlib.abc.Loader):
    """Makes a module with nothing in it."""

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = "Left out: neural-tangents' own needs TensorFlow."


def _import(
    views: Mapping[str, ModuleType], name: str, *arguments: Any, **named: Any
) -> ModuleType:
    """Do what ``__import__`` does, with ``views`` standing before the modules they view."""
    given = dict(zip(("globals", "locals", "fromlist", "level"), arguments, strict=False)) | named
    level = given.get("level", 0)
    if level == 0 and name in views:
        return views[name if given.get("fromlist") else name.partition(".")[0]]
    module = builtins.__import__(name, **given)
    return views.get(module.__name__, module) if level == 0 else module


# --- JAX and SciPy as neural_tangents expects them ---------------------------------------------


class _View(ModuleType):
    """A module with some names added or replaced; every other name is the module's own."""

    def __init__(self, viewed: ModuleType, **names: Any):
        super().__init__(viewed.__name__, f"{viewed.__name__} as neural_tangents expects it.")
        self._viewed = viewed
        vars(self).update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._viewed, name)


def _views() -> dict[str, ModuleType]:
    """What stands before the modules that changed since neural_tangents was written, by name."""
    extend_core = jax.extend.core
    core = _View(
        jax.core,
        Jaxpr=extend_core.Jaxpr,
        JaxprEqn=extend_core.JaxprEqn,
        Literal=extend_core.Literal,
        Primitive=extend_core.Primitive,
        Var=extend_core.Var,
        # Arrays of dynamic shape are gone: nothing is one.
        DShapedArray=type("DShapedArray", (), {}),
    )
    ad = _View(
        jax.interpreters.ad,
        linearize=_linearize,
        # The key of a rule that is never asked for: no program has this operation any more.
        zeros_like_p=extend_core.Primitive("zeros_like"),
        # What it asks is whether to run a self-check, by functions that are gone.
        config=SimpleNamespace(jax_enable_checks=False),
        # The operations of a backward pass stay unnamed in profiles.
        source_info_util=SimpleNamespace(transform_name_stack=contextlib.nullcontext),
    )
    util = ModuleType("jax.util")
    vars(util).update(safe_map=_safe_map, safe_zip=_safe_zip)
    jax_views = {
        "api_util": _View(jax.api_util, flatten_fun_nokwargs=_flatten_function),
        "core": core,
        "extend": _View(jax.extend, linear_util=SimpleNamespace(wrap_init=lambda fun: fun)),
        "interpreters": _View(jax.interpreters, ad=ad),
        "numpy": _View(jnp, dtype=_dtype, shape=_shape, size=_size),
        "util": util,
    }
    return {
        "jax": _View(jax, **jax_views),
        **{f"jax.{name}": view for name, view in jax_views.items()},
        "jax.interpreters.ad": ad,
        "scipy": _View(scipy, linalg=_View(scipy.linalg, eigvalsh=_eigvalsh)),
    }


def _safe_map(function: Callable, *sequences: Any) -> list:
    return [function(*items) for items in zip(*sequences, strict=True)]


def _safe_zip(*sequences: Any) -> list[tuple]:
    return list(zip(*sequences, strict=True))


# jax.numpy asks for an array where neural_tangents passes a ShapeDtypeStruct, and for a dtype
# where it passes an array: deprecated, and soon an error.


def _shape(array: Any) -> tuple[int, ...]:
    return array.shape if hasattr(array, "shape") else jnp.shape(array)


def _size(array: Any, axis: int | None = None) -> int:
    return math.prod(_shape(array)) if axis is None else _shape(array)[axis]


def _dtype(array_or_type: Any) -> Any:
    if isinstance(array_or_type, type):
        return jnp.dtype(array_or_type)
    return getattr(array_or_type, "dtype", None) or jnp.dtype(array_or_type)


def _eigvalsh(matrix: Any, eigvals: tuple[int, int]) -> Any:
    return scipy.linalg.eigvalsh(matrix, subset_by_index=eigvals)


# --- The automatic differentiation behind structured derivatives --------------------------------


def _flatten_function(function: Callable, in_tree: Any) -> tuple[Callable, Callable]:
    """``function`` from leaves to leaves, and what tells its outputs' tree after a call."""
    out_tree = None

    def flat(*leaves: Any) -> list:
        nonlocal out_tree
        out_leaves, out_tree = jax.tree.flatten(function(*jax.tree.unflatten(in_tree, leaves)))
        return out_leaves

    return flat, lambda: out_tree


def _linearize(function: Callable, *primals: Any, has_aux: bool) -> tuple[Any, list, Any, list]:
    """The outputs, a marker of each as unknown, the linear program and its constants."""
    assert not has_aux  # neural_tangents never asks for it
    outputs, tangent_map = jax.linearize(function, *primals)
    linear = jax.make_jaxpr(tangent_map)(*primals)
    unknown = SimpleNamespace(is_known=lambda: False)
    return outputs, [unknown] * len(linear.jaxpr.outvars), linear.jaxpr, linear.consts


def _replace_what_no_view_can_mend(empirical: ModuleType) -> None:
    """Give ``neural_tangents._src.empirical`` two functions of its own anew.

    They read attributes and results of JAX's objects that changed, which no view reaches.
    """
    vars(empirical).update(_eqn_vjp_fn=_transpose_equation, _get_flops=_floating_point_operations)


def _transpose_equation(equation: Any, cotangent: Any, *operands: Any) -> list:
    """Cotangents of the undefined operands of one linear equation, ``None`` for the others."""
    if equation is None:  # stands for the identity
        return [cotangent]
    ad = jax.interpreters.ad
    undefined = [i for i, operand in enumerate(operands) if ad.is_undefined_primal(operand)]
    avals = [operands[i].aval for i in undefined]

    def apply(*values: Any) -> Any:
        filled = dict(enumerate(operands)) | dict(zip(undefined, values, strict=True))
        return equation.primitive.bind(*filled.values(), **equation.params)

    if isinstance(cotangent, ad.Zero):
        found = [ad.Zero(aval) for aval in avals]
    else:
        shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals]
        found = jax.linear_transpose(apply, *shapes)(cotangent)
    by_operand = dict(zip(undefined, found, strict=True))
    return [by_operand.get(i) for i in range(len(operands))]


def _floating_point_operations(
    function: Callable, optimize: bool, *args: Any, **kwargs: Any
) -> float:
    lowered = jax.jit(function).lower(*args, **kwargs)
    counts = (lowered.compile() if optimize else lowered).cost_analysis()
    if not counts or "flops" not in counts:
        raise NotImplementedError(
            f"JAX counts no operations on {jax.default_backend()}, so implementation AUTO cannot "
            "choose: name one of 1, 2, 3"
        )
    return counts["flops"]
