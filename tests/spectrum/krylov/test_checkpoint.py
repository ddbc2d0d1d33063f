"""Checkpoints of a Krylov space: a chain of records, each of one computation on one JAX."""

import numpy as np
import pytest

from ntk_air.spectrum.krylov.checkpoint import Checkpoint

START = np.ones((4, 1))


def record(number):
    return {"x": np.full(3, float(number))}


def opened(folder):
    checkpoint = Checkpoint(folder, belongs_to="kernel")
    return checkpoint, [float(found["x"][0]) for found in checkpoint.open({"n": 4}, START)]


def test_records_are_found_again_from_the_last_generation_on(tmp_path):
    checkpoint, found = opened(tmp_path)
    assert found == []
    for generation in range(3):
        checkpoint.begin(record(10 * generation))
        for number in range(1, 3):
            checkpoint.append(record(10 * generation + number))
    assert len(list(tmp_path.glob("*.record"))) == 3
    again, found = opened(tmp_path)
    assert found == [20, 21, 22]
    again.append(record(23))
    assert opened(tmp_path)[1] == [20, 21, 22, 23]


def test_a_generation_that_has_begun_counts_before_the_one_it_follows(tmp_path):
    """A kill between its first record and the removal of the old ones leaves both."""
    checkpoint, _ = opened(tmp_path)
    checkpoint.begin(record(0))
    checkpoint.append(record(1))
    old = {path: path.read_bytes() for path in tmp_path.glob("*.record")}
    checkpoint.begin(record(2))
    for path, content in old.items():
        path.write_bytes(content)
    again, found = opened(tmp_path)
    assert found == [2]
    again.begin(record(4))
    assert opened(tmp_path)[1] == [4]
    assert len(list(tmp_path.glob("*.record"))) == 1


@pytest.mark.parametrize("turns", ["abababab", "aabbabba", "abbbaaab", "aaaabbbb"])
def test_two_writers_of_one_computation_lose_nothing(tmp_path, turns):
    """Each writes the same records, at its own pace: what is kept is always whole."""
    writers = {name: (opened(tmp_path)[0], iter(range(4))) for name in "ab"}
    furthest = -1
    for name in turns:
        checkpoint, numbers = writers[name]
        number = next(numbers)
        (checkpoint.append if number % 2 else checkpoint.begin)(record(number))
        furthest = max(furthest, number)
        found = opened(tmp_path)[1]
        assert found[-1] == furthest
        assert found == list(range(furthest - furthest % 2, furthest + 1))


def test_a_computation_of_another_jax_is_refused_and_kept(tmp_path, monkeypatch):
    checkpoint, _ = opened(tmp_path)
    checkpoint.begin(record(0))
    monkeypatch.setattr("ntk_air.spectrum.krylov.checkpoint.computed_with", lambda: "jax 99")
    with pytest.raises(ValueError, match=r"differs in made_with \(there jax 0\.[\d.]+, jaxlib"):
        opened(tmp_path)
    monkeypatch.undo()
    assert opened(tmp_path)[1] == [0]


def test_a_full_disk_keeps_what_is_there(small_disk):
    checkpoint, _ = opened(small_disk)
    checkpoint.begin(record(0))
    checkpoint.append(record(1))
    with pytest.raises(OSError, match="No space left"):
        checkpoint.append({"x": np.random.default_rng(0).random(1 << 20)})
    again, found = opened(small_disk)
    assert found == [0, 1]
    again.append(record(2))
    assert opened(small_disk)[1] == [0, 1, 2]


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path, other_user):
    tmp_path.chmod(0o755)
    with other_user(), pytest.raises(PermissionError, match="Permission denied"):
        opened(tmp_path / "kept")
