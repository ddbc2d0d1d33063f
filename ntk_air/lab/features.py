"""Features as an option of a command: a network of this package, or anyone's MODULE:FUNCTION."""

import functools
import importlib
import operator
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ntk_air._base.checks import check_callable, shown

if TYPE_CHECKING:  # options are read before arrays are needed
    import numpy as np

Features: TypeAlias = "Callable[[np.ndarray], np.ndarray]"
"""From inputs (n, *features) to new ones (n, *new_features), a row for each."""

_PRETRAINED = "efficientnet_lite0"


def features_from_text(
    text: str,
    *,
    max_memory_bytes: int | None = None,
    cache: Path | None = None,
) -> Features:
    """The features that an option names.

    Args:
        text: ``"efficientnet_lite0"`` (extra ``pretrained``), with a size of its images behind a
            colon where it is not 160; or ``"MODULE:FUNCTION"`` for a function of one's own, whose
            module Python finds, if need be in the folder where the command runs. Importing the
            module runs its code.
        max_memory_bytes: bound in bytes for the network of this package.
        cache: folder in which that network's features are kept.

    Returns:
        The function. One's own is checked whenever it is called: it must return finite real
        numbers, a row for each input.

    Raises:
        ModuleNotFoundError: the extra is missing.
        ValueError: a text of another form, a module that cannot be imported, a function that is
            none.

    >>> import numpy as np
    >>> from ntk_air.lab.features import features_from_text
    >>> features_from_text("numpy:square")(np.array([[1.0, 2.0], [3.0, 0.0]])).tolist()
    [[1.0, 4.0], [9.0, 0.0]]
    """
    name, colon, rest = text.partition(":")
    if name == _PRETRAINED:
        from ntk_air.networks.pretrained.features import PretrainedFeatures

        size = {"size": _whole_number(rest, text)} if colon else {}
        return PretrainedFeatures(name, **size, max_memory_bytes=max_memory_bytes, cache=cache)
    if not name or not rest:
        raise ValueError(
            f"features must be {_PRETRAINED}, {_PRETRAINED}:SIZE or MODULE:FUNCTION; "
            f"got {shown(text)}"
        )
    found = _attribute(_module(name, text), rest, text)
    check_callable(f"features {shown(text)}", found)
    return functools.partial(_checked, text, found)


def _checked(text: str, function: Callable[[Any], Any], inputs: "np.ndarray") -> "np.ndarray":
    from ntk_air.data.inputs import rows_made

    return rows_made(f"features {shown(text)}", function, inputs)


def _module(name: str, text: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:  # an installed command has its own folder there, not the user's
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the code of a module may raise
        raise ValueError(
            f"features {shown(text)} must name a module that can be imported; "
            f"got {type(error).__name__}: {error}"
        ) from error


def _attribute(module: Any, name: str, text: str) -> Any:
    try:
        return operator.attrgetter(name)(module)
    except AttributeError as error:
        raise ValueError(f"features {shown(text)} must name a function; {error}") from error


def _whole_number(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"features {shown(text)} must have a size of digits behind its colon")
    return int(digits)
