"""What options a data set has, by its loader's signature and docstring: there is no second list."""

import inspect
import os
import re
import types
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args, get_origin


class OptionHelp(NamedTuple):
    """An option of a data set for a reader.

    Attributes:
        name: its name.
        takes: values that it takes, in words.
        default: what it is where it is not given, as text; ``None`` for one that must be given.
        says: what it does, the loader's own sentence.
    """

    name: str
    takes: str
    default: str | None
    says: str


_WORDS: dict[Any, str] = {
    bool: "yes or no",
    int: "whole number",
    float: "number",
    str: "text",
    tuple: "NAME,NAME,…",
    os.PathLike: "path",
}


def options_of(loader: Callable[..., Any], left_out: tuple[str, ...]) -> list[OptionHelp]:
    """The options of a loader in the order of its signature.

    Args:
        loader: function with annotations, and a docstring whose ``Args`` describe its parameters.
        left_out: parameters that are no options.
    """
    described = _described(inspect.getdoc(loader) or "")
    return [
        OptionHelp(
            name,
            _takes(parameter.annotation),
            None if parameter.default is parameter.empty else _shown(parameter.default),
            described.get(name, ""),
        )
        for name, parameter in inspect.signature(loader).parameters.items()
        if name not in left_out
    ]


def _described(docstring: str) -> dict[str, str]:
    """The sentences of a docstring's ``Args``, by name."""
    found = re.search(r"\nArgs:\n(.*?)(?:\n\n|\Z)", docstring, flags=re.DOTALL)
    entries: dict[str, str] = {}
    name = ""
    for line in found.group(1).splitlines() if found else ():
        if re.match(r"    \w", line):
            name, _, line = line.strip().partition(":")
        entries[name] = f"{entries.get(name, '')} {line.strip()}".strip()
    return {name: text.replace("``", "") for name, text in entries.items()}


def _takes(declared: Any) -> str:
    if get_origin(declared) is Literal:
        return " or ".join(get_args(declared))
    parts = get_args(declared) if isinstance(declared, types.UnionType) else (declared,)
    if any(get_origin(each) is os.PathLike for each in parts):
        return _WORDS[os.PathLike]
    words = [_WORDS.get(get_origin(each) or each) for each in parts]
    return " or ".join(word for word in words if word)


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or "none"
    return "none" if default is None else str(default)
