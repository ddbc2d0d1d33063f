"""A spectrum as named arrays and back, for files."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ntk_air._base.typing import AnyArray
from ntk_air.spectrum.result import Spectrum

_ARRAYS = ("eigenvalues", "eigenvectors", "residuals")


def spectrum_to_arrays(spectrum: Spectrum) -> dict[str, np.ndarray]:
    """Every field of a spectrum by name, each as an array that an ``.npz`` can hold."""
    return {
        field.name: np.asarray(getattr(spectrum, field.name))
        for field in dataclasses.fields(spectrum)
    }


def spectrum_from_arrays(arrays: Mapping[str, AnyArray]) -> Spectrum:
    """The spectrum that ``spectrum_to_arrays`` was given, bit for bit.

    Raises:
        ValueError: fields that are missing.
    """
    names = [field.name for field in dataclasses.fields(Spectrum)]
    if missing := [name for name in names if name not in arrays]:
        raise ValueError(f"arrays must hold every field of a spectrum; missing: {missing}")
    fields: dict[str, Any] = {
        name: jnp.asarray(arrays[name]) if name in _ARRAYS else np.asarray(arrays[name]).tolist()
        for name in names
    }
    fields["notes"] = tuple(fields["notes"])
    return Spectrum(**fields)
