"""Options of data sets by name: what they may be, and what a text such as ``standardise=no`` says.

A text is read as its option is declared, never by its look: a column may be called 2.
"""

import numbers
import os
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

import numpy as np

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

_ACCEPTED: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool, np.bool_), "True or False"),
    int: ((numbers.Integral,), "a whole number"),
    float: ((numbers.Real,), "a number"),
    str: ((str,), "text"),
    os.PathLike: ((os.PathLike,), "a path"),
    type(None): ((type(None),), "None"),
    tuple: ((tuple,), "a tuple of texts"),
}


def check_option(name: str, value: Any, declared: Any) -> None:
    """Require a value of the declared type; truth values are no numbers, and numbers no text.

    Args:
        name: name of the option in errors.
        value: what was given.
        declared: annotation of the parameter: a type, a union of types, or literal texts.

    Raises:
        ValueError: a value of another type.
    """
    accepted = [_ACCEPTED[part] for part in _parts(declared)]
    is_truth = isinstance(value, bool | np.bool_)
    if not any(
        isinstance(value, types) and (bool in types or not is_truth) for types, _ in accepted
    ):
        expected = " or ".join(says for _, says in accepted)
        raise ValueError(f"{name} must be {expected}; got {value!r}")


def options_from_text(
    argument: str, texts: Iterable[str], declared: Mapping[str, Any]
) -> dict[str, Any]:
    """Options from texts NAME=VALUE, each value read as its option is declared.

    Args:
        argument: name of the argument that holds the texts, in errors.
        texts: the texts; dashes in a name are underscores.
        declared: annotations by name.

    Raises:
        ValueError: no such text, an unknown name, a name given twice, a value of another type.
    """
    options: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or not name:
            raise ValueError(f"{argument} must be NAME=VALUE; got {text!r}")
        if name not in declared:
            raise ValueError(f"{argument} must be among {list(declared)}; got {text!r}")
        if name in options:
            raise ValueError(f"{argument} must name each option once; got {name!r} twice")
        options[name] = _value(f"{argument} {name}", value, declared[name])
    return options


def _value(name: str, text: str, declared: Any) -> Any:
    if declared is bool:
        if text.lower() not in _TRUE + _FALSE:
            raise ValueError(f"{name} must be true or false; got {text!r}")
        return text.lower() in _TRUE
    if declared is int:
        if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
            raise ValueError(f"{name} must be a whole number; got {text!r}")
        return int(text)
    if declared is float:
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"{name} must be a number; got {text!r}")
        return float(text)
    if get_origin(declared) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _parts(declared: Any) -> list[type]:
    """The types that an annotation allows, each as ``_ACCEPTED`` has it."""
    if get_origin(declared) is Literal:
        return [str]
    parts = get_args(declared) if isinstance(declared, types.UnionType) else (declared,)
    return [get_origin(part) or part for part in parts]
