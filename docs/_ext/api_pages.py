"""The API, one page a room, from what ``ntk_air`` and its families export."""

import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import ntk_air

ROOMS = (
    "data", "kernels", "spectrum", "problem", "air", "dynamics", "inference", "networks", "claims",
    "plot",
)  # fmt: skip
"""The rooms in the order of their imports, a page each; others that export come behind them."""

_INDEX = """API
===

``import ntk_air as na`` gives each name once; a page holds what one room of the package exports.

.. toctree::
   :maxdepth: 1
"""


def room_of(module: str) -> str:
    """The room that a module of the package lies in."""
    return module.removeprefix("ntk_air.").split(".")[0]


def exported() -> dict[str, dict[str, Any]]:
    """What each room exports, by the name that it has behind ``ntk_air.``, once each.

    Names of the package come first, then those of its families, then what the rooms themselves
    hand on beyond.
    """
    homes = {**ntk_air._MODULE_OF, **ntk_air._FAMILIES}
    rooms = dict.fromkeys([*ROOMS, *map(room_of, homes.values())])
    found: dict[str, dict[str, Any]] = {room: {} for room in rooms}
    for name in ntk_air.__all__:
        if name not in ntk_air._FAMILIES:
            found[room_of(ntk_air._MODULE_OF[name])][name] = getattr(ntk_air, name)
    modules = {family: getattr(ntk_air, family) for family in sorted(ntk_air._FAMILIES)}
    modules |= {room: importlib.import_module(f"ntk_air.{room}") for room in rooms}
    seen = {id(value) for names in found.values() for value in names.values()}
    for prefix, module in modules.items():
        for name, value in _members(module):
            if id(value) not in seen:
                seen.add(id(value))
                found[room_of(module.__name__)][f"{prefix}.{name}"] = value
    return found


def _members(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What a module exports: its ``__all__``, or what it defines."""
    if hasattr(module, "__all__"):
        yield from ((name, getattr(module, name)) for name in module.__all__)
        return
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
            yield name, value


def pages() -> dict[str, str]:
    """The text of each page by its name, and ``index`` that lists them."""
    written = {room: _page(room, names) for room, names in exported().items()}
    return {"index": "\n".join([_INDEX, *(f"   {room}" for room in written), ""]), **written}


def _page(room: str, names: dict[str, Any]) -> str:
    module = importlib.import_module(f"ntk_air.{room}")
    title = f"{room}"
    lines = [title, "=" * len(title), "", inspect.cleandoc(module.__doc__ or ""), ""]
    family = ""
    for name, value in names.items():
        prefix = name.rpartition(".")[0]
        if prefix != family:
            family = prefix
            lines += [f"na.{prefix}", "-" * (len(prefix) + 3), ""]
        lines += [_entry(name, value), ""]
    return "\n".join(lines)


def _is_own(base: type) -> bool:
    """Whether a base class is of the package: what comes of it is documented with the class."""
    return base.__module__.startswith("ntk_air.")


def _entry(name: str, value: Any) -> str:
    if inspect.isclass(value):
        directive = "autoexception" if issubclass(value, Exception) else "autoclass"
        foreign = {base.__name__ for base in value.__mro__ if not _is_own(base)}
        inherited = f":inherited-members: {', '.join(sorted(foreign))}"
        return f".. {directive}:: ntk_air.{name}\n   :members:\n   {inherited}"
    directive = "autofunction" if inspect.isroutine(value) else "autodata"
    return f".. {directive}:: ntk_air.{name}"
