"""Self-distillation in ridge regression with any weight, below 0 or above 1 as well."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import minimize_scalar

from ntk_air._base.typing import Targets
from ntk_air.claims.comparison import (
    DoesNotApply,
    Measurement,
    array_agreement,
    at_least,
    at_most,
    claim,
)
from ntk_air.claims.neighbours.premises import EXACT, clean_labels
from ntk_air.data.noise import SymmetricNoise
from ntk_air.problem import Problem

SOURCE = "Dang, Patil, Rinaldo 2026; docs/theory.md, 11-dang"
RIDGES = (1e-4, 1e-2, 1.0)
TIMES = (10.0, 100.0, 1000.0)
OVER_REGULARISED, DRAWS, FLIPS, REACH = 1.0, 20, 0.3, 3.0

Outputs = Float[Array, "n_point n_out"]


@claim(
    "11-dang",
    "The best weight on a ridge teacher is ξ* = −R′(ln l)/(2‖∂f/∂ln l‖²), and any real number",
    source=SOURCE,
    control=("teacher and student stopped at T, and ln T in place of −ln l", {"stopped": True}),
)
def best_weight(problem: Problem, *, stopped: bool = False) -> Measurement:
    """Slope of the teacher's risk curve against three refits of the student.

    The student on (1 − ξ)ỹ + ξ·teacher is f_l + ξ ∂f_l/∂ln l on every input, for any kernel and any
    labels, so R(ξ) is a parabola. Here R is the mean square distance to the clean labels over
    training and held-out inputs. A stopped teacher has such a parabola, too, of another slope.
    """
    _, targets = all_points(problem)
    values = TIMES if stopped else tuple(ridge * problem.largest_eigenvalue for ridge in RIDGES)
    outputs = stopped_outputs if stopped else ridge_outputs
    predicted, measured = [], []
    for value in values:
        weight, _ = by_slope(outputs(problem), targets, value)
        predicted.append([-weight if stopped else weight])
        student = stopped_student if stopped else ridge_student
        measured.append([by_refits(lambda xi, v=value, s=student: s(problem, v, xi), targets)])
    return array_agreement(np.array(predicted), np.array(measured), tolerance=EXACT)


@claim(
    "11-dang-gain",
    "There the student's risk is R − R′(ln l)²/(4‖∂f/∂ln l‖²), below the teacher's",
    source=SOURCE,
    control=("the weight with its sign turned", {"turned": True}),
)
def gain(problem: Problem, *, turned: bool = False) -> Measurement:
    """Formula from the teacher's risk curve against the risk of the student refit at ξ*."""
    _, targets = all_points(problem)
    predicted, measured = [], []
    for value in (ridge * problem.largest_eigenvalue for ridge in RIDGES):
        weight, best = by_slope(ridge_outputs(problem), targets, value)
        student = ridge_student(problem, value, -weight if turned else weight)
        predicted.append([best])
        measured.append([risk(student, targets)])
    return array_agreement(np.array(predicted), np.array(measured), tolerance=EXACT)


