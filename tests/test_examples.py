"""The example of every exported name, and of every name of the exported families, runs."""

import doctest
import inspect

import pytest

import ntk_air as na
from tests.helpers.type_checks import without_type_checks


def members():
    """The exported names, and those that families hand on, once each."""
    found = {name: getattr(na, name) for name in na.__all__ if name not in na._FAMILIES}
    for family in na._FAMILIES:
        module = getattr(na, family)
        for name in getattr(module, "__all__", None) or dir(module):
            member = getattr(module, name)
            if callable(member) and member.__module__.startswith(module.__name__):
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
