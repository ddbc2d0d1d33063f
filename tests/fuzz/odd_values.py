"""Values that people hand in by mistake, for any argument."""

import decimal
import fractions
from typing import Any

import numpy as np
import scipy.sparse
from hypothesis import strategies as st

SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 2**31, 2**63, 10**30, 0.5, 0.3, -0.5, 1.5, 2.0, 3.7),
    *(float("nan"), float("inf"), -float("inf"), 1e-320, 1e300, "", "3", "0.1", "nan", "auto"),
    *(b"3", 1j, complex("nan"), np.float32(0.25), np.int8(3), np.bool_(True), np.array(2)),
    *(np.array([0.5]), decimal.Decimal("0.5"), fractions.Fraction(1, 2), [], (), {}, [1], {"a": 1}),
    *(object, lambda x: x, np.datetime64("2020-01-01"), range(3)),
)


def _arrays(whole: np.ndarray) -> list[Any]:
    """An array in other forms, and with something wrong in it."""
    one_wrong = []
    for value in (np.nan, np.inf, -1e308, 0.0):
        changed = np.array(whole, dtype=np.float64, copy=True)
        changed.flat[changed.size // 2] = value
        one_wrong.append(changed)
    mask = np.zeros(whole.shape, bool)
    mask.flat[0] = True
    others = [
        whole.tolist(),
        whole.astype(np.float32),
        whole.astype(np.float16),
        whole.astype(">f8"),
        whole.astype(np.int64),
        whole.astype(bool),
        whole.astype(complex) + 1j,
        whole.astype(object),
        whole.astype(str),
        np.ma.array(whole, mask=mask),
        whole[:0],
        whole[1:],
        whole[..., :1],
        whole[None],
        whole[..., None],
        whole.ravel(),
        np.asfortranarray(whole)[::-1],
        np.zeros_like(whole),
        np.ones_like(whole),
        np.full(whole.shape, 1e200),
        np.full(whole.shape, 1e-200),
    ]
    if whole.ndim == 2:
        others += [scipy.sparse.csr_matrix(whole), whole.T]
    return one_wrong + others


def odd_for(valid: Any) -> st.SearchStrategy[Any]:
    """Values in place of a valid one: of its kind with something wrong, or of another kind."""
    scalars = st.sampled_from(range(len(SCALARS))).map(SCALARS.__getitem__)
    if isinstance(valid, np.ndarray):
        arrays = _arrays(valid)
        return st.one_of(st.sampled_from(range(len(arrays))).map(arrays.__getitem__), scalars)
    if isinstance(valid, bool):
        return scalars
    if isinstance(valid, int):
        return st.one_of(scalars, st.integers(-3, 60))
    if isinstance(valid, float):
        return st.one_of(scalars, st.floats(-2, 3))
    return scalars
