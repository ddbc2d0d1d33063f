"""The one value that enters an experiment: inputs with clean and noisy labels."""

import hashlib
from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from ntk_air._base.checks import check_whole_number
from ntk_air._base.typing import Targets, TestTargets
from ntk_air.data.class_labels import ClassLabels, checked_labels, frozen_indices
from ntk_air.data.draws import choose
from ntk_air.data.given import GivenData
from ntk_air.data.inputs import (
    CheckedInputs,
    Rows,
    checked_inputs,
    frozen_numbers,
    made_by,
    resized,
    unit_rows,
)
from ntk_air.data.labels import encode_labels, encode_probabilities, n_outputs
from ntk_air.data.noise import LabelNoise, average_by_class, check_probabilities


class Dataset(GivenData):
    """Inputs with clean and noisy labels, and a clean held-out part, as frozen host arrays.

    Args:
        inputs: training inputs, shape (n_train, *features), as an array, lists or a table of
            numbers; images keep their shape (n_train, H, W, C), pixels in [0, 1].
        labels: clean labels y as class indices, shape (n_train,), every class from 0 on; or
            ``ClassLabels``, which hold noisy labels and names of classes too, or noisy labels
            alone, ``ClassLabels(noisy=…)``.
        test: held-out part as a pair: inputs, shape (n_test, *features), and clean class indices,
            shape (n_test,); ``None`` is none, n_test = 0.
        name: name in tables and of run folders.
        source: sentence for a reader that says where the data came from.
        groups: index of each input's group, such as its cluster, shape (n_train,): exact noise
            holds within each group; ``None`` for data without groups.

    Raises:
        ValueError: lengths or features that disagree, labels out of range, values that are absent,
            not finite or no real numbers, images that are not in [0, 1] or have their channels
            first, parts of different scales, fewer than two classes, classes that do not occur
            and have no name, noisy labels without a noise that made them.

    A table whose columns are of scales thousands apart gets a ``ntk_air.data.DataWarning``.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> inputs = np.random.default_rng(0).normal(size=(6, 2))
    >>> data = na.Dataset(inputs, [0, 1, 0, 1, 0, 1], name="mine")
    >>> noisy = data.with_label_noise(na.PairFlipNoise(0.34, exact=True), seed=0)
    >>> noisy.noise_fraction
    0.3333333333333333
    >>> data.clean_targets().shape  # two classes have one output, −1 or +1
    (6, 1)
    """

    name: str = eqx.field(static=True)
    inputs: Float[np.ndarray, "n_train *features"]
    known_clean_labels: Int[np.ndarray, " n_train"] | None
    noisy_labels: Int[np.ndarray, " n_train"]
    test_inputs: Float[np.ndarray, "n_test *features"]
    test_labels: Int[np.ndarray, " n_test"]
    class_names: tuple[str, ...] = eqx.field(static=True)
    label_noise: LabelNoise | None
    source: str = eqx.field(static=True)
    groups: Int[np.ndarray, " n_train"] | None
    rows: Rows
    known_noise_probabilities: Float[np.ndarray, "n_train n_classes"] | None

    def __init__(
        self,
        inputs: Any,
        labels: Any,
        *,
        test: tuple[Any, Any] | None = None,
        name: str = "data",
        source: str = "",
        groups: Any = None,
    ):
        self.name = name
        self.source = source
        if test is not None and (not isinstance(test, tuple | list) or len(test) != 2):
            raise ValueError(f"test must be a pair, inputs and labels; got {type(test).__name__}")
        self.inputs, self.test_inputs = checked_inputs(inputs, test)
        n_train, n_test = len(self.inputs), len(self.test_inputs)
        kept = inputs.rows if isinstance(inputs, CheckedInputs) else None
        self.rows = Rows.in_order(n_train, n_test) if kept is None else kept
        test_labels = np.zeros(0, np.int64) if test is None else test[1]
        self.test_labels = frozen_indices("test_labels", test_labels, "test_inputs", n_test)

        given = labels if isinstance(labels, ClassLabels) else ClassLabels(labels)
        checked = checked_labels(given, n_train, self.test_labels)
        self.known_clean_labels, self.noisy_labels = checked.clean, checked.noisy
        self.class_names = tuple(checked.class_names or ())
        self.label_noise = checked.noise
        self.groups = (
            None if groups is None else frozen_indices("groups", groups, "inputs", n_train)
        )
        self.known_noise_probabilities = self._checked_probabilities(checked)

    @property
    def has_clean_labels(self) -> bool:
        """Whether the clean labels of the training inputs are known."""
        return self.known_clean_labels is not None

    @property
    def clean_labels(self) -> Int[np.ndarray, " n_train"]:
        """y as class indices, (n_train,); raises ``ValueError`` where nobody knows them."""
        return _known(self.known_clean_labels)

    @property
    def noise_probabilities(self) -> Float[np.ndarray, "n_train n_classes"]:
        """P(ỹ_i = b | y_i, x_i); raises ``ValueError`` where no clean labels are known."""
        return _known(self.known_noise_probabilities)

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
        unknown, probabilities = np.zeros(0, np.int64), self.known_noise_probabilities
        parts = [
            self.inputs,
            unknown if self.known_clean_labels is None else self.known_clean_labels,
            self.noisy_labels,
            self.test_inputs,
            self.test_labels,
            np.zeros(0, np.int64) if self.groups is None else self.groups,
            # A softmax may differ in its last bit between platforms.
            unknown if probabilities is None else np.rint(probabilities * 1e6).astype(np.int64),
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
            noise: rule to draw by; an exact one holds within each group where there are any.
            seed: seed of the draw, at least 0.
        """
        if not isinstance(noise, LabelNoise):
            raise ValueError(f"noise must be a LabelNoise; got {type(noise).__name__}")
        noisy = noise.apply(
            self.clean_labels, self.inputs, self.n_classes, seed, groups=self.groups
        )
        return self._with(noisy_labels=noisy, label_noise=noise, noise_probabilities=None)

    def without_label_noise(self) -> "Dataset":
        """The same data with its clean labels for the noisy ones.

        Raises ``ValueError`` where no clean labels are known.
        """
        return self._with(
            clean_labels=self.clean_labels,
            noisy_labels=None,
            label_noise=None,
            noise_probabilities=None,
        )

    def subset(
        self, *, n_train: int | None = None, n_test: int | None = None, seed: int = 0
    ) -> "Dataset":
        """A random part, in the original order.

        Each class keeps its share up to rounding, or each group where there are any. Noisy labels
        and their probabilities are kept as they were drawn.

        Args:
            n_train: number of training inputs to keep, at least 1; ``None`` keeps all.
            n_test: number of held-out inputs to keep; ``None`` keeps all.
            seed: seed of the choice, at least 0.

        Raises:
            ValueError: more than there are.
        """
        clean, probabilities = self.known_clean_labels, self.known_noise_probabilities
        train = choose("n_train", self.strata, n_train, seed=seed, minimum=1)
        test = choose("n_test", self.test_labels, n_test, seed=seed)
        return self._with(
            inputs=self.inputs[train],
            clean_labels=None if clean is None else clean[train],
            noisy_labels=self.noisy_labels[train],
            test_inputs=self.test_inputs[test],
            test_labels=self.test_labels[test],
            groups=None if self.groups is None else self.groups[train],
            noise_probabilities=None if probabilities is None else probabilities[train],
            rows=self.rows.part(train, test),
        )

    def at_rows(self, rows: Rows) -> "Dataset":
        """The same data, with where its inputs stand among all rows that they were taken from."""
        return self._with(rows=rows)

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
            inputs=unit_rows("inputs", flat.inputs),
            test_inputs=unit_rows("test_inputs", flat.test_inputs),
        )

    def resized(self, height: int, width: int) -> "Dataset":
        """The same images at another size.

        Each channel by bilinear interpolation, averaged over the pixels that a smaller one covers;
        computed in single precision, Pillow's own.

        Args:
            height: rows of the new images, at least 1.
            width: columns of the new images, at least 1.

        Raises:
            ValueError: inputs that are no images, a side below 1.
        """
        if self.inputs.ndim != 4:
            raise ValueError(
                "inputs must be images, shape (n, height, width, channels), to be resized; "
                f"got shape {self.inputs.shape}"
            )
        check_whole_number("height", height, minimum=1)
        check_whole_number("width", width, minimum=1)
        return self._with(
            inputs=resized(self.inputs, height, width),
            test_inputs=resized(self.test_inputs, height, width),
        )

    def with_inputs(self, features: Callable[[np.ndarray], Any]) -> "Dataset":
        """The same data with what a function makes of its inputs, such as a network's features.

        Args:
            features: function from inputs (n, *features) to new ones (n, *new_features), a row for
                each; called for the training and for the held-out part, where there is one.

        Raises:
            ValueError: a function that returns no finite real numbers, another number of rows, or
                parts of other features or scales.
        """
        made = made_by(features, self.inputs, self.test_inputs)
        return self._with(inputs=made.parts[0], test_inputs=made.parts[1])

    @property
    def strata(self) -> Int[np.ndarray, " n_train"]:
        """What a random part keeps the shares of: the groups if there are any, else classes,
        those of the noisy labels where no others are known."""
        if self.groups is not None:
            return self.groups
        return self.clean_labels if self.has_clean_labels else self.noisy_labels

    def _checked_probabilities(self, labels: ClassLabels) -> np.ndarray | None:
        """P(ỹ_i = b | y_i, x_i) as given or by the noise; ``None`` without clean labels."""
        if labels.clean is None:
            return None
        probabilities, noise = labels.probabilities, labels.noise
        if probabilities is None and noise is None:
            probabilities = np.eye(self.n_classes)[self.clean_labels]
        elif probabilities is None and noise is not None:
            clean = self.clean_labels
            probabilities = noise.probabilities(clean, self.inputs, self.n_classes, self.groups)
        checked = frozen_numbers("noise probabilities", probabilities)
        if checked.shape != (self.n_train, self.n_classes):
            raise ValueError(
                f"the labels' probabilities must have shape {(self.n_train, self.n_classes)}, "
                f"a row for each input; got {checked.shape}"
            )
        check_probabilities("the labels' probabilities", checked)
        return checked

    def _with(self, **changes: Any) -> "Dataset":
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields |= {
            "clean_labels": self.known_clean_labels,
            "noise_probabilities": self.known_noise_probabilities,
        }
        fields |= changes
        labels = ClassLabels(
            clean=fields["clean_labels"],
            noisy=fields["noisy_labels"],
            noise=fields["label_noise"],
            probabilities=fields["noise_probabilities"],
            class_names=fields["class_names"],
        )
        inputs = CheckedInputs(fields["inputs"], fields["test_inputs"], fields["rows"])
        unchanged = {name: fields[name] for name in ("name", "source", "groups")}
        return Dataset(inputs, labels, test=(None, fields["test_labels"]), **unchanged)


def _known(values: np.ndarray | None) -> np.ndarray:
    if values is None:
        raise ValueError(
            "dataset must have clean labels for this; got given ones alone, with noise that nobody "
            "has measured"
        )
    return values
