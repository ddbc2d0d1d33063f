"""What readers find, before anything of it is chosen: raw inputs, labels, and how to scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped

from ntk_air._base.arrays import exact_float64
from ntk_air.data.noise import LabelNoise

Scaling = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``scaling(part, training_part)``: new float64 inputs, told by the training part alone."""

_ROUNDING = 8 * float(np.finfo(np.float64).eps)


def as_given(part: np.ndarray, training_part: np.ndarray) -> np.ndarray:
    """The same numbers as float64; raises ``ValueError`` where that would round them."""
    converted = exact_float64("inputs", part)
    return converted.copy() if converted is part else converted


def pixels(maximum: float) -> Scaling:
    """Divide by the largest possible pixel: values in [0, 1]."""
    return lambda part, training_part: part / maximum


def standardised(
    part: np.ndarray, training_part: np.ndarray, *, columns: Sequence[str] | None = None
) -> np.ndarray:
    """Mean 0 and standard deviation 1 of each training column.

    Raises ``ValueError`` for a column, named by ``columns`` or its number, that is constant in the
    training part up to rounding: it has no deviation to be scaled by.
    """
    # By powers of two, which change no digit: squares of large or small numbers are none.
    exponents = np.frexp(np.abs(training_part).max(axis=0))[1]
    scaled = np.ldexp(training_part, -exponents)
    mean, deviation = scaled.mean(axis=0), scaled.std(axis=0)
    constant = np.flatnonzero(deviation <= _ROUNDING)
    if len(constant):
        first = constant[0]
        name = first if columns is None else repr(columns[first])
        raise ValueError(
            f"column {name} must vary over the {len(training_part)} training rows to be "
            f"standardised; got {training_part[0, first]} in each: leave it out"
        )
    return (np.ldexp(part, -exponents) - mean) / deviation


@dataclass(frozen=True)
class Sample:
    """How many examples a data set has, and which.

    Attributes:
        n_train: number of training examples; ``None`` is all, or a generator's default.
        n_test: number of held-out examples; ``None`` is the official test part, or a fifth where
            there is none, or a generator's default.
        seed: seed of the choice among examples, or of the points that are generated, at least 0.
    """

    n_train: int | None = None
    n_test: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class RawSet:
    """What a reader found: unscaled inputs and labels, with or without an official test part.

    Inputs are numbers, or anything that ``scaling`` makes numbers of, such as texts. ``name`` is
    what tables and folders call the set, where its name in the catalogue says too little.
    """

    inputs: Shaped[np.ndarray, "n_train *features"]
    labels: Int[np.ndarray, " n_train"]
    class_names: tuple[str, ...]
    source: str
    test_inputs: Shaped[np.ndarray, "n_test *features"] | None = None
    test_labels: Int[np.ndarray, " n_test"] | None = None
    noisy_labels: Int[np.ndarray, " n_train"] | None = None
    label_noise: LabelNoise | None = None
    scaling: Scaling = as_given
    name: str | None = None
