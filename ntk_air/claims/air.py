"""Sections 2 and 3: Anisotropic Information Retrieval and label noise."""

import math

import numpy as np
from jaxtyping import Float

from ntk_air._base.typing import Targets
from ntk_air.air import air_curve, random_label_control, retrieval_half_lives
from ntk_air.claims.comparison import DoesNotApply, Measurement, agreement, at_least, claim
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.problem import Labels, Problem

PAPER = "Dong et al. 2019 (P1)"
DRAWS = 20

STEPS_OF_A_STRETCH = 64
MOST_DOUBLINGS = 40
LEFT_AT_LAST = 1e-7


@claim(
    "2a",
    "Clean labels are retrieved before noise: their AIR-AUC is beyond random labels'",
    source=PAPER,
    control=("random labels instead of the clean ones", {"random_labels": True}),
)
def anisotropy(problem: Problem, *, random_labels: bool = False) -> Measurement:
    """AIR-AUC against mean + 5 standard deviations of random labels'."""
    centred = centred_noise(problem)
    noises = np.repeat(centred[None], DRAWS, axis=0)
    chance = random_label_control(problem.spectrum, problem.clean, noises, seed=problem.seed)
    assert chance.std is not None  # of several draws
    bound = float(chance.mean + 5 * chance.std)
    if random_labels:
        other = random_label_control(
            problem.spectrum, problem.clean, noises[:1], seed=problem.seed + 1
        )
        return at_least(bound, float(other.mean))
    return at_least(bound, air_curve(problem.spectrum, problem.clean, centred).area)


@claim(
    "2b",
    "The AIR-AUC is a sum over pairs of modes in closed form",
    source="docs/theory.md, section 2",
    control=("raw noise instead of centred noise", {"centre": False}),
)
def area(problem: Problem, *, centre: bool = True) -> Measurement:
    """Closed form against the area under a curve of steps, squared as time goes on."""
    noise = centred_noise(problem)
    predicted = air_curve(problem.spectrum, problem.clean, noise)
    if predicted.signal_never_retrieved + predicted.noise_never_retrieved > 1e-6:
        raise DoesNotApply("part of the labels lies in modes that are never retrieved")
    signal, noise = retrieved_shares(problem, problem.clean, noise if centre else problem.noise)
    return agreement(predicted.area, float(np.trapezoid(signal, noise)), tolerance=1e-4)


def retrieved_shares(problem: Problem, *labels: Targets) -> list[Float[np.ndarray, " n_time"]]:
    """‖g_t(Θ)u‖²/‖u‖² of each of the labels, from t = 0 until all are retrieved.

    By plain steps at first; then the step is squared again and again, so that each stretch of as
    many steps goes twice as far. No eigenvector is involved.
    """
    step = np.eye(len(problem.theta)) - problem.learning_rate * np.asarray(problem.theta)
    sizes = [float(np.linalg.norm(each)) for each in labels]
    wanted = np.concatenate(
        [np.asarray(each) / size for each, size in zip(labels, sizes, strict=True)], axis=1
    )
    ends = np.cumsum([np.asarray(each).shape[1] for each in labels])[:-1]
    left, shares = wanted, [np.zeros(len(labels))]
    for stretch in range(MOST_DOUBLINGS):
        for _ in range(STEPS_OF_A_STRETCH):
            left = step @ left
            parts = np.split(wanted - left, ends, axis=1)
            shares.append(np.array([np.sum(part**2) for part in parts]))
        if np.all(shares[-1] > 1 - LEFT_AT_LAST):
            return list(np.array([*shares, np.ones(len(labels))]).T)
        # The first stretch starts at 0; all others go from where the last one ended to twice there.
        if stretch > 0:
            step = step @ step
    raise DoesNotApply(f"the labels are not retrieved within {2.0**MOST_DOUBLINGS:.1g} strides")


@claim(
    "2c",
    "Mode j is retrieved by half after ln 2/−ln(1 − ηλ_j) steps",
    source=PAPER,
    control=("the half-life of the sixth mode", {"mode": 6}),
)
def half_life(problem: Problem, *, mode: int = 5) -> Measurement:
    """Closed form against plain descent on the fifth eigenvector."""
    half_lives = np.asarray(retrieval_half_lives(problem.spectrum))
    predicted = float(half_lives[mode - 1])
    if not 1 < predicted < 1e5:
        raise DoesNotApply(f"the half-life of mode {mode} is {predicted:.3g} steps")
    alone = Labels(np.asarray(problem.spectrum.eigenvectors)[:, 4:5])
    step = float(math.floor(half_lives[4]))
    on_mode = problem.replace(labels=alone, held_out=None)
    run = solve(on_mode, Descent(), [step, step + 1], Stepwise())
    # ‖f_t − v‖ is a power of t: between two steps its logarithm is a line.
    before, after = np.log2(np.asarray(run.train.residual_norm))
    return agreement(predicted, step + (before + 1) / (before - after), tolerance=1e-6)


@claim(
    "3a",
    "Symmetric noise keeps s·y of the labels, s = 1 − pC/(C − 1)",
    source="docs/theory.md, section 3",
    control=("s = 1 − p", {"keeps_right_flips": True}),
)
def mean_noisy_label(problem: Problem, *, keeps_right_flips: bool = False) -> Measurement:
    """Scale s against the mean over 200 draws, within 5 standard errors."""
    noise, n_classes = problem.label_noise, problem.dataset.n_classes
    scale = noise.signal_scale(n_classes)
    if scale is None:
        raise DoesNotApply(f"{noise.kind} noise has no s with E[ỹ | y] = s·y")
    clean = problem.dataset.without_label_noise()
    square = float(np.sum(np.asarray(problem.clean) ** 2))
    draws = np.array(
        [
            np.sum(clean.with_label_noise(noise, seed=seed).noisy_targets() * problem.clean)
            / square
            for seed in range(problem.seed, problem.seed + 10 * DRAWS)
        ]
    )
    error = 5 * float(draws.std(ddof=1)) / len(draws) ** 0.5
    predicted = 1 - problem.dataset.noise_fraction if keeps_right_flips else scale
    # Exact flips have no spread: what is left is rounding of their counts.
    tolerance = max(error / abs(predicted), 0.5 * n_classes / problem.dataset.n_train)
    return agreement(predicted, float(draws.mean()), tolerance=tolerance)


def centred_noise(problem: Problem) -> np.ndarray:
    """ζ = ỹ − E[ỹ | y]."""
    centred = np.asarray(problem.noisy) - np.asarray(problem.dataset.expected_noisy_targets())
    if not np.any(centred):
        raise DoesNotApply("the centred noise is zero")
    return centred
