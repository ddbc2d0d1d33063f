"""From what a file holds to a ``Dataset``: held-out split, sizes, scaling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped

from ntk_air._base.arrays import exact_float64
from ntk_air.data.class_labels import ClassLabels
from ntk_air.data.dataset import Dataset
from ntk_air.data.draws import choose
from ntk_air.data.inputs import Rows
from ntk_air.data.noise import LabelNoise
from ntk_air.data.readers.files import naming

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

    Inputs are numbers, or anything that ``scaling`` makes numbers of, such as texts.
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


def assemble(name: str, raw: RawSet, sample: Sample) -> Dataset:
    """Choose the training and held-out examples, stratified by clean label, and scale them.

    Without an official test part, a fifth of the examples is held out, or what ``n_train``
    leaves, or ``n_test``. Only the chosen examples are converted to float64.

    Raises ``ValueError`` where more examples are asked for than there are, ``DataFileError`` for
    inputs and labels that are no data set.
    """
    n_train, n_test, seed = sample.n_train, sample.n_test, sample.seed
    everything = np.arange(len(raw.labels))
    if raw.test_inputs is None or raw.test_labels is None:
        test = choose("n_test", raw.labels, _held_out(n_test, n_train, len(everything)), seed=seed)
        left, test_rows, n_all = np.setdiff1d(everything, test), test, len(everything)
        test_inputs, test_labels = raw.inputs[test], raw.labels[test]
    else:
        test = choose("n_test", raw.test_labels, n_test, seed=seed)
        left, test_rows = everything, len(everything) + test
        n_all = len(everything) + len(raw.test_labels)
        test_inputs, test_labels = raw.test_inputs[test], raw.test_labels[test]
    train = left[choose("n_train", raw.labels[left], n_train, seed=seed, minimum=1)]
    training_part = raw.inputs[train]
    labels = ClassLabels(
        raw.labels[train],
        None if raw.noisy_labels is None else raw.noisy_labels[train],
        raw.label_noise,
        class_names=raw.class_names,
    )
    with naming(raw.source):
        dataset = Dataset(
            _handed_over(raw.scaling(training_part, training_part)),
            labels,
            test=(_handed_over(raw.scaling(test_inputs, training_part)), test_labels),
            name=name,
            source=raw.source,
        )
    return dataset.at_rows(Rows(train, test_rows, n_all))


def _held_out(n_test: int | None, n_train: int | None, n_all: int) -> int:
    if n_test is not None:
        return n_test
    return max(0, min(round(n_all / 5), n_all - (n_train or 0)))


def _handed_over(array: np.ndarray) -> np.ndarray:
    """The array, closed for writing: ``Dataset`` copies what someone may still write to."""
    array.flags.writeable = False
    return array
