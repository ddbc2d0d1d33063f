"""Class labels as a data set takes them: clean and noisy ones, and what made the noise."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from ntk_air.data.inputs import DataWarning, frozen
from ntk_air.data.labels import check_class_labels, integer_labels
from ntk_air.data.noise import LabelNoise


@dataclasses.dataclass(frozen=True, eq=False)
class ClassLabels:
    """Clean and noisy class labels of the same examples, and what made the noisy ones.

    Args:
        clean: clean labels y as class indices, shape (n_train,); ``None`` where nobody knows them.
        noisy: noisy labels ỹ as class indices, shape (n_train,); ``None`` is the clean ones.
        noise: rule that made the noisy labels; needed where they differ from the clean ones, and
            ``None`` where no clean ones are known.
        probabilities: P(ỹ_i = b | y_i, x_i) in [0, 1], shape (n_train, C); ``None`` asks ``noise``.
        class_names: names of the C classes; ``None`` numbers them, and all of 0 … C − 1 must occur.

    Labels that someone else has annotated, with the noise that counting finds in them:

    >>> import numpy as np
    >>> import ntk_air as na
    >>> clean, noisy = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    >>> labels = na.ClassLabels(clean, noisy, na.HumanNoise.measure(clean, noisy, 2))
    >>> na.Dataset(np.eye(4), labels).noise_fraction
    0.25

    Labels that nobody has checked; what needs clean ones says so:

    >>> na.Dataset(np.eye(4), na.ClassLabels(noisy=noisy)).has_clean_labels
    False
    """

    clean: Any = None
    noisy: Any = None
    noise: LabelNoise | None = None
    probabilities: Any = None
    class_names: Sequence[str] | None = None


def checked_labels(
    given: ClassLabels, n_train: int, test_labels: Int[np.ndarray, " n_test"]
) -> ClassLabels:
    """The same labels as frozen arrays, with noisy ones and named classes, checked.

    Probabilities that are not given stay ``None``.

    Raises:
        ValueError: another number of labels than ``n_train``, labels out of range, fewer than two
            classes, noisy labels that differ from the clean ones without a noise.
    """
    if given.clean is None:
        return _checked_given(given, n_train, test_labels)
    clean = frozen_indices("clean_labels", given.clean, "inputs", n_train)
    noisy = clean
    if given.noisy is not None:
        noisy = frozen_indices("noisy_labels", given.noisy, "inputs", n_train)
    names = _named_classes(given.class_names, clean, test_labels)
    if given.class_names is None:
        warn_of_unseen(names, clean)
    check_class_labels("clean_labels", clean, len(names))
    check_class_labels("noisy_labels", noisy, len(names))
    check_class_labels("test_labels", test_labels, len(names))
    if given.noise is None and (noisy != clean).any():
        raise ValueError(
            "labels must have a noise that says what made the noisy labels where they differ from "
            "the clean ones; got None: HumanNoise.measure counts it from given labels"
        )
    return dataclasses.replace(given, clean=clean, noisy=noisy, class_names=names)


def _checked_given(
    given: ClassLabels, n_train: int, test_labels: Int[np.ndarray, " n_test"]
) -> ClassLabels:
    """Given labels alone: nothing says what of them is noise."""
    if given.noisy is None:
        raise ValueError("labels must have clean or noisy ones, or both; got neither")
    if given.noise is not None or given.probabilities is not None:
        raise ValueError(
            "labels must have clean ones beside a noise or probabilities, which start from them; "
            "got noisy ones alone"
        )
    noisy = frozen_indices("noisy_labels", given.noisy, "inputs", n_train)
    names = _named_classes(given.class_names, noisy, test_labels)
    check_class_labels("noisy_labels", noisy, len(names))
    check_class_labels("test_labels", test_labels, len(names))
    return dataclasses.replace(given, clean=None, noisy=noisy, class_names=names)


def frozen_indices(name: str, labels: Any, owner: str, length: int) -> Int[np.ndarray, " n"]:
    """A frozen vector of int64 labels, one for each row of ``owner``."""
    given = integer_labels(name, labels)
    if len(given) != length:
        raise ValueError(
            f"{name} must have one entry for each of the {length} {owner}; got {len(given)}"
        )
    return frozen(given, given.astype(np.int64, copy=False))


def warn_of_unseen(class_names: Sequence[str], clean: Int[np.ndarray, " n_train"]) -> None:
    """Warn of classes that the training labels do not hold, though others do."""
    unseen = sorted(set(range(len(class_names))) - set(clean.tolist()))
    if unseen:
        shown = ", ".join(repr(class_names[index]) for index in unseen[:5])
        warnings.warn(
            f"labels have classes without a single training example: {shown}",
            DataWarning,
            stacklevel=2,
        )


def _named_classes(names: Sequence[str] | None, *labels: np.ndarray) -> tuple[str, ...]:
    if names is None:
        names = _numbered_classes(np.unique(np.concatenate(labels)))
    if isinstance(names, str) or not all(isinstance(name, str | int) for name in names):
        raise ValueError(f"class_names must be a list of names; got {names!r}")
    names = tuple(str(name) for name in names)
    if len(names) < 2:
        raise ValueError(
            f"labels, or class_names where they are given, must be of at least two classes; got "
            f"{names!r}"
        )
    if len(set(names)) != len(names):
        raise ValueError(f"class_names must be distinct; got {names!r}")
    return names


def _numbered_classes(occurring: Int[np.ndarray, " n_classes"]) -> tuple[str, ...]:
    """Names of the classes 0 … C − 1, all of which must occur: none is made up."""
    n_classes = len(occurring)
    if n_classes and (occurring[0] < 0 or occurring[-1] >= n_classes):
        shown = ", ".join(str(value) for value in occurring[:10]) + ", …" * (n_classes > 10)
        raise ValueError(
            f"labels must hold every class from 0 on, unless class_names name them all; got the "
            f"classes {shown}"
        )
    return tuple(str(index) for index in range(n_classes))
