"""Features as an option of a command: a network of this package, or anyone's MODULE:FUNCTION."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ntk_air._base.checks import shown
from ntk_air.lab.own_code import own_function

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
    forms = f"{_PRETRAINED}, {_PRETRAINED}:SIZE or MODULE:FUNCTION"
    return functools.partial(_checked, text, own_function("features", text, forms=forms))


def _checked(text: str, function: Callable[[Any], Any], inputs: "np.ndarray") -> "np.ndarray":
    from ntk_air.data.inputs import rows_made

    return rows_made(f"features {shown(text)}", function, inputs)


def _whole_number(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"features {shown(text)} must have a size of digits behind its colon")
    return int(digits)
