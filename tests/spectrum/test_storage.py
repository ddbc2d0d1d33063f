"""A spectrum survives a file bit for bit."""

import dataclasses

import numpy as np
import pytest

from ntk_air._base import files
from ntk_air.spectrum.decomposition import DecompositionOptions, decompose
from ntk_air.spectrum.storage import spectrum_from_arrays, spectrum_to_arrays


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_spectrum_survives_a_file(tmp_path, precision):
    factor = np.random.default_rng(0).standard_normal((12, 5)).astype(precision)
    spectrum = decompose(
        factor @ factor.T, precision=precision, options=DecompositionOptions(eigh_size_limit=4)
    )
    assert spectrum.notes
    files.write_arrays(tmp_path / "spectrum.npz", spectrum_to_arrays(spectrum))
    again = spectrum_from_arrays(files.read_arrays(tmp_path / "spectrum.npz"))
    for field in dataclasses.fields(spectrum):
        before, after = getattr(spectrum, field.name), getattr(again, field.name)
        np.testing.assert_array_equal(before, after, err_msg=field.name)
        assert type(before) is type(after), field.name
    assert again.eigenvectors.dtype == precision


def test_missing_fields_are_named():
    with pytest.raises(ValueError, match=r"missing: .*'trace'"):
        spectrum_from_arrays({"eigenvalues": np.ones(1)})
