"""Names of kinds: what files on disk call a class or a function, wherever its code stands.

A module's path is no such name: it changes when code moves, and what was written before would
be taken for something else.
"""

from collections.abc import Callable
from typing import Any, TypeVar

_ATTRIBUTE = "_kind_on_disk"
_PACKAGE = "ntk_air"

Named = TypeVar("Named", bound=Callable[..., Any])


def kind(name: str) -> Callable[[Named], Named]:
    """Decorate a class or a function with the name that files know it by.

    The name must never change and never be given to anything else. Subclasses do not inherit it.
    """

    def named(thing: Named) -> Named:
        setattr(thing, _ATTRIBUTE, name)
        return thing

    return named


def kind_of(thing: Any) -> str | None:
    """The name that files know a class or a function by.

    What is not of this package is known by its module and name. ``None`` stands for what has no
    name that lasts: lambdas, functions made inside others, and what of this package has no kind.
    """
    own = getattr(thing, "__dict__", {}).get(_ATTRIBUTE)
    if own is not None:
        return own
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "<")
    if "<" in name or str(module).partition(".")[0] == _PACKAGE:
        return None
    return f"{module}.{name}"
