"""Files of torch's tensors, without torch: what they hold comes out, and nothing is run."""

import contextlib
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntk_air.data import DataFileError
from ntk_air.data.readers.torch_files import load_tensors
from tests.data.writers import torch_file

ARRAYS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
    "a.columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "a.count": np.array(5, np.int64),
}
WHOLE = torch_file(ARRAYS)
SHAPE, STRIDES = b"K\x02K\x03K\x04\x87", b"K\x0cK\x04K\x01\x87"
KEYS = WHOLE.rindex(b"\x80\x02]")


def test_tensors_come_out_as_they_went_in():
    loaded = load_tensors(WHOLE, "file")
    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


def changed(before, after):
    assert WHOLE.count(before) == 1
    return WHOLE.replace(before, after)


class _Attack:
    def __init__(self, path):
        self.call = os.system, (f"touch {path}",)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", ["head", "tensors", "keys"])
def test_a_file_that_would_run_something_runs_nothing(tmp_path, place):
    trace = tmp_path / "trace"
    attack = pickle.dumps(_Attack(trace), 2)
    at = {"head": 0, "tensors": WHOLE.index(b"\x80\x02ccoll"), "keys": KEYS}
    with pytest.raises(DataFileError, match=r"file is no readable .* it names posix\.system, whi"):
        load_tensors(WHOLE[: at[place]] + attack, "file")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(ARRAYS, 2), "names numpy"),
        (pickle.dumps(1, 2) * 3, "does not begin as such a file does"),
        (torch_file(ARRAYS, little_endian=False), "not in little-endian order"),
        (changed(b"LongStorage", b"HalfStorage"), r"names torch\.HalfStorage, which a file of te"),
        (changed(SHAPE, b"K\x02K\x03K\x05\x87"), r"shape \(2, 3, 5\) .* from 0 does not fit"),
        (changed(SHAPE, b"K\x02K\x00K\x04\x87"), r"shape \(2, 0, 4\) .* from 0 does not fit"),
        (changed(STRIDES, b"K\x0dK\x04K\x01\x87"), r"strides \(13, 4, 1\) from 0 does not fit"),
        (changed(STRIDES, b"K\x0cJ\xff\xff\xff\xffK\x01\x87"), "whole numbers belong"),
        (WHOLE.replace(b"1002", b"1001"), "the storage 1001 in two ways"),
        (WHOLE[:KEYS] + WHOLE[KEYS:].replace(b"1001", b"1009"), "storages are not those that its"),
        (WHOLE[:-1], "storage 1002 is cut off or of another length"),
        (WHOLE + b"\0", "goes on behind its last storage"),
        (
            torch_file({}).replace(b"ccollections\nOrderedDict\nq\x00)R", b"]"),
            "must hold a dictionary of tensors by name",
        ),
    ],
)
def test_other_files_are_refused(content, message):
    with pytest.raises(
        DataFileError, match=f"^file is no readable file of torch's tensors: .*{message}"
    ):
        load_tensors(content, "file")


def test_a_tensor_of_repeated_numbers_is_no_larger_than_its_storage():
    small = torch_file({"a": np.zeros((2, 3, 4), np.float32)})
    bomb = small.replace(SHAPE, b"M\xff\xffM\xff\xffM\xff\xff\x87")
    bomb = bomb.replace(STRIDES, b"K\x00K\x00K\x00\x87")
    with pytest.raises(DataFileError, match="does not fit a storage of 24 numbers"):
        load_tensors(bomb, "file")


@given(cut=st.integers(0, len(WHOLE)), noise=st.binary(max_size=30), behind=st.booleans())
def test_noise_is_a_data_file_error_and_never_another(cut, noise, behind):
    with contextlib.suppress(DataFileError):
        load_tensors(WHOLE[:cut] + noise + (WHOLE[cut + len(noise) :] if behind else b""), "file")
