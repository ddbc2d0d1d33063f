"""One process at a time, also where the one before is just leaving."""

import fcntl

import pytest

from ntk_air._base.locks import sole_writer


def test_one_holds_the_lock_and_its_file_goes_with_it(tmp_path):
    path = tmp_path / ".lock"
    for _ in range(2):
        with sole_writer(path):
            assert path.exists()
            with pytest.raises(BlockingIOError), sole_writer(path):
                raise AssertionError("the lock was taken")
        assert not path.exists()


def test_a_lock_on_a_file_that_the_one_before_removed_is_none(tmp_path, monkeypatch):
    path, flock, leaving = tmp_path / ".lock", fcntl.flock, [tmp_path / ".lock"]

    def locked_too_late(file, operation):
        flock(file, operation)
        if leaving:  # between the opening of the file and this lock
            leaving.pop().unlink()

    monkeypatch.setattr(fcntl, "flock", locked_too_late)
    with sole_writer(path):
        assert not leaving
        with pytest.raises(BlockingIOError), sole_writer(path):
            raise AssertionError("two hold the lock")