@claim(
    "11-dang-stationary",
    "At the best penalty there is nothing to gain: strictness needs R′ ≠ 0",
    source=SOURCE,
    control=("ten times that penalty", {"factor": 10.0}),
)
def no_gain(problem: Problem, *, factor: float = 1.0) -> Measurement:
    """Gain by three refits, a share of the risk, against 10⁻⁹ at the penalty of least risk."""
    _, targets = all_points(problem)
    outputs, largest = ridge_outputs(problem), float(np.log(problem.largest_eigenvalue))
    # The slope changes sign there: searched for in ln l by the risk alone.
    bounds = (largest - 14, largest + 4)
    found = minimize_scalar(
        lambda log: risk(outputs(log), targets), bounds=bounds, method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    if min(found.x - bounds[0], bounds[1] - found.x) < 1e-3:
        raise DoesNotApply("no penalty of least risk between e⁻¹⁴λ₁ and e⁴λ₁")
    ridge = factor * float(np.exp(found.x))
    weight = by_refits(lambda xi: ridge_student(problem, ridge, xi), targets)
    teacher, student = (risk(ridge_student(problem, ridge, xi), targets) for xi in (0.0, weight))
    return at_most(EXACT, (teacher - student) / teacher)


@claim(
    "11-dang-one-shot",
    "A too large penalty is made good by ξ̂ from residuals and traces, with no clean label",
    source=SOURCE,
    control=("the weight with its sign turned", {"turned": True}),
)
def one_shot(problem: Problem, *, turned: bool = False) -> Measurement:
    """Gain over 20 draws of 30 % flips, in standard errors, against 3.

    Generalised cross-validation corrects each residual by 1 − tr S/n. With flips its target is
    E[ỹ | y] = s·y, and the risk is to that: to the clean labels ξ* differs, in sign even.
    """
    if not problem.has_dataset:
        raise DoesNotApply("the labels are of no data set whose noise could be drawn again")
    clean_labels(problem)
    theta, ridge = np.asarray(problem.theta), OVER_REGULARISED * problem.largest_eigenvalue
    smoother = np.linalg.solve(theta + ridge * np.eye(len(theta)), theta)
    gains = []
    for draw in range(DRAWS):
        drawn = problem.with_label_noise(SymmetricNoise(FLIPS), seed=problem.seed + draw)
        noisy, target = np.asarray(drawn.noisy), np.asarray(drawn.labels.expected_noisy)
        teacher = smoother @ noisy
        step = smoother @ teacher - teacher
        weight = weight_without_clean_labels(smoother, noisy)
        student = teacher + (-weight if turned else weight) * step
        gains.append(risk(teacher, target) - risk(student, target))
    error = float(np.std(gains, ddof=1)) / DRAWS**0.5
    return at_least(REACH, float(np.mean(gains)) / error)


def weight_without_clean_labels(smoother: np.ndarray, noisy: Targets) -> float:
    """ξ̂ = (R − C)/(R + R_P − 2C) of residuals corrected for their degrees of freedom."""
    n, teacher = len(noisy), smoother @ noisy
    once = (noisy - teacher) / (1 - np.trace(smoother) / n)
    twice = (noisy - smoother @ teacher) / (1 - np.sum(smoother * smoother.T) / n)
    square, pure, product = np.sum(once**2), np.sum(twice**2), np.sum(once * twice)
    return float((square - product) / (square + pure - 2 * product))


def all_points(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The kernel from training and held-out inputs to the training ones, and their clean labels."""
    kernels, targets = [np.asarray(problem.theta)], [clean_labels(problem)]
    if problem.held_out is not None:
        kernels.append(np.asarray(problem.held_out.cross_kernel))
        targets.append(np.asarray(problem.held_out.targets))
    return np.concatenate(kernels), np.concatenate(targets)


def ridge_outputs(problem: Problem) -> Callable[[float], Outputs]:
    """The ridge teacher's outputs on all points by ln l, in the eigenbasis."""
    eigenvalues = jnp.asarray(problem.spectrum.eigenvalues)
    return _by_filter(problem, lambda log: 1 / (eigenvalues + jnp.exp(log)))


def stopped_outputs(problem: Problem) -> Callable[[float], Outputs]:
    """The stopped teacher's outputs on all points by ln T, in the eigenbasis."""
    eigenvalues = jnp.asarray(problem.spectrum.eigenvalues)
    left = jnp.log1p(-jnp.minimum(eigenvalues * problem.learning_rate, 1 - 1e-15))
    return _by_filter(problem, lambda log: -jnp.expm1(jnp.exp(log) * left) / eigenvalues)


def _by_filter(
    problem: Problem, dual_weight: Callable[[float], Array]
) -> Callable[[float], Outputs]:
    kernel, _ = all_points(problem)
    basis = jnp.asarray(problem.spectrum.eigenvectors)
    onto, labels = jnp.asarray(kernel) @ basis, basis.T @ problem.noisy
    return lambda log: onto @ (dual_weight(log)[:, None] * labels)


def by_slope(
    outputs: Callable[[float], Outputs], targets: Targets, value: float
) -> tuple[float, float]:
    """ξ* and the risk there, from the slope of R and of f in the logarithm of a parameter."""
    log = float(np.log(value))
    slope = float(jax.grad(lambda at: jnp.mean((outputs(at) - targets) ** 2))(log))
    _, change = jax.jvp(outputs, (log,), (1.0,))
    square = float(jnp.mean(change**2))
    return -slope / (2 * square), risk(outputs(log), targets) - slope**2 / (4 * square)


def by_refits(student: Callable[[float], np.ndarray], targets: Targets) -> float:
    """ξ where the parabola through the risks of three students is least."""
    teacher = student(0.0)
    # As far as outputs change by their own size: a small step would lose digits.
    reach = float(np.linalg.norm(teacher) / np.linalg.norm(student(1.0) - teacher))
    below, at, above = (risk(student(weight), targets) for weight in (-reach, 0.0, reach))
    return reach * (below - above) / (2 * (above - 2 * at + below))


def ridge_student(problem: Problem, ridge: float, weight: float) -> np.ndarray:
    """Outputs on all points of a student refit on (1 − ξ)ỹ + ξ·teacher, by solving with Θ + l."""
    theta, (kernel, _) = np.asarray(problem.theta), all_points(problem)
    noisy, damped = np.asarray(problem.noisy), theta + ridge * np.eye(len(theta))
    teacher = theta @ np.linalg.solve(damped, noisy)
    return kernel @ np.linalg.solve(damped, (1 - weight) * noisy + weight * teacher)


def stopped_student(problem: Problem, steps: float, weight: float) -> np.ndarray:
    """The same with plain steps of teacher and student in place of the penalty."""
    theta, (kernel, _) = np.asarray(problem.theta), all_points(problem)

    def dual(labels: Targets) -> Targets:
        c = np.zeros_like(labels)
        for _ in range(int(steps)):
            c = c - problem.learning_rate * (theta @ c - labels)
        return c

    noisy = np.asarray(problem.noisy)
    return kernel @ dual((1 - weight) * noisy + weight * (theta @ dual(noisy)))


def risk(outputs: Outputs | np.ndarray, targets: Targets) -> float:
    """The mean square distance."""
    return float(np.mean((np.asarray(outputs) - np.asarray(targets)) ** 2))
