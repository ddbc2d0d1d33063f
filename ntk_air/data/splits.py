"""From what a file holds to a ``Dataset``: held-out split, sizes, scaling."""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from ntk_air.data.class_labels import ClassLabels
from ntk_air.data.draws import choose
from ntk_air.data.inputs import Rows
from ntk_air.data.raw import RawSet, Sample
from ntk_air.data.readers.files import naming


@runtime_checkable
class _AtRows(Protocol):
    def at_rows(self, rows: Rows) -> Self: ...


Assembled = TypeVar("Assembled", bound=_AtRows)


def assemble(name: str, raw: RawSet, sample: Sample, make: Callable[..., Assembled]) -> Assembled:
    """Choose the training and held-out examples, stratified by clean label, and scale them.

    Without an official test part, a fifth of the examples is held out, or what ``n_train``
    leaves, or ``n_test``. Only the chosen examples are converted to float64. ``make`` is
    ``Dataset``, which stands on this module.

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
        dataset = make(
            _handed_over(raw.scaling(training_part, training_part)),
            labels,
            test=(_handed_over(raw.scaling(test_inputs, training_part)), test_labels),
            name=raw.name or name,
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
