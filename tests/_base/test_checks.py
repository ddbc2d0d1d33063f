"""Arguments are what they are stated to be, or refused by name: nothing is cast or guessed."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from ntk_air._base import checks

NO_NUMBERS = (None, "3", True, np.True_, 1 + 0j, [1.0], np.ones(1), np.array("1"), float("nan"))


@pytest.mark.parametrize("value", [*NO_NUMBERS, float("inf"), -1.0, 10**400, b"1", object()])
@pytest.mark.parametrize(
    "check",
    [
        checks.check_positive,
        lambda name, value: checks.check_at_least(name, value, 0),
        checks.check_fraction,
    ],
)
def test_what_is_no_finite_number_in_range_is_refused(check, value):
    with pytest.raises(ValueError, match=r"^rate must .*; got "):
        check("rate", value)


@pytest.mark.parametrize(
    "value", [1, 1.0, np.float32(1), np.int8(1), jnp.ones(()), np.array(1), np.longdouble(1)]
)
def test_numbers_of_any_library_are_numbers(value):
    for check in (checks.check_positive, checks.check_fraction):
        check("rate", value)
    checks.check_at_least("rate", value, 1)
    assert type(checks.as_float(value)) is float
    assert checks.as_float(value) == 1.0


@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, 2.5, 3.0, np.float64(3), np.array(3.0), -1, 10**400, np.array([3])]
)
def test_a_count_is_a_whole_number(value):
    with pytest.raises(ValueError, match=r"^depth must be a whole number, from 0 to 9; got "):
        checks.check_whole_number("depth", value, maximum=9)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), jnp.asarray(3), np.array(3)])
def test_a_whole_number_comes_back_as_pythons_own(value):
    found = checks.check_whole_number("depth", value, minimum=3, maximum=3)
    assert type(found) is int
    assert found == 3


def test_a_seed_fits_into_every_generator():
    assert checks.check_seed("seed", 2**32 - 1) == 2**32 - 1
    with pytest.raises(ValueError, match="seed must be a whole number, from 0 to 4294967295"):
        checks.check_seed("seed", 2**32)


@pytest.mark.parametrize("value", ["False", 1, None, np.True_])
def test_a_flag_is_true_or_false(value):
    with pytest.raises(ValueError, match="allow must be True or False; got "):
        checks.check_flag("allow", value)


@pytest.mark.parametrize("value", [["a"], np.array(["a"]), None, {"a": 1}, "b"])
def test_a_choice_is_one_of_the_words(value):
    with pytest.raises(ValueError, match="method must be one of 'a', 'ab'; got "):
        checks.check_choice("method", value, ("a", "ab"))


X = np.ones((3, 2))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (X.tolist(), r"got a list: pass np\.asarray"),
        ({"a": X}, "got a dict"),
        (scipy.sparse.csr_matrix(X), r"got a csr_matrix: pass \.toarray"),
        (np.ma.masked_array(X, X > 0), "got a MaskedArray: fill it"),
        (3.0, "got a float"),
        (None, "got a NoneType"),
        (X + 0j, r"float32 or float64\); got dtype complex128: take real and imaginary"),
        (X.astype(object), "got dtype object"),
        (X.astype(int), "got dtype int64"),
        (X.astype(np.float16), "got dtype float16"),
        (X.astype(">f8"), "got dtype >f8: bring it into this machine's byte order"),
        (X.astype("datetime64[s]"), "got dtype datetime64"),
        (X.astype(str), "got dtype <U"),
        (jnp.ones((3, 2), jnp.bfloat16), "got dtype bfloat16"),
        (X[:0], r"not be empty; got shape \(0, 2\)"),
        (X[:, 0], r"leading batch axis; got \(3,\)"),
    ],
)
def test_inputs_are_floating_arrays_of_numpy_or_jax(value, message):
    with pytest.raises(ValueError, match=rf"^x1 must .*{message}"):
        checks.check_inputs("x1", value)
    if value is not None:
        with pytest.raises(ValueError, match=rf"^x2 must .*{message}"):
            checks.check_pair(X, value)


@pytest.mark.parametrize("array", [X, X.astype(np.float32), jnp.ones((3, 2)), np.asmatrix(X)])
def test_arrays_of_both_libraries_pass(array):
    checks.check_pair(array, array)


def test_what_is_shown_of_a_value_has_one_line_of_bounded_length():
    assert checks.shown(np.ones((2, 3))) == "an array of shape (2, 3)"
    assert checks.shown("a" * 1000) == "'" + "a" * 199 + "…"
    assert checks.shown(10**5000) == "an int that is too long to be written"
    assert "\n" not in checks.shown({"a": "b", "c": np.ones(40)})


def test_objects_and_callables_are_what_they_are_asked_to_be():
    checks.check_kind("folder", None, str, type(None))
    with pytest.raises(ValueError, match="folder must be str or None; got 3"):
        checks.check_kind("folder", 3, str, type(None))
    checks.check_callable("kernel", len)
    with pytest.raises(ValueError, match="kernel must be callable; got an array of shape"):
        checks.check_callable("kernel", X)
