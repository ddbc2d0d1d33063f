"""What becomes of arrays, lists and tables that come in: the same numbers, or a refusal."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from ntk_air._base.arrays import exact_float64, real_array

NUMBERS = np.array([[1.0, 2.5], [3.0, -4.0]])
LONG = np.array([2**-60, 10], np.longdouble) ** [1, 400]
LONGER_THAN_FLOAT64 = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 60, reason="this machine's longest number is float64"
)


class _WithUnits(np.ndarray):
    pass


class _OnAnotherDevice:
    def __array__(self, dtype=None, copy=None):
        raise TypeError("copy it to this machine first\nand so on")


def pandas():
    return pytest.importorskip("pandas", reason="pandas is not installed")


@pytest.mark.parametrize(
    "same",
    [
        NUMBERS.tolist(),
        tuple(map(tuple, NUMBERS)),
        list(NUMBERS),
        [jnp.asarray(row) for row in NUMBERS.astype(np.float32)],
        NUMBERS.astype(">f8"),
        np.ma.array(NUMBERS),
        np.asmatrix(NUMBERS),
        jnp.asarray(NUMBERS, jnp.float32),
    ],
)
def test_the_same_numbers_come_out(same):
    got = real_array("x", same)
    assert np.asarray(got).dtype.isnative
    np.testing.assert_array_equal(got, NUMBERS)


def test_arrays_of_jax_are_not_moved():
    given = jnp.ones(3)
    assert real_array("x", given) is given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            np.ma.array([1, 2, 3], mask=[False, False, True]),
            "masked array without 1 of them.* row 2",
        ),
        ([np.ma.array([1, 2], mask=[False, True]), [3, 4]], "masked array without 1"),
        ([1.0, None], r"got objects, such as None \(NoneType\) at row 1"),
        ([[1, 2], [3, {}]], r"such as {} \(dict\) at position \(1, 1\)"),
        ([2**70], r"such as 1180591620717411303424 \(int\) at row 0"),
        ([1, True], "hold numbers that all are int64; got True among them at row 1"),
        ([np.False_, 0.5], "got False among them at row 0"),
        ([0.5, 2**53 + 1], "all are float64; got 9007199254740993 among them at row 1"),
        ([1, "2"], "got dtype <U21: text is not read as numbers"),
        ([b"1"], "got dtype .S1: text is not read"),
        ([[1, 2], [3]], "got list, of which numpy makes none: .*inhomogeneous"),
        (np.array([1 + 2j]), "got dtype complex128: hand in real and imaginary parts"),
        ([1.0, 2j], "got dtype complex128"),
        (np.array(["2026-11-27"]).astype("M8[D]"), "got dtype datetime64.*: dates and times"),
        (np.array([3]).astype("m8[s]"), "got dtype timedelta64.*: dates and times"),
        (np.array([True]), "got dtype bool: say by astype"),
        (np.zeros(2, [("a", int)]), r"got dtype \[\('a'"),
        (jnp.ones(2, jnp.bfloat16), "got dtype bfloat16"),
        (scipy.sparse.csr_array(NUMBERS), "be a dense array; got the sparse csr_array"),
        (NUMBERS.view(_WithUnits), "got numpy's subclass _WithUnits"),
        (_OnAnotherDevice(), "of which numpy makes none: copy it to this machine first$"),
        ({"a": 1}, "be an array of numbers; got dict"),
        (None, "got NoneType"),
        ("12", "got str"),
    ],
)
def test_all_else_is_refused(given, message):
    with pytest.raises(ValueError, match=f"^x must .*{message}"):
        real_array("x", given)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables_and_columns_of_numbers_are_taken(library):
    frames = pytest.importorskip(library, reason=f"{library} is not installed")
    table = frames.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    np.testing.assert_array_equal(real_array("x", table), [[1, 0.5], [2, 1.5]])
    np.testing.assert_array_equal(real_array("x", table["a"]), [1, 2])
    for absent in ({"a": [1, 2], "b": [None, 1.0]}, {"a": [1, 2], "b": [None, 1]}):
        with pytest.raises(ValueError, match=r"x, column 'b', must have all .* the first in row 0"):
            real_array("x", frames.DataFrame(absent))
    with pytest.raises(ValueError, match="x, column 'c', must hold real numbers; got String"):
        real_array("x", frames.DataFrame({"a": [1], "c": ["1"]}))
    with pytest.raises(ValueError, match=r"column 'a', must hold whole .* got 9007199254740993"):
        real_array("x", frames.DataFrame({"a": [2**53 + 1], "b": [0.5]}))


def test_tables_of_pandas_are_taken_by_the_names_of_their_columns():
    frames = pandas()
    np.testing.assert_array_equal(
        real_array("x", frames.DataFrame(NUMBERS, columns=[1, 0])), NUMBERS
    )
    for dtype, kind in (("category", "Categorical"), (bool, "Boolean"), ("M8[ns]", "Datetime")):
        with pytest.raises(ValueError, match=f"must hold real numbers; got {kind}"):
            real_array("x", frames.Series([1, 0]).astype(dtype))
    with pytest.raises(ValueError, match=r"must have all its values; got 1 absent, .* row 1"):
        real_array("x", frames.Series([1, frames.NA], dtype="Int64"))
    with pytest.raises(ValueError, match=r"x must be an array or a table .*'a' 2 times"):
        real_array("x", frames.DataFrame(NUMBERS, columns=["a", "a"]))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([0, 2**53 + 1]), "within ±2.53.* got 9007199254740993 at row 1"),
        (np.array([-(2**63)]), "got -9223372036854775808 at row 0"),
        (np.array([2**63], np.uint64), "got 9223372036854775808"),
        pytest.param(LONG, "without rounding; got 1e.400 at row 1", marks=LONGER_THAN_FLOAT64),
        pytest.param(1 + LONG[:1], "got 1.00000000000000000.* at row 0", marks=LONGER_THAN_FLOAT64),
    ],
)
def test_numbers_that_float64_would_round_are_refused(array, message):
    with pytest.raises(ValueError, match=f"^x must hold .*{message}"):
        exact_float64("x", array)


@pytest.mark.parametrize(
    "array",
    [NUMBERS, np.array([2**53, -(2**53)]), np.zeros((0, 2), int), NUMBERS.astype(np.longdouble)],
)
def test_numbers_that_float64_holds_stay_what_they_are(array):
    got = exact_float64("x", array)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, array)
    assert (got is array) == (array.dtype == np.float64)
