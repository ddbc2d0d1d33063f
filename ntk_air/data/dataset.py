"""The one value that enters an experiment: inputs with clean and noisy labels."""

import hashlib
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from ntk_air._base.checks import check_finite, check_inputs, check_same_features
from ntk_air._base.typing import Targets, TestTargets
from ntk_air.data.draws import choose
from ntk_air.data.labels import (
    check_class_labels,
    encode_labels,
    encode_probabilities,
    n_outputs,
)
from ntk_air.data.noise import LabelNoise, average_by_class
from ntk_air.data.readers.resizing import resized_images


class Dataset(eqx.Module):
    """Inputs with clean and noisy labels, and a clean held-out split, as frozen host arrays.

    Args:
        name: how tables and run folders call it.
        inputs: shape (n_train, *features); images keep their shape (n_train, H, W, C), in [0, 1].
        clean_labels: y, class indices, shape (n_train,).
        noisy_labels: ỹ, class indices, shape (n_train,); ``None`` is the clean ones.
        test_inputs: shape (n_test, *features); ``None`` is none, n_test = 0.
        test_labels: clean class indices, shape (n_test,).
        class_names: one for each class; ``None`` numbers the classes that occur in the labels.
        label_noise: what made the noisy labels; needed where they differ from the clean ones.
        source: where the data came from, for a reader.
        groups: indices of the groups (such as clusters) that exact noise holds within, or ``None``.
        noise_probabilities: P(ỹ_i = b | y_i, x_i), shape (n_train, C); ``None`` asks label_noise.

    Raises:
        ValueError: lengths or features that disagree, labels out of range, values that are not
            finite, fewer than two classes, noisy labels without a ``label_noise``.
    """

    name: str = eqx.field(static=True)
    inputs: Float[np.ndarray, "n_train *features"]
    clean_labels: Int[np.ndarray, " n_train"]
    noisy_labels: Int[np.ndarray, " n_train"]
    test_inputs: Float[np.ndarray, "n_test *features"]
    test_labels: Int[np.ndarray, " n_test"]
    class_names: tuple[str, ...] = eqx.field(static=True)
    label_noise: LabelNoise | None
    source: str = eqx.field(static=True)
    groups: Int[np.ndarray, " n_train"] | None
    noise_probabilities: Float[np.ndarray, "n_train n_classes"]

    def __init__(
        self,
        *,
        name: str,
        inputs: Any,
        clean_labels: Any,
        noisy_labels: Any = None,
        test_inputs: Any = None,
        test_labels: Any = None,
        class_names: Sequence[str] | None = None,
        label_noise: LabelNoise | None = None,
        source: str = "",
        groups: Any = None,
        noise_probabilities: Any = None,
    ):
        self.name = name
        self.source = source
        self.label_noise = label_noise
        self.inputs = _frozen(inputs, np.float64)
        check_inputs("inputs", self.inputs)
        if (test_inputs is None) != (test_labels is None):
            raise ValueError("test_inputs and test_labels must be given together, or neither")
        if test_inputs is None:
            test_inputs = np.zeros((0, *self.inputs.shape[1:]))
            test_labels = np.zeros(0, np.int64)
        self.test_inputs = _frozen(test_inputs, np.float64)
        check_finite("test_inputs", self.test_inputs)
        check_same_features("inputs", self.inputs, "test_inputs", self.test_inputs)

        clean = _labels("clean_labels", clean_labels, "inputs", len(self.inputs))
        test = _labels("test_labels", test_labels, "test_inputs", len(self.test_inputs))
        self.class_names = _named_classes(class_names, clean, test)
        self.clean_labels, self.test_labels = clean, test
        self.noisy_labels = (
            clean
            if noisy_labels is None
            else _labels("noisy_labels", noisy_labels, "inputs", len(self.inputs))
        )
        check_class_labels("clean_labels", self.clean_labels, self.n_classes)
        check_class_labels("noisy_labels", self.noisy_labels, self.n_classes)
        check_class_labels("test_labels", self.test_labels, self.n_classes)
        if label_noise is None and (self.noisy_labels != self.clean_labels).any():
            raise ValueError(
                "label_noise must say what made the noisy labels where they differ from the clean "
                "ones; got None: HumanNoise.measure counts it from given labels"
            )
        self.groups = (
            None if groups is None else _labels("groups", groups, "inputs", len(self.inputs))
        )
        if noise_probabilities is None:
            noise_probabilities = self._probabilities_of(label_noise)
        self.noise_probabilities = _frozen(noise_probabilities, np.float64)
        if self.noise_probabilities.shape != (self.n_train, self.n_classes):
            raise ValueError(
                f"noise_probabilities must have shape {(self.n_train, self.n_classes)}, "
                f"a row for each input; got {self.noise_probabilities.shape}"
            )

    @property
    def n_train(self) -> int:
        """How many training inputs there are."""
        return len(self.inputs)

    @property
    def n_test(self) -> int:
        """How many held-out inputs there are; may be 0."""
        return len(self.test_inputs)

    @property
    def n_classes(self) -> int:
        """C, the number of classes."""
        return len(self.class_names)

    @property
    def n_out(self) -> int:
        """How many outputs targets have: 1 for two classes, else C."""
        return n_outputs(self.n_classes)

    @property
    def noise_fraction(self) -> float:
        """The share of training labels whose noisy label differs from the clean one."""
        return float(np.mean(self.noisy_labels != self.clean_labels))

    @property
    def content_hash(self) -> str:
        """The sha256 of all numbers and class names, the same on every platform.

        It does not see the name and the source: the same content from elsewhere is the same.
        """
        digest = hashlib.sha256(repr(self.class_names).encode())
        parts = [
            self.inputs,
            self.clean_labels,
            self.noisy_labels,
            self.test_inputs,
            self.test_labels,
            np.zeros(0, np.int64) if self.groups is None else self.groups,
            # A softmax may differ in its last bit between platforms.
            np.rint(self.noise_probabilities * 1e6).astype(np.int64),
        ]
        for part in parts:
            digest.update(repr(part.shape).encode())
            for start in range(0, len(part), 4096):
                block = part[start : start + 4096] + 0  # −0.0 + 0 is 0.0: the same input
                little = block.astype(block.dtype.newbyteorder("<"), copy=False)
                digest.update(np.ascontiguousarray(little).data)
        return digest.hexdigest()

    def clean_targets(self) -> Targets:
        """The clean labels y in target coding, shape (n_train, n_out) (theory.md, section 0)."""
        return encode_labels(self.clean_labels, self.n_classes)

    def noisy_targets(self) -> Targets:
        """The noisy labels ỹ in target coding, shape (n_train, n_out)."""
        return encode_labels(self.noisy_labels, self.n_classes)

    def expected_noisy_targets(self) -> Targets:
        """E[ỹ | y, x] in target coding, shape (n_train, n_out); ζ = ỹ − this (theory.md, 2)."""
        return encode_probabilities(self.noise_probabilities)

    def test_targets(self) -> TestTargets:
        """The held-out clean labels in target coding, shape (n_test, n_out)."""
        return encode_labels(self.test_labels, self.n_classes)

    def transition_matrix(self) -> Float[np.ndarray, "n_classes n_classes"]:
        """T[a, b] = P(ỹ = b | y = a), averaged over the training examples of class a.

        Raises ``ValueError`` for a class without training examples, which has no average.
        """
        return average_by_class(self.clean_labels, self.noise_probabilities)

    def with_label_noise(self, noise: LabelNoise, *, seed: int) -> "Dataset":
        """The same data with noisy labels drawn from the clean ones.

        Args:
            noise: the rule; an exact one holds within each of ``groups`` where there are any.
            seed: of the draw, at least 0.
        """
        noisy = noise.apply(
            self.clean_labels, self.inputs, self.n_classes, seed, groups=self.groups
        )
        return self._with(noisy_labels=noisy, label_noise=noise, noise_probabilities=None)

    def without_label_noise(self) -> "Dataset":
        """The same data with its clean labels for the noisy ones."""
        return self._with(noisy_labels=None, label_noise=None, noise_probabilities=None)

    def subset(
        self, *, n_train: int | None = None, n_test: int | None = None, seed: int = 0
    ) -> "Dataset":
        """A random part, in the original order.

        Each class keeps its share up to rounding, or each group where there are any. Noisy labels
        and their probabilities are kept as they were drawn.

        Args:
            n_train: how many training inputs to keep, at least 1; ``None`` keeps all.
            n_test: how many held-out inputs to keep; ``None`` keeps all.
            seed: of the choice, at least 0.

        Raises:
            ValueError: more than there are.
        """
        train = choose("n_train", self.strata, n_train, seed=seed, minimum=1)
        test = choose("n_test", self.test_labels, n_test, seed=seed)
        return self._with(
            inputs=self.inputs[train],
            clean_labels=self.clean_labels[train],
            noisy_labels=self.noisy_labels[train],
            test_inputs=self.test_inputs[test],
            test_labels=self.test_labels[test],
            groups=None if self.groups is None else self.groups[train],
            noise_probabilities=self.noise_probabilities[train],
        )

    def flattened(self) -> "Dataset":
        """The same data with each input as one vector, as dense kernels take it."""
        return self._with(
            inputs=self.inputs.reshape(self.n_train, -1),
            test_inputs=self.test_inputs.reshape(self.n_test, int(np.prod(self.inputs.shape[1:]))),
        )

    def normalised(self) -> "Dataset":
        """The same data with each input flattened and scaled to unit Euclidean norm.

        Results on kernels of rotation-invariant networks are stated for inputs on a sphere.

        Raises ``ValueError`` for an input of norm zero, which has no direction.
        """
        flat = self.flattened()
        return flat._with(
            inputs=_unit_rows("inputs", flat.inputs),
            test_inputs=_unit_rows("test_inputs", flat.test_inputs),
        )

    def resized(self, height: int, width: int) -> "Dataset":
        """The same images at another size: see ``resized_images``.

        Raises ``ValueError`` for inputs that are no images.
        """
        return self._with(
            inputs=resized_images(self.inputs, height, width),
            test_inputs=resized_images(self.test_inputs, height, width),
        )

    @property
    def strata(self) -> Int[np.ndarray, " n_train"]:
        """What a random part keeps the shares of: the groups if there are any, else classes."""
        return self.clean_labels if self.groups is None else self.groups

    def _probabilities_of(self, noise: LabelNoise | None) -> Float[np.ndarray, "n n_classes"]:
        if noise is None:
            return np.eye(self.n_classes)[self.clean_labels]
        return noise.probabilities(self.clean_labels, self.inputs, self.n_classes, self.groups)

    def _with(self, **changes: Any) -> "Dataset":
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Dataset(**(fields | changes))


