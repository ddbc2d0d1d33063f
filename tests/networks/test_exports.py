"""The names of ``na.networks``, ``na.noisy_labels``, ``na.adapters``: all there, all described."""

import inspect
import re
import subprocess
import sys

import pytest

import ntk_air as na
from tests.test_flat_api import described

FAMILIES = {"networks": na.networks, "noisy_labels": na.noisy_labels, "adapters": na.adapters}
NAMES = [(family, name) for family, module in FAMILIES.items() for name in module.__all__]


def test_what_is_exported_is_what_is_declared():
    declared = {name for names in na.networks._HOMES.values() for name in names}
    assert declared == set(na.networks.__all__)
    assert declared < set(dir(na.networks))
    with pytest.raises(AttributeError, match="has no attribute 'Descent'"):
        na.networks.Descent  # noqa: B018


@pytest.mark.parametrize(("family", "name"), NAMES)
def test_a_name_is_described_by_noun_phrases(family, name):
    documented = getattr(FAMILIES[family], name)
    entries = described(documented.__doc__)
    for argument, text in entries.items():
        assert text, f"{argument} is not described"
        assert not re.match(r"(of|as|see)\b", text), f"{argument} is described by a fragment"
    if not inspect.isfunction(documented):
        return
    assert ">>> " in (documented.__doc__ or ""), "an example that runs"
    parameters = inspect.signature(documented).parameters
    assert set(entries) == set(parameters)
    positional = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(parameters) <= 6
    assert len(positional) <= 4


def test_a_network_is_to_be_had_without_optax():
    """Training imports what only training needs."""
    code = (
        "import sys, ntk_air as na; na.networks.DenseNetwork((4,)); "
        "print(sorted({'optax', 'orbax'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
