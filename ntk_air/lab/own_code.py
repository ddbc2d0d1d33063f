"""Code of a user's own as an option, MODULE:FUNCTION: features, kernels and models alike."""

import hashlib
import importlib
import inspect
import operator
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ntk_air._base.checks import check_callable, shown


def own_function(option: str, text: str, *, forms: str = "MODULE:FUNCTION") -> Callable[..., Any]:
    """The function that an option names.

    Args:
        option: name of the option in errors.
        text: ``"MODULE:FUNCTION"``, whose module Python finds, if need be in the folder where the
            command runs. Importing the module runs its code.
        forms: all forms that the option takes, for an error.

    Raises:
        ValueError: a text of another form, a module that cannot be imported, a function that is
            none.

    >>> from ntk_air.lab.own_code import own_function
    >>> own_function("features", "math:sqrt")(4)
    2.0
    """
    name, _, rest = text.partition(":")
    if not name or not rest:
        raise ValueError(f"{option} must be {forms}; got {shown(text)}")
    try:
        found = operator.attrgetter(rest)(_module(option, name, text))
    except AttributeError as error:
        raise ValueError(f"{option} {shown(text)} must name a function; {error}") from error
    check_callable(f"{option} {shown(text)}", found)
    return found


def code_identity(option: str, text: str) -> str | None:
    """The sha256 of the file that the function's module is; ``None`` for compiled modules."""
    path = inspect.getsourcefile(_module(option, text.partition(":")[0], text))
    return None if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _module(option: str, name: str, text: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:  # an installed command has its own folder there, not the user's
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the code of a module may raise
        raise ValueError(
            f"{option} {shown(text)} must name a module that can be imported; "
            f"got {type(error).__name__}: {error}"
        ) from error
