"""The lists of planted bugs fit the package: each can be planted, and all rooms have some."""

import ast
from collections import Counter

import pytest

from tests.mutation.mutants import ROOT, Mutant, mutants

ALL = list(mutants())
ROOMS = ("air", "data", "dynamics", "kernels", "networks", "spectrum")


def test_every_numerical_room_has_its_share():
    assert len(ALL) >= 150
    assert len({mutant.name for mutant in ALL}) == len(ALL)
    rooms = Counter(mutant.file.split("/")[0] for mutant in ALL)
    assert all(rooms[room] >= 10 for room in ROOMS), rooms


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_can_be_planted(mutant):
    source = (ROOT / "ntk_air" / mutant.file).read_text(encoding="utf-8")
    planted = ast.dump(ast.parse(mutant.planted_in(source)))
    assert planted != ast.dump(ast.parse(source))
    for tests in mutant.mirrored_tests():
        assert (ROOT / tests.partition("::")[0]).exists()


def test_a_mutant_that_no_longer_fits_is_named():
    mutant = Mutant("air-1", "air/area.py", before="x + y", after="x - y")
    assert mutant.planted_in("return x + y") == "return x - y"
    for source in ("return y + x", "x + y, x + y"):
        with pytest.raises(ValueError, match=r"air-1: 'x \+ y' must stand once in air/area\.py"):
            mutant.planted_in(source)
