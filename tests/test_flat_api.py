"""The names at ``import ntk_air as na``: all there, none a room's, each with a page of its own."""

import inspect
import re
from pathlib import Path

import pytest

import ntk_air as na

FAMILIES = set(na._FAMILIES)
NAMES = sorted(set(na.__all__) - FAMILIES)
ROOMS = {path.stem for path in Path(na.__file__).parent.iterdir()}


def described(docstring):
    """The entries of Args: name and description."""
    args = re.search(r"\n *Args:\n(.*?)(?:\n\s*\n|\Z)", docstring, flags=re.DOTALL)
    if args is None:
        return {}
    lines = args.group(1).splitlines()
    depth = len(lines[0]) - len(lines[0].lstrip())
    entries = {}
    for line in lines:
        if len(line) - len(line.lstrip()) == depth:
            name, _, text = line.strip().partition(":")
            entries[name] = text.strip()
        else:
            entries[name] += " " + line.strip()
    return entries


def test_a_room_is_exported_as_itself_or_not_at_all():
    assert not ROOMS & set(NAMES)
    assert {name for name in FAMILIES if name in ROOMS} == {"inference", "networks", "plot"}


def test_what_is_exported_is_what_is_declared():
    declared = {name for names in na._HOMES.values() for name in names} | FAMILIES
    assert declared == set(na.__all__)
    assert dir(na) == sorted([*declared, "__version__"])  # and none of what is imported
    with pytest.raises(AttributeError, match="module 'ntk_air' has no attribute 'Scene'"):
        na.Scene  # noqa: B018


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_family_is_a_module(name):
    assert inspect.ismodule(getattr(na, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_has_a_docstring_with_arguments_errors_and_an_example(name):
    documented = getattr(na, name)
    docstring = documented.__doc__
    assert ">>> " in docstring, "an example that runs"
    for argument, text in described(docstring).items():
        assert not re.match(r"(of|as|see)\b", text), f"{argument} is described by a fragment"
        assert text, f"{argument} is not described"
    if inspect.isfunction(documented):
        parameters = inspect.signature(documented).parameters
        assert set(described(docstring)) == set(parameters)
        positional = [p for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
        assert len(parameters) <= 6
        assert len(positional) <= 4
