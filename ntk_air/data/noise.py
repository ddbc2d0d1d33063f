"""Label noise that does not look at the inputs: symmetric, pair flip, any transition matrix.

Each noise knows T[a, b] = P(ỹ = b | y = a) and the mean noisy label E[ỹ | y] that centres it
(theory.md, sections 2 and 3). Two ways to draw: independently for each label, or exactly
round(rate · n) flips in each class (ties to even), spread as evenly as T allows. Where the
examples come in groups, such as clusters, the exact way holds within each group.
"""

import abc
from collections.abc import Iterator

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from ntk_air._base.arrays import exact_float64, real_array
from ntk_air._base.checks import check_finite, check_fraction, number
from ntk_air.data.draws import draw_classes, generator, rounded_counts, shuffled
from ntk_air.data.labels import check_class_labels, encode_probabilities, integer_labels


class LabelNoise(eqx.Module):
    """A random rule from clean to noisy labels that knows its own probabilities."""

    @property
    @abc.abstractmethod
    def kind(self) -> str:
        """A short name for tables and file names."""

    @abc.abstractmethod
    def probabilities(
        self,
        labels: Int[np.ndarray, " n"],
        inputs: Float[np.ndarray, "n *features"],
        n_classes: int,
        groups: Int[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, "n n_classes"]:
        """P(ỹ_i = b | y_i, x_i) as a row for each example i."""

    @abc.abstractmethod
    def apply(
        self,
        labels: Int[np.ndarray, " n"],
        inputs: Float[np.ndarray, "n *features"],
        n_classes: int,
        seed: int,
        *,
        groups: Int[np.ndarray, " n"] | None = None,
    ) -> Int[np.ndarray, " n"]:
        """Draw noisy labels; the same seed gives the same labels on every platform."""

    @abc.abstractmethod
    def signal_scale(self, n_classes: int) -> float | None:
        """The s with E[ỹ | y] = s·y in target coding, or ``None`` where there is no such s."""

    def expected_targets(
        self,
        labels: Int[np.ndarray, " n"],
        inputs: Float[np.ndarray, "n *features"],
        n_classes: int,
        groups: Int[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, "n n_out"]:
        """E[ỹ | y, x] in target coding, for each example (theory.md, section 2)."""
        return encode_probabilities(self.probabilities(labels, inputs, n_classes, groups))


class ClassConditionalNoise(LabelNoise):
    """Noise given by a transition matrix alone."""

    exact: bool = eqx.field(static=True, default=False, kw_only=True)

    def __check_init__(self):
        if not isinstance(self.exact, bool):
            raise ValueError(f"exact must be True or False; got {self.exact!r}")

    @abc.abstractmethod
    def transition_matrix(self, n_classes: int) -> Float[np.ndarray, "n_classes n_classes"]:
        """T[a, b] = P(ỹ = b | y = a); each row sums to one."""

    def signal_scale(self, n_classes: int) -> float | None:
        """The s of T = s·I + (1 − s)·11ᵀ/C, or ``None`` where T has another form."""
        transition = self.transition_matrix(n_classes)
        scale = (np.trace(transition) - 1) / (n_classes - 1)
        symmetric = scale * np.eye(n_classes) + (1 - scale) / n_classes
        return float(scale) if np.allclose(transition, symmetric, rtol=0, atol=1e-12) else None

    def probabilities(
        self,
        labels: Int[np.ndarray, " n"],
        inputs: Float[np.ndarray, "n *features"],
        n_classes: int,
        groups: Int[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, "n n_classes"]:
        """The row of T of each label; the exact way has the rounded rate of its cell in it."""
        labels = check_class_labels("labels", labels, n_classes)
        transition = self.transition_matrix(n_classes)
        rows = transition[labels]
        if self.exact:
            for label, members in _cells(labels, groups):
                wrong = _wrong_shares(transition, label)
                rate = _n_flips(transition, label, len(members)) / len(members)
                rows[members] = rate * wrong / max(wrong.sum(), np.finfo(float).tiny)
                rows[members, label] = 1 - rate
        return rows

    def apply(
        self,
        labels: Int[np.ndarray, " n"],
        inputs: Float[np.ndarray, "n *features"],
        n_classes: int,
        seed: int,
        *,
        groups: Int[np.ndarray, " n"] | None = None,
    ) -> Int[np.ndarray, " n"]:
        """Draw noisy labels; the same seed gives the same labels on every platform."""
        labels = check_class_labels("labels", labels, n_classes)
        rng = generator(seed, "label noise")
        transition = self.transition_matrix(n_classes)
        if not self.exact:
            return draw_classes(transition[labels], rng)
        noisy = labels.astype(np.int64)
        for label, members in _cells(labels, groups):
            n_flips = _n_flips(transition, label, len(members))
            if n_flips:
                counts = rounded_counts(_wrong_shares(transition, label), n_flips, rng)
                flipped = shuffled(members, rng)[:n_flips]
                noisy[flipped] = np.repeat(np.arange(n_classes), counts)
        return noisy


class _NoiseOfRate(ClassConditionalNoise):
    """Noise of one rate for every class."""

    rate: float = eqx.field(static=True, converter=number("rate"))

    def __check_init__(self):
        check_fraction("rate", self.rate)


class SymmetricNoise(_NoiseOfRate):
    """With probability ``rate`` to another class, uniformly: T = (1 − p)I + p(11ᵀ − I)/(C − 1).

    Its signal scale is s = 1 − pC/(C − 1) (theory.md, section 3).

    Args:
        rate: probability p to change, in [0, 1].
        exact: whether exactly round(p·n) labels flip in each class or group, instead of each label
            independently.

    Raises:
        ValueError: a rate outside [0, 1].

    >>> import ntk_air as na
    >>> na.SymmetricNoise(0.3).transition_matrix(3)
    array([[0.7 , 0.15, 0.15],
           [0.15, 0.7 , 0.15],
           [0.15, 0.15, 0.7 ]])
    """

    @property
    def kind(self) -> str:
        """``"symmetric"``."""
        return "symmetric"

    def transition_matrix(self, n_classes: int) -> Float[np.ndarray, "n_classes n_classes"]:
        """T[a, b] = P(ỹ = b | y = a); each row sums to one."""
        transition = np.full((n_classes, n_classes), self.rate / (n_classes - 1))
        np.fill_diagonal(transition, 1 - self.rate)
        return transition


class PairFlipNoise(_NoiseOfRate):
    """With probability ``rate`` from class a to class a + 1, cyclically (Han et al. 2018).

    Args:
        rate: probability to change, in [0, 1].
        exact: whether exactly round(rate·n) labels flip in each class or group, instead of each
            label independently.

    Raises:
        ValueError: a rate outside [0, 1].

    >>> import ntk_air as na
    >>> na.PairFlipNoise(0.25).transition_matrix(3)
    array([[0.75, 0.25, 0.  ],
           [0.  , 0.75, 0.25],
           [0.25, 0.  , 0.75]])
    """

    @property
    def kind(self) -> str:
        """``"pair_flip"``."""
        return "pair_flip"

    def transition_matrix(self, n_classes: int) -> Float[np.ndarray, "n_classes n_classes"]:
        """T[a, b] = P(ỹ = b | y = a); each row sums to one."""
        identity = np.eye(n_classes)
        return (1 - self.rate) * identity + self.rate * np.roll(identity, 1, axis=1)


class TransitionNoise(ClassConditionalNoise):
    """Noise of a given transition matrix: P(ỹ = b | y = a) = T[a, b] (theory.md, section 3).

    Args:
        matrix: T[a, b] = P(ỹ = b | y = a), shape (C, C), rows summing to one within 1e-9.
        exact: whether exactly round((1 − T[a, a])·n) labels flip in each class or group, instead of
            each label independently.

    Raises:
        ValueError: not square, not finite, negative, or rows that do not sum to one.

    >>> import ntk_air as na
    >>> noise = na.TransitionNoise([[0.9, 0.1], [0.3, 0.7]])
    >>> data = na.load_dataset("clusters", n_train=80).with_label_noise(noise, seed=0)
    >>> data.transition_matrix()
    array([[0.9, 0.1],
           [0.3, 0.7]])
    """

    matrix: Float[np.ndarray, "n_classes n_classes"]

    def __init__(self, matrix: object, *, exact: bool = False):
        self.matrix = check_transition_matrix("matrix", matrix)
        self.exact = exact

    @property
    def kind(self) -> str:
        """``"transition"``."""
        return "transition"

    def transition_matrix(self, n_classes: int) -> Float[np.ndarray, "n_classes n_classes"]:
        """The given matrix; raises ``ValueError`` where it is for another number of classes."""
        return require_size(self.matrix, n_classes)


class HumanNoise(ClassConditionalNoise):
    """Noise of given annotations: T[a, b] = #(y = a, ỹ = b) / #(y = a), measured by counting.

    ``HumanNoise.measure`` counts it. ``apply`` draws new labels from the measured T, each
    independently: what the annotations would be if they depended on the class alone.

    Args:
        matrix: T[a, b] = P(ỹ = b | y = a), shape (C, C).
        class_counts: number of examples of each class that T was measured on, shape (C,).
        annotation: name of the annotations in tables.
        exact: whether exactly round((1 − T[a, a])·n) labels flip in each class or group, instead of
            each label independently.

    Raises:
        ValueError: no such matrix, or counts that are not C whole numbers, at least 0.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> clean, annotated = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    >>> na.HumanNoise.measure(clean, annotated, 2).transition_matrix(2)
    array([[0.75, 0.25],
           [0.5 , 0.5 ]])
    """

    matrix: Float[np.ndarray, "n_classes n_classes"]
    class_counts: Int[np.ndarray, " n_classes"]
    annotation: str = eqx.field(static=True)

    def __check_init__(self):
        check_transition_matrix("matrix", self.matrix)
        counts = integer_labels("class_counts", self.class_counts)
        if counts.shape != (len(self.matrix),) or (counts < 0).any():
            raise ValueError(
                f"class_counts must be {len(self.matrix)} whole numbers, at least 0; got {counts}"
            )

    @staticmethod
    def measure(
        clean_labels: Int[np.ndarray, " n"],
        noisy_labels: Int[np.ndarray, " n_noisy"],
        n_classes: int,
        *,
        annotation: str = "given",
    ) -> "HumanNoise":
        """Measure T[a, b] = #(y = a, ỹ = b) / #(y = a).

        A class without examples has no measured row: it gets the row of the identity, and
        ``class_counts`` shows its zero.

        Args:
            clean_labels: clean labels y as class indices, shape (n,).
            noisy_labels: annotated labels ỹ as class indices, shape (n,).
            n_classes: number of classes C, at least 2.
            annotation: name of the annotations in tables.

        Returns:
            The noise with T, shape (C, C), and the number of examples behind each row.

        Raises:
            ValueError: labels out of range, or of different lengths.
        """
        clean_labels = check_class_labels("clean_labels", clean_labels, n_classes)
        noisy_labels = check_class_labels("noisy_labels", noisy_labels, n_classes)
        if len(clean_labels) != len(noisy_labels):
            raise ValueError(
                "clean_labels and noisy_labels must have the same length; "
                f"got {len(clean_labels)} and {len(noisy_labels)}"
            )
        pairs = clean_labels.astype(np.int64) * n_classes + noisy_labels
        counts = np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)
        class_counts = counts.sum(axis=1)
        matrix = np.where(
            class_counts[:, None] > 0,
            counts / np.maximum(class_counts, 1)[:, None],
            np.eye(n_classes),
        )
        return HumanNoise(matrix=matrix, class_counts=class_counts, annotation=annotation)

    @property
    def kind(self) -> str:
        """``"human"``."""
        return "human"

    def transition_matrix(self, n_classes: int) -> Float[np.ndarray, "n_classes n_classes"]:
        """The measured matrix; raises ``ValueError`` for another number of classes."""
        return require_size(self.matrix, n_classes)


def check_transition_matrix(name: str, given: object) -> Float[np.ndarray, "rows columns"]:
    """The square matrix of probabilities that was given, its rows summing to one, as a copy."""
    matrix = np.array(exact_float64(name, np.asarray(real_array(name, given))))
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(f"{name} must have shape (C, C) with C ≥ 2; got shape {matrix.shape}")
    check_probabilities(name, matrix)
    return matrix


def check_probabilities(name: str, rows: Float[np.ndarray, "n n_classes"]) -> None:
    """Require probabilities whose rows sum to one within 1e-9."""
    check_finite(name, rows)
    if (rows < 0).any():
        raise ValueError(f"{name} must hold probabilities; got the entry {rows.min()}")
    sums = rows.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > 1e-9:
        raise ValueError(f"{name} must have rows that sum to 1; row {worst} sums to {sums[worst]}")


def require_size(
    matrix: Float[np.ndarray, "rows rows"], n_classes: int
) -> Float[np.ndarray, "rows rows"]:
    """Return the transition matrix, or raise where it is for another number of classes."""
    if len(matrix) != n_classes:
        raise ValueError(
            f"the transition matrix must have as many rows as there are classes, {n_classes}; "
            f"got {len(matrix)}"
        )
    return matrix


def average_by_class(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n n_classes"]
) -> Float[np.ndarray, "n_classes n_classes"]:
    """The mean row of each class; ``ValueError`` for a class without examples, which has none."""
    n_classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=n_classes)
    if (counts == 0).any():
        raise ValueError(
            f"labels must hold every class to average over it; got none of class "
            f"{int(np.argmin(counts))}"
        )
    return np.eye(n_classes)[labels].T @ probabilities / counts[:, None]


def _cells(
    labels: Int[np.ndarray, " n"], groups: Int[np.ndarray, " n"] | None
) -> Iterator[tuple[int, Int[np.ndarray, " members"]]]:
    """Yield the class and the members of each cell: a class, or a class within a group."""
    group_of = 0 if groups is None else np.unique(groups, return_inverse=True)[1]
    n_classes = int(labels.max(initial=0)) + 1
    cell_of = group_of * n_classes + labels.astype(np.int64)
    for cell in np.unique(cell_of):
        yield int(cell) % n_classes, np.flatnonzero(cell_of == cell)


def _wrong_shares(
    transition: Float[np.ndarray, "n_classes n_classes"], label: int
) -> Float[np.ndarray, " n_classes"]:
    """The row of T without the label itself: how flips spread over the other classes."""
    shares = transition[label].copy()
    shares[label] = 0.0
    return shares


def _n_flips(transition: Float[np.ndarray, "n_classes n_classes"], label: int, size: int) -> int:
    """How many of ``size`` labels the exact way flips: the rounded mean, ties to even."""
    mean = (1 - transition[label, label]) * size
    # 1 − (1 − p) is not p in floating point, and a tie must stay a tie.
    return round(round(mean, 9))