def _frozen(array: Any, dtype: type) -> np.ndarray:
    """A read-only array of the dtype; an array that someone may still write to is copied."""
    given = np.asarray(array)
    if dtype is np.float64 and not np.issubdtype(given.dtype, np.number):
        raise ValueError(f"inputs must be numbers; got an array of dtype {given.dtype}")
    converted = given.astype(dtype, copy=given.flags.writeable)
    converted.flags.writeable = False
    return converted


def _labels(name: str, labels: Any, owner: str, length: int) -> Int[np.ndarray, " n"]:
    """A frozen vector of int64 labels, one for each row of ``owner``."""
    given = np.asarray(labels)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(
            f"{name} must be a vector of integer class indices; "
            f"got shape {given.shape} and dtype {given.dtype}"
        )
    if len(given) != length:
        raise ValueError(
            f"{name} must have one entry for each of the {length} {owner}; got {len(given)}"
        )
    return _frozen(given, np.int64)


def _named_classes(names: Sequence[str] | None, *labels: np.ndarray) -> tuple[str, ...]:
    if names is None:
        n_classes = max((int(part.max()) for part in labels if len(part)), default=0) + 1
        names = [str(index) for index in range(n_classes)]
    if len(names) < 2:
        raise ValueError(f"class_names must name at least two classes; got {tuple(names)!r}")
    if len(set(names)) != len(names):
        raise ValueError(f"class_names must be distinct; got {tuple(names)!r}")
    return tuple(str(name) for name in names)


def _unit_rows(name: str, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    norms = np.linalg.norm(rows, axis=1)
    zero = np.flatnonzero(norms == 0)
    if len(zero):
        raise ValueError(
            f"{name} must have no row of norm zero to be normalised; got row {zero[0]}"
        )
    return rows / norms[:, None]
