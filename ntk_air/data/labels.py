"""The project's coding of class labels as regression targets (theory.md, section 0).

Two classes: one output, class 1 is +1 and class 0 is −1. C > 2 classes: the centred one-hot
vector e_c − 1/C.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Integer

from ntk_air._base.arrays import real_array
from ntk_air._base.checks import check_finite, check_whole_number
from ntk_air._base.typing import AnyArray


def n_outputs(n_classes: int) -> int:
    """How many outputs the coding of ``n_classes`` classes has: 1 for two classes, else C."""
    return 1 if n_classes == 2 else n_classes


def integer_labels(name: str, given: Any) -> Integer[np.ndarray, " n"]:
    """The vector of integers that was given; raises ``ValueError`` for anything else."""
    labels = np.asarray(real_array(name, given))
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be a vector of integer class indices; "
            f"got shape {labels.shape} and dtype {labels.dtype}"
        )
    if labels.size and labels.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must be integers below 2^63; got {labels.max()}")
    return labels


def check_class_labels(name: str, given: Any, n_classes: int) -> Integer[np.ndarray, " n"]:
    """The vector of integers that was given, all in 0 … n_classes − 1, at least two classes."""
    check_whole_number("n_classes", n_classes, minimum=2)
    labels = integer_labels(name, given)
    outside = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(outside):
        raise ValueError(
            f"{name} must lie in 0 … {n_classes - 1}; got {labels[outside[0]]} "
            f"at position {outside[0]} ({len(outside)} in all)"
        )
    return labels


def encode_probabilities(
    probabilities: Float[np.ndarray, "n n_classes"],
) -> Float[np.ndarray, "n n_out"]:
    """The expected target of a label with the given class probabilities, row by row."""
    n_classes = probabilities.shape[1]
    if n_classes == 2:
        return probabilities[:, 1:] - probabilities[:, :1]
    return probabilities - 1 / n_classes


def encode_labels(labels: Int[AnyArray, " n"], n_classes: int) -> Float[np.ndarray, "n n_out"]:
    """Targets of class labels: ±1 for two classes, else e_c − 1/C (theory.md, section 0).

    Args:
        labels: class indices, shape (n,).
        n_classes: number of classes C, at least 2.

    Returns:
        float64 targets, shape (n, 1) for two classes, else (n, C).

    Raises:
        ValueError: a label outside 0 … C − 1.
    """
    labels = check_class_labels("labels", labels, n_classes)
    one_hot = np.zeros((len(labels), n_classes))
    one_hot[np.arange(len(labels)), labels] = 1.0
    return encode_probabilities(one_hot)


def decode_targets(targets: Float[AnyArray, "n n_out"]) -> Int[np.ndarray, " n"]:
    """Class labels of targets or predictions: argmax, for one output the sign.

    Ties go to the smallest class; an output of exactly 0 is class 0.

    Args:
        targets: targets or predictions, shape (n, 1) for two classes, else (n, C).

    Returns:
        int64 class indices, shape (n,).

    Raises:
        ValueError: targets of another shape, or not finite.
    """
    targets = np.asarray(real_array("targets", targets))
    if targets.ndim != 2 or targets.shape[1] == 0:
        raise ValueError(f"targets must have shape (n, n_out); got {targets.shape}")
    check_finite("targets", targets)
    if targets.shape[1] == 1:
        return (targets[:, 0] > 0).astype(np.int64)
    return targets.argmax(axis=1).astype(np.int64)
