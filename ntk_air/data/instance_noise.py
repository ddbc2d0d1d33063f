"""Label noise that looks at each input (Xia et al. 2020, 2006.07836)."""

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri, softmax

from ntk_air._base.checks import check_fraction, check_positive, check_whole_number, number
from ntk_air.data.draws import draw_classes, generator, normal_numbers
from ntk_air.data.labels import check_class_labels
from ntk_air.data.noise import LabelNoise, average_by_class


class InstanceDependentNoise(LabelNoise):
    """Each example has its own flip rate, and its input decides where it flips to.

    Xia et al. 2020, Algorithm 2: rates q_i from a normal distribution around ``rate`` cut to
    [0, 1]; for each class a a Gaussian matrix W_a; P(ỹ_i = b) = q_i·softmax(x_i W_y)_b over the
    wrong classes b, and 1 − q_i to stay. The scale of the inputs decides how firmly an input
    chooses its wrong class. Near 0 and 1 the cut moves the mean rate away from ``rate``.

    The rates go by the position of an example, and with the matrices they come from ``rule_seed``:
    the seed of ``apply`` draws labels from one and the same rule.

    Args:
        rate: centre of the flip rates q_i, in [0, 1].
        spread: standard deviation of the flip rates before the cut, above 0.
        rule_seed: seed of the rates and matrices, at least 0.

    Raises:
        ValueError: arguments out of range.

    >>> import ntk_air as na
    >>> data = na.load_dataset("digits", n_train=500).flattened()
    >>> noisy = data.with_label_noise(na.InstanceDependentNoise(0.3), seed=0)
    >>> print(f"{noisy.noise_fraction:.2f}")
    0.31
    """

    rate: float = eqx.field(static=True, converter=number("rate"))
    spread: float = eqx.field(static=True, converter=number("spread"), default=0.1)
    rule_seed: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        check_fraction("rate", self.rate)
        check_positive("spread", self.spread)
        check_whole_number("rule_seed", self.rule_seed, minimum=0)

    @property
    def kind(self) -> str:
        """``"instance"``."""
        return "instance"

    def signal_scale(self, n_classes: int) -> float | None:
        """``None``: E[ỹ | y, x] is not a multiple of y."""
        return None

    def flip_rates(self, n: int) -> Float[np.ndarray, " {n}"]:
        """q_i of the first ``n`` examples, from the cut normal distribution by inversion."""
        low, high = ndtr((np.array([0.0, 1.0]) - self.rate) / self.spread)
        uniform = generator(self.rule_seed, "instance noise rates").random(n)
        rates = self.rate + self.spread * ndtri(low + uniform * (high - low))
        return np.clip(rates, 0.0, 1.0)

    def probabilities(
        self,
        labels: Int[np.ndarray, " n"],
        inputs: Float[np.ndarray, "n *features"],
        n_classes: int,
        groups: Int[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, "n n_classes"]:
        """P(ỹ_i = b | y_i, x_i) as a row for each example i."""
        labels = check_class_labels("labels", labels, n_classes)
        flat = inputs.reshape(len(inputs), -1)
        rng = generator(self.rule_seed, "instance noise matrices")
        matrices = normal_numbers(rng, (n_classes, flat.shape[1], n_classes))
        scores = np.empty((len(flat), n_classes))
        for label in range(n_classes):
            scores[labels == label] = flat[labels == label] @ matrices[label]
        everyone = np.arange(len(flat))
        scores[everyone, labels] = -np.inf
        rates = self.flip_rates(len(flat))
        rows = rates[:, None] * softmax(scores, axis=1)
        rows[everyone, labels] = 1 - rates
        return rows

    def transition_matrix(
        self,
        labels: Int[np.ndarray, " n"],
        inputs: Float[np.ndarray, "n *features"],
        n_classes: int,
    ) -> Float[np.ndarray, "n_classes n_classes"]:
        """The average of ``probabilities`` over the examples of each class.

        Raises ``ValueError`` for a class without examples, which has no average.
        """
        return average_by_class(labels, self.probabilities(labels, inputs, n_classes))

    def apply(
        self,
        labels: Int[np.ndarray, " n"],
        inputs: Float[np.ndarray, "n *features"],
        n_classes: int,
        seed: int,
        *,
        groups: Int[np.ndarray, " n"] | None = None,
    ) -> Int[np.ndarray, " n"]:
        """Draw noisy labels, each independently, from their own probabilities."""
        rows = self.probabilities(labels, inputs, n_classes)
        return draw_classes(rows, generator(seed, "label noise"))
