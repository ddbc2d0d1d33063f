"""A kernel given as its matrix: known for its own inputs, and for no others."""

import numpy as np
import pytest

import ntk_air as na

RANDOM = np.random.default_rng(0)
INPUTS, TEST = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=(4, 3))
THETA, CROSS = INPUTS @ INPUTS.T, TEST @ INPUTS.T


def test_it_stands_for_the_kernel_that_it_is_of():
    data = na.Dataset(INPUTS, np.arange(7) % 2, test=(TEST, [0, 1, 1, 0]))
    own = na.make_problem(data, na.MatrixKernel(THETA, CROSS, inputs=INPUTS))
    computed = na.make_problem(data, lambda a, b=None: a @ (a if b is None else b).T)
    np.testing.assert_allclose(own.theta, computed.theta, rtol=1e-14)
    np.testing.assert_allclose(own.held_out.cross_kernel, computed.held_out.cross_kernel)
    np.testing.assert_allclose(own.spectrum.eigenvalues, computed.spectrum.eigenvalues, atol=1e-13)


def test_the_first_of_its_inputs_are_known_where_it_knows_them():
    known = na.MatrixKernel(THETA, inputs=INPUTS)
    np.testing.assert_array_equal(na.gram_matrix(known, INPUTS[:3]), THETA[:3, :3])
    with pytest.raises(ValueError, match=r"3 × 3 inputs beside theta of shape \(7, 7\)"):
        na.gram_matrix(na.MatrixKernel(THETA), INPUTS[:3])
    with pytest.raises(ValueError, match="its own inputs alone; got others"):
        na.gram_matrix(known, INPUTS[1:4])
    with pytest.raises(ValueError, match="its own inputs alone; got others"):
        na.gram_matrix(na.MatrixKernel(THETA, CROSS, inputs=INPUTS), TEST, INPUTS[::-1])


@pytest.mark.parametrize(
    ("theta", "cross", "message"),
    [
        (THETA[:3], None, r"theta must be square; got shape \(3, 7\)"),
        (THETA + np.triu(THETA) * 1e-3, None, "theta must be symmetric; got a difference"),
        (THETA * np.inf, None, "theta must be finite"),
        (THETA.round().astype(int), None, "theta must be a floating-point array"),
        (THETA, CROSS.T, r"cross must have shape \(n_test, 7\).*got \(7, 4\)"),
        (THETA, np.float32(CROSS), "cross must have the precision of theta, float64; got float32"),
        (np.float32(THETA), None, "theta must have the precision of the inputs, float64; got floa"),
        (THETA, None, "got 4 × 7 inputs beside no cross"),
    ],
)
def test_what_is_no_kernel_of_these_inputs_is_refused(theta, cross, message):
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(ValueError, match=message),
    ):
        kernel = na.MatrixKernel(theta, cross)
        na.gram_matrix(kernel, INPUTS)
        na.gram_matrix(kernel, TEST, INPUTS)
