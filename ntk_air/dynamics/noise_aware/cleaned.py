"""What is known of given labels: beliefs, transition matrix, rate, verdict."""

import dataclasses
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int

Verdict: TypeAlias = Literal[
    "noise_aware", "early_stopping", "no_signal", "too_few_rows", "one_class"
]

Interval: TypeAlias = tuple[float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class JudgedStart:
    """How well labels were predicted that were hidden from a way to predict them.

    Attributes:
        description: the way, for a reader.
        log_likelihood: mean ln P of hidden given labels, in nats.
        behind: how far that is behind the best way's, in nats, at least 0.
        behind_std_error: standard error of ``behind``, over rows.
    """

    description: str
    log_likelihood: float
    behind: float
    behind_std_error: float


@dataclasses.dataclass(frozen=True, eq=False)
class CleanedLabels:
    """Beliefs about the true classes of rows with noisy labels.

    Where the verdict is ``no_signal``, ``too_few_rows`` or ``one_class``, beliefs and what comes
    from them are ``None``: nothing is known beyond the given labels.

    Attributes:
        given: given class z of each row, (n,).
        verdict: ``noise_aware``: rounds of self-distillation predicted hidden labels best, beyond a
            standard error; ``early_stopping``: they did not, for the kernel is too weak to tell
            noise from its own errors or there is next to none, and plain training stands;
            ``no_signal``: the inputs say nothing of the labels; ``too_few_rows`` of a class;
            ``one_class``.
        reasons: the verdict's numbers, for a reader.
        posterior: P(y_i = a | all labels), (n, C).
        hidden_probabilities: P(y_i = a) by rows that row i's own label was hidden from, (n, C).
        transition: T̂[a, b] = P(ỹ = b | y = a), (C, C), from beliefs each row's own label is hidden
            from but for its factor T.
        transition_interval: lower and upper ends of T̂'s entries, (2, C, C).
        rate: share of wrong labels.
        rate_interval: its interval.
        predictions: probabilities of the classes at held-out inputs, (m, C); ``None`` without any.
        judged: all ways that were judged, the best first; empty where nothing was.
        level: level of the intervals: over rows, and joined over all ways to explain the labels
            that are not two standard errors behind the best. What no way knows is not in them.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> points = np.linspace(0, 1, 40)
    >>> kernel = np.exp(-50 * (points[:, None] - points) ** 2)
    >>> labels = np.repeat([0, 1], 20)
    >>> labels[7] = 1
    >>> found = na.clean_labels(kernel, labels)
    >>> int(found.suspects[0]), int(found.suggested[7])
    (7, 0)
    """

    given: Int[np.ndarray, " n"]
    verdict: Verdict
    reasons: tuple[str, ...]
    posterior: Float[np.ndarray, "n n_classes"] | None = None
    hidden_probabilities: Float[np.ndarray, "n n_classes"] | None = None
    transition: Float[np.ndarray, "n_classes n_classes"] | None = None
    transition_interval: Float[np.ndarray, "2 n_classes n_classes"] | None = None
    rate: float | None = None
    rate_interval: Interval | None = None
    predictions: Float[np.ndarray, "m n_classes"] | None = None
    judged: tuple[JudgedStart, ...] = ()
    level: float = 0.95

    @property
    def has_answer(self) -> bool:
        """Whether more is known than the given labels."""
        return self.posterior is not None

    @property
    def suggested(self) -> Int[np.ndarray, " n"]:
        """The likeliest class of each row, (n,); the given one where nothing is known."""
        return self.given if self.posterior is None else self.posterior.argmax(axis=1)

    @property
    def error_probability(self) -> Float[np.ndarray, " n"]:
        """P(y_i ≠ z_i), (n,); NaN where nothing is known."""
        if self.posterior is None:
            return np.full(len(self.given), np.nan)
        return np.clip(1 - self.posterior[np.arange(len(self.given)), self.given], 0, 1)

    @property
    def suspects(self) -> Int[np.ndarray, " n"]:
        """Rows by how likely their label is wrong, the likeliest first, (n,); ties by row."""
        return np.argsort(-self.error_probability, kind="stable")
