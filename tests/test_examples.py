"""The example of every exported name, and of every name of families and front rooms, runs."""

import doctest
import importlib
import inspect

import pytest

import ntk_air as na
from tests.helpers.type_checks import without_type_checks

ROOMS = ("air", "claims", "data")
"""Rooms that hand on more than stands at the top."""


def members():
    """The exported names, and those that families and rooms hand on, once each."""
    found = {name: getattr(na, name) for name in na.__all__ if name not in na._FAMILIES}
    modules = {family: getattr(na, family) for family in na._FAMILIES}
    modules |= {room: importlib.import_module(f"ntk_air.{room}") for room in ROOMS}
    top = list(found.values())
    for family, module in modules.items():
        for name in getattr(module, "__all__", None) or dir(module):
            member = getattr(module, name)
            own = callable(member) and member.__module__.startswith(module.__name__)
            if own and not any(member is other for other in top):
                found.setdefault(f"{family}.{name}", member)
    return {name: member for name, member in found.items() if ">>> " in (member.__doc__ or "")}


MEMBERS = members()


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_an_example_runs(name):
    member = MEMBERS[name]
    example = doctest.DocTestParser().get_doctest(
        inspect.getdoc(member), {}, name, inspect.getsourcefile(inspect.unwrap(member)), None
    )
    said = []
    with without_type_checks():  # as a user runs it
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert not said, "".join(said)
