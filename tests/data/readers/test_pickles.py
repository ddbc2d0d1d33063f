"""The array unpickler: arrays come out, and nothing that a pickle names is run."""

import contextlib
import os
import pickle
import pickletools
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ntk_air.data import DataFileError
from ntk_air.data.readers.pickles import load_arrays

DTYPES = st.sampled_from(["u1", "<i2", ">i4", "<i8", ">u8", "<f4", ">f8", "?"])


@given(
    array=DTYPES.flatmap(lambda dtype: arrays(dtype, array_shapes(max_dims=3, min_side=1))),
    protocol=st.integers(0, 4),
    fortran=st.booleans(),
)
def test_plain_arrays_come_out_as_they_went_in(array, protocol, fortran):
    given_array = np.asfortranarray(array) if fortran else array
    loaded = load_arrays(pickle.dumps({"a": given_array}, protocol), "file")["a"]
    np.testing.assert_array_equal(loaded, array)
    assert loaded.dtype == array.dtype


def test_lists_numbers_and_text_are_kept():
    content = pickle.dumps({b"labels": [1, 2], "name": "x", "n": 3}, 2)
    assert load_arrays(content, "file") == {"labels": [1, 2], "name": "x", "n": 3}


def test_a_pickle_of_python_2_is_read():
    # What Python 2's numpy writes: bytes as plain strings, under numpy.core.
    content = (
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"K\x00\x85U\x01b\x87Rq\x01(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06abcdefts.b"
    ).replace(b"ts.b", b"tbs.")
    np.testing.assert_array_equal(
        load_arrays(content, "file")["data"], [[97, 98, 99], [100, 101, 102]]
    )


class _Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "attack",
    [
        lambda path: _Attack(os.system, f"touch {path}"),
        lambda path: _Attack(open, str(path), "w"),
        lambda path: _Attack(eval, f"open({str(path)!r}, 'w')"),
        lambda path: _Attack(subprocess.check_call, ["touch", str(path)]),
        lambda path: _Attack(np.fromfile, str(path)),
        lambda path: _Attack(getattr, "text", "upper"),
    ],
    ids=["system", "open", "eval", "subprocess", "fromfile", "getattr"],
)
def test_a_pickle_that_would_run_something_runs_nothing(tmp_path, attack, protocol):
    trace = tmp_path / "trace"
    content = pickle.dumps({"data": attack(trace)}, protocol)
    with pytest.raises(DataFileError, match=r"batch_1 is no readable pickle .* it names \w+\.\w+"):
        load_arrays(content, "batch_1")
    assert not trace.exists()


def test_the_attack_would_have_worked_on_an_open_unpickler(tmp_path):
    trace = tmp_path / "trace"
    pickle.loads(pickle.dumps(_Attack(os.system, f"touch {trace}")))
    assert trace.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([{}], object), "plain numbers"),
        (np.array([(1, 2.0)], "i4,f8"), "plain numbers"),
        (np.array(["text"]), "plain numbers"),
        (np.array([0], "M8[s]"), "plain numbers"),
        (np.ma.masked_array([1]), "it names numpy.ma"),
        (np.float64(1.0), "it names numpy"),
    ],
)
def test_other_arrays_are_refused(value, message):
    with pytest.raises(DataFileError, match=message):
        load_arrays(pickle.dumps({"data": value}, 2), "file")


@pytest.mark.parametrize(
    "state",
    [b"}U\x08__call__I1\ns", b"N}X\x08\x00\x00\x00__call__I1\ns\x86", b"}X\x01\x00\x00\x00aI1\ns"],
    ids=["attributes", "slots", "any"],
)
@pytest.mark.parametrize("name", [b"_codecs\nencode", b"numpy\nndarray", b"numpy\ndtype"])
def test_a_pickle_cannot_set_attributes_of_what_it_names(name, state):
    content = b"\x80\x02}U\x01ac" + name + b"\n" + state + b"bs."
    assert [op.name for op, _, _ in pickletools.genops(content)][-3:] == [
        "BUILD",
        "SETITEM",
        "STOP",
    ]
    with pytest.raises(DataFileError, match=r"no readable pickle .* (no attribute|read-only)"):
        load_arrays(content, "file")


def test_a_shape_that_does_not_fit_its_bytes_is_refused():
    content = pickle.dumps({"data": np.zeros((2, 3), np.uint8)}, 2)
    damaged = content.replace(b"K\x02K\x03\x86", b"K\x7fK\x03\x86")
    assert damaged != content
    with pytest.raises(DataFileError, match=r"shape \(127, 3\) does not fit 6 bytes"):
        load_arrays(damaged, "file")


@given(cut=st.integers(0, 200), noise=st.binary(max_size=30))
def test_noise_is_a_data_file_error_and_never_another(cut, noise):
    content = pickle.dumps({"data": np.arange(40, dtype=np.uint8), "labels": list(range(9))}, 2)
    with contextlib.suppress(DataFileError):
        load_arrays(content[:cut] + noise, "file")


def test_only_a_dictionary_is_taken():
    with pytest.raises(DataFileError, match="file must hold a dictionary; got list"):
        load_arrays(pickle.dumps([1]), "file")
