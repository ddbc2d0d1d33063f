"""Files: whole or absent, told when damaged, refused where they cannot be."""

import os

import numpy as np
import pytest

from ntk_air._base import files


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "results.json"
    files.write_json(path, {"value": 1})
    with (
        pytest.raises(KeyboardInterrupt),
        files.replaced_atomically(path) as temporary,
    ):
        temporary.write_text('{"value":')
        raise KeyboardInterrupt
    assert files.read_json(path) == {"value": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, synced = tmp_path / "results.json", []

    def fsync(file):
        assert not path.exists()
        synced.append(os.fstat(file).st_size)

    monkeypatch.setattr("os.fsync", fsync)
    files.write_json(path, {"value": 1})
    assert synced == [path.stat().st_size]


def test_a_file_is_written_beside_its_place_and_can_be_read_by_others(tmp_path):
    path = tmp_path / "results.json"
    with files.replaced_atomically(path) as temporary:
        # What lies on another file system takes no name in one step.
        assert temporary.parent == tmp_path
        temporary.touch()
    assert path.stat().st_mode & 0o777 == 0o644


def test_json_holds_no_nan_and_says_what_is_damaged(tmp_path):
    path = tmp_path / "results.json"
    files.write_json(path, {"a": np.float64("nan"), "b": np.array([1.0, np.inf]), "c": (1, 2)})
    assert files.read_json(path) == {"a": None, "b": [1.0, None], "c": [1, 2]}
    path.write_text("{")
    with pytest.raises(ValueError, match=r"results\.json is not valid JSON"):
        files.read_json(path)


def test_damaged_arrays_are_refused_by_the_name_of_their_file(tmp_path):
    path, damaged = tmp_path / "arrays.npz", tmp_path / "damaged.npz"
    files.write_arrays(path, {"x": np.arange(20.0), "y": np.ones((2, 3), np.float32)})
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    cut = [content[:length] for length in rng.integers(0, len(content), 40)]
    changed = []
    for place in rng.integers(0, len(content), 400):
        copy = bytearray(content)
        copy[place] ^= 1 << int(rng.integers(8))
        changed.append(bytes(copy))
    refused = 0
    for case in cut + changed:
        damaged.write_bytes(case)
        try:
            found = files.read_arrays(damaged)
        except ValueError as error:
            refused += str(error).startswith(f"{damaged} is damaged")
            continue
        # A bit that says nothing of the arrays, such as a date, may have changed.
        np.testing.assert_array_equal(found["x"], np.arange(20.0))
        np.testing.assert_array_equal(found["y"], np.ones((2, 3), np.float32))
        refused += 1
    assert refused == len(cut + changed)


def test_a_place_for_a_file_is_checked_before_work(tmp_path, other_user):
    files.check_writable("json", tmp_path / "new" / "deep" / "verdicts.json")
    with pytest.raises(IsADirectoryError, match="json must be a file"):
        files.check_writable("json", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="json must lie in a folder"):
        files.check_writable("json", tmp_path / "file" / "verdicts.json")
    with other_user(), pytest.raises(PermissionError, match="json must be a place"):
        files.check_writable("json", tmp_path / "verdicts.json")
