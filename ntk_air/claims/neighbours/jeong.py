"""Rounds of self-distillation average labels within classes."""

import dataclasses
import functools
from typing import TypeAlias

import numpy as np

from ntk_air.claims.comparison import Measurement, agreement, claim
from ntk_air.data.draws import generator, rounded_counts, shuffled
from ntk_air.problem import Problem

SOURCE = "Jeong, Chung 2025; docs/theory.md, 11-jeong"
SIMILARITIES = ((0.4, 0.1), (0.1, 0.02), (0.02, 0.0))
FLIPS = (0.3, 0.5, 0.7)
N_CLASSES, EACH, RIDGE, MOST_ROUNDS = 4, 50, 1.0, 30

Labels: TypeAlias = np.ndarray


@dataclasses.dataclass(frozen=True)
class Block:
    """Inputs that are as similar as c within their class and d across, with flipped labels.

    Every class loses as many labels to the next as to the one after it, and so on, in random
    counts: the labels of all classes stay equally many, and centred ones have no common part.

    Attributes:
        theta: kernel, (n, n).
        classes: true classes, (n,).
        given: given classes, (n,).
    """

    theta: np.ndarray
    classes: np.ndarray
    given: np.ndarray

    @property
    def majority(self) -> float:
        """The least lead of the true class over another given one in a class, as a share."""
        counts = np.zeros((N_CLASSES, N_CLASSES))
        np.add.at(counts, (self.classes, self.given), 1.0 / EACH)
        leads = np.diag(counts)[:, None] - counts
        present = (counts > 0) & ~np.eye(N_CLASSES, dtype=bool)
        return float(np.min(leads[present]))

    @functools.cached_property
    def smoother(self) -> np.ndarray:
        """Θ(Θ + l)⁻¹, by solving."""
        return np.linalg.solve(self.theta + RIDGE * np.eye(len(self.theta)), self.theta)

    def round(self, labels: Labels) -> Labels:
        """The outputs of a ridge student on labels."""
        return self.smoother @ labels

    def accuracy(self, outputs: Labels) -> float:
        """The share of inputs whose largest output is that of their class."""
        return float(np.mean(outputs.argmax(axis=1) == self.classes))


@claim(
    "11-jeong",
    "All labels are right after the first t with s₁ᵗ < (s₂ᵗ − s₁ᵗ)·gap: counts tell the rounds",
    source=SOURCE,
    control=("similarities that vary within a class", {"spread": 0.5}),
)
def rounds_needed(problem: Problem, *, spread: float = 0.0) -> Measurement:
    """Rounds from counts of labels against rounds of ridge fits, nine similarities and flip rates.

    s₁ = (1 − c)/(1 − c + l) shrinks what differs within a class, s₂ with 1 − c + m(c − d) what all
    of its m members share; gap is the least lead of the true label in a class. Without a lead no
    round helps. Rounds are summed over the nine cases, 31 where there is none up to 30.
    """
    predicted = measured = wrong = 0
    for block, (within, across) in blocks(problem, spread=spread):
        one = (1 - within) / (1 - within + RIDGE)
        shared = 1 - within + EACH * (within - across)
        two, gap = shared / (shared + RIDGE), block.majority
        found = (t for t in range(1, MOST_ROUNDS + 1) if one**t < (two**t - one**t) * gap)
        expected = next(found, MOST_ROUNDS + 1)
        outputs, actual = one_hot(block.given), MOST_ROUNDS + 1
        for number in range(1, MOST_ROUNDS + 1):
            outputs = block.round(outputs)
            if block.accuracy(outputs) == 1:
                actual = number
                break
        predicted, measured = predicted + expected, measured + actual
        wrong += expected != actual
    return Measurement(float(predicted), float(measured), float(wrong), 0.0)


@claim(
    "11-jeong-partial",
    "Labels ½, ½ on the two likeliest classes of round one are right in one more round iff gap > 0",
    source=SOURCE,
    control=("classes in pairs as similar as one class", {"paired": True}),
)
def partial_labels(problem: Problem, *, paired: bool = False) -> Measurement:
    """Cases where the lead and the accuracy of the second fit disagree, of nine, against 0."""
    disagree = 0
    for block, _ in blocks(problem, paired=paired):
        first = block.round(one_hot(block.given))
        two = np.argsort(-first, axis=1)[:, :2]
        labels = np.zeros_like(first)
        np.put_along_axis(labels, two, 0.5, axis=1)
        labels -= 1 / N_CLASSES
        disagree += (block.majority > 0) != (block.accuracy(block.round(labels)) == 1)
    return agreement(0.0, float(disagree), tolerance=0.0)


def blocks(
    problem: Problem, *, spread: float = 0.0, paired: bool = False
) -> list[tuple[Block, tuple[float, float]]]:
    """The nine cases, each with its similarities c and d."""
    rng = generator(problem.seed, "label counts")
    classes = np.repeat(np.arange(N_CLASSES), EACH)
    groups = classes // 2 if paired else classes
    same = groups[:, None] == groups
    cases = []
    for within, across in SIMILARITIES:
        for rate in FLIPS:
            shares = 0.2 + rng.random(N_CLASSES - 1)
            moved = rounded_counts(shares, round(rate * EACH), rng)
            shifts = np.repeat(np.arange(N_CLASSES), [EACH - moved.sum(), *moved])
            given = [(kind + shuffled(shifts, rng)) % N_CLASSES for kind in range(N_CLASSES)]
            theta = np.where(same, within, across) + (1 - within) * np.eye(len(same))
            sizes = 1 + spread * (2 * rng.random(len(same)) - 1)
            theta = theta * np.outer(sizes, sizes)
            cases.append((Block(theta, classes, np.concatenate(given)), (within, across)))
    return cases


def one_hot(classes: np.ndarray) -> Labels:
    """Centred one-hot labels."""
    return np.eye(N_CLASSES)[classes] - 1 / N_CLASSES
