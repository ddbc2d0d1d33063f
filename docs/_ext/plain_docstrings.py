"""Docstrings are plain text with ``code``: no star or bar in them is markup."""

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_CODE = re.compile(r"(``.+?``)")
_MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)")
_BEFORE_NAPOLEON = 400


def plain(lines: list[str]) -> list[str]:
    """Lines with stars and bars that are characters, and indented formulas that keep their lines.

    Examples (``>>>``) and sections (``Args:``) stay as they are.
    """
    written: list[str] = []
    in_section = False
    for empty, group in groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(group)
        if empty or paragraph[0].lstrip().startswith(">>>"):
            written += paragraph
            continue
        indented = all(line.startswith("    ") for line in paragraph)
        if not indented:
            in_section = re.fullmatch(r"[A-Z]\w+:", paragraph[0]) is not None
        if indented and not in_section:
            written += ["::", "", *paragraph]
        else:
            written += [_escaped(line) for line in paragraph]
    return written


def _escaped(line: str) -> str:
    parts = _CODE.split(line)  # code stands at the odd places
    for place, part in enumerate(parts):
        if place % 2 == 0:
            parts[place] = _MARKUP.sub(r"\\\g<0>", part)
        elif parts[place + 1][:1].isalpha():  # ``Plural``s
            parts[place] += "\\ "
    return "".join(parts)


def _process(app: "Sphinx", what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    # Of an attribute napoleon takes what stands before a colon in the first line for its type.
    first = ["\\"] if what in ("attribute", "data", "property") and lines else []
    lines[:] = first + plain(lines)


def setup(app: "Sphinx") -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", _process, priority=_BEFORE_NAPOLEON)
    return {"parallel_read_safe": True}
