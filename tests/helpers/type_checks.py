"""The checks of annotations, which are for tests alone, and running without, as a user does."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
from beartype import beartype

_CHECKS: dict[tuple, Callable] = {}


def checked(signature: Callable) -> Callable:
    """beartype's check of a call, made when one is first called, and once.

    jaxtyping hands in an empty function of a signature's annotations. It does so anew each time a
    function inside another is defined, and making its check takes longer than most calls.
    """

    @functools.wraps(signature)
    def check(*args: Any, **kwargs: Any) -> Any:
        if not made:
            made.append(_made_once(signature))
        return made[0](*args, **kwargs)

    made: list[Callable] = []
    return check


def _made_once(signature: Callable) -> Callable:
    code = signature.__code__
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    name = signature.__module__, signature.__qualname__
    annotations = repr(signature.__annotations__)  # as jaxtyping's types have no equality
    optional = len(signature.__defaults__ or ()), tuple(signature.__kwdefaults__ or ())
    key = name, counts, code.co_varnames, annotations, optional
    if key not in _CHECKS:
        _CHECKS[key] = beartype(signature)
    return _CHECKS[key]


@contextlib.contextmanager
def without_type_checks() -> Iterator[None]:
    """Leave arguments that break their annotations to the library's own checks."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
