"""Distillation by the backward pass: samples where teacher and student differ most."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from ntk_air.claims.comparison import Measurement, agreement, array_agreement, at_least, claim
from ntk_air.claims.neighbours.premises import (
    EXACT,
    Population,
    gaussian_kernel,
    population,
    random_function,
    relu_kernel,
    require_inverse,
)
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.problem import Problem

SOURCE = "Jafari, Rezagholizadeh, Ghodsi 2023; docs/theory.md, 11-jafari"
N_SAMPLES, N_DRAWS, REACH = 20, 12, 3.0
N_POINTS, N_CENTRES, DIMENSION = 40, 200, 8
NEAR, SMALL, TINY = 0.05, 1e-3, 1e-5

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


@claim(
    "11-jafari",
    "A new sample z takes δ(z)²/σ²(z) off ‖teacher − student‖² in the kernel's space",
    source=SOURCE,
    control=("the gain δ(z)²/Θ(z, z), which forgets what is known already", {"prior": True}),
)
def one_sample(problem: Problem, *, prior: bool = False) -> Measurement:
    """Formula against refits with one of 20 samples each, norms from coefficients.

    The student has converged on the teacher's outputs at half of the training inputs; the teacher
    is any function in the kernel's space, δ their difference, σ²(z) = Θ(z, z) − Θ_zΘ⁻¹Θ_zᵀ. So the
    sample to ascend to is that of the largest |δ|/σ, not of the largest |δ|.
    """
    require_inverse(problem)
    world, teacher = population(problem), random_function(problem)
    before = squared_distance(world, world.rows, teacher)
    added = world.others[:N_SAMPLES]
    outputs = world.theta @ teacher
    unknown = outputs - world.cross @ np.linalg.solve(world.train, outputs[world.rows])
    known = np.linalg.solve(world.train, world.cross.T)
    spread = np.diag(world.theta)
    if not prior:
        spread = spread - np.sum(world.cross * known.T, axis=1)
    predicted = np.sum(unknown**2, axis=1)[added] / spread[added]
    refits = [squared_distance(world, np.append(world.rows, each), teacher) for each in added]
    # The gain is a difference of two norms: its digits are those of the norms.
    return array_agreement(before - predicted[:, None], np.array(refits)[:, None], tolerance=EXACT)


@claim(
    "11-jafari-many",
    "Many samples take δ_Zᵀ S⁻¹ δ_Z off it, S their covariance given what is known",
    source=SOURCE,
    control=("the sum of each sample's own gain", {"alone": True}),
)
def many_samples(problem: Problem, *, alone: bool = False) -> Measurement:
    """Formula against a refit with 20 samples, norms from coefficients."""
    require_inverse(problem)
    world, teacher = population(problem), random_function(problem)
    added = world.others[:N_SAMPLES]
    outputs, cross = world.theta @ teacher, world.cross[added]
    unknown = outputs[added] - cross @ np.linalg.solve(world.train, outputs[world.rows])
    covariance = world.theta[np.ix_(added, added)] - cross @ np.linalg.solve(world.train, cross.T)
    if alone:
        covariance = np.diag(np.diag(covariance))
    before = squared_distance(world, world.rows, teacher)
    predicted = before - float(np.sum(unknown * np.linalg.solve(covariance, unknown)))
    measured = squared_distance(world, np.concatenate([world.rows, added]), teacher)
    return agreement(predicted, measured, tolerance=EXACT)


@claim(
    "11-jafari-step",
    "From a training point δ(x + τu) = τ u·∇δ(x) + O(τ²), of kernels that are smooth there",
    source=SOURCE,
    control=(
        "a ReLU network's kernel, which has a kink there",
        {"kernel": relu_kernel},
    ),
)
def first_order(problem: Problem, *, kernel: Kernel = gaussian_kernel) -> Measurement:
    """The order at which δ less its first-order term vanishes, from two steps, against 2.

    Points on the sphere in 8 dimensions, u = ∇δ/‖∇δ‖. The gradient must be that of δ: ½δ² has none
    at points that the student interpolates. The ReLU kernel falls linearly with the distance, δ is
    then not differentiable at training points, and the order is 1.
    """
    task = sphere_task(problem.seed, kernel)
    slopes = task.slopes()
    sizes = np.linalg.norm(slopes, axis=1)

    def remainder(step: float) -> float:
        there = task.difference(task.inputs + step * slopes / sizes[:, None])
        return float(np.linalg.norm(there - step * sizes))

    order = np.log2(remainder(2 * SMALL) / remainder(SMALL))
    # What is left out is a third derivative: a share of the order of the step, times ln 2.
    return agreement(2.0, float(order), tolerance=0.02)


@claim(
    "11-jafari-gradient",
    "Close to the training points, samples along ∇δ teach more than samples in random directions",
    source=SOURCE,
    control=("directions at right angles to ∇δ", {"direction": "across"}),
)
def along_the_gradient(problem: Problem, *, direction: str = "gradient") -> Measurement:
    """How much less is left of ‖δ‖², in standard errors over 12 draws, against 3; τ = 0.05."""
    return paired(problem, direction, "random")


@claim(
    "11-jafari-fresh",
    "Fresh inputs teach more than samples along ∇δ near the training points, of a ReLU kernel",
    source=SOURCE,
    control=(
        "a smooth kernel: a near sample is a derivative",
        {"kernel": gaussian_kernel},
    ),
)
def fresh_inputs(problem: Problem, *, kernel: Kernel = relu_kernel) -> Measurement:
    """How much less is left of ‖δ‖², in standard errors over 12 draws, against 3; τ = 0.05."""
    return paired(problem, "fresh", "gradient", kernel=kernel)


def squared_distance(world: Population, rows: np.ndarray, teacher: np.ndarray) -> float:
    """‖f_T − f_S‖² in the kernel's space, the student converged on the teacher at some rows."""
    away = teacher.copy()
    theta = world.theta
    away[rows] -= np.linalg.solve(theta[np.ix_(rows, rows)], theta[rows] @ teacher)
    return float(np.sum(away * (theta @ away)))


@dataclasses.dataclass(frozen=True)
class Task:
    """A teacher in a kernel's space, and the student that has converged on its outputs.

    Attributes:
        kernel: kernel of both.
        inputs: training inputs, on the unit sphere.
        centres: points whose kernels the teacher is made of.
        coefficients: the teacher's, (n_centre, 1).
    """

    kernel: Kernel
    inputs: np.ndarray
    centres: np.ndarray
    coefficients: np.ndarray

    @functools.cached_property
    def student(self) -> np.ndarray:
        """The student's dual variables."""
        return np.linalg.solve(self.kernel(self.inputs, self.inputs), self.teacher(self.inputs))

    def teacher(self, at: np.ndarray) -> np.ndarray:
        """The teacher's outputs, (n, 1)."""
        return self.kernel(at, self.centres) @ self.coefficients

    def difference(self, at: np.ndarray) -> np.ndarray:
        """δ, teacher less student, (n,)."""
        return (self.teacher(at) - self.kernel(at, self.inputs) @ self.student)[:, 0]

    def slopes(self) -> np.ndarray:
        """∇δ at the training inputs, by central differences: at a kink the mean of both sides."""
        moves = TINY * np.concatenate([np.eye(DIMENSION), -np.eye(DIMENSION)])
        around = (self.inputs[:, None, :] + moves).reshape(-1, DIMENSION)
        above, below = np.split(self.difference(around).reshape(N_POINTS, -1), 2, axis=1)
        return (above - below) / (2 * TINY)

    def left(self, samples: np.ndarray) -> float:
        """The share of ‖δ‖² that is left by a student who learns these samples, too."""
        after = self._unknown(np.concatenate([self.inputs, samples]))
        return after / self._unknown(self.inputs)

    def _unknown(self, at: np.ndarray) -> float:
        """‖f_T − f_S‖²: ‖f_T‖² less what its values at these inputs determine."""
        outputs = self.teacher(at)
        known = np.sum(outputs * np.linalg.solve(self.kernel(at, at), outputs))
        whole = self.coefficients * self.teacher(self.centres)
        return float(np.sum(whole) - known)


def sphere_task(seed: int, kernel: Kernel) -> Task:
    """40 training inputs and a teacher of 200 centres, on the unit sphere in 8 dimensions."""
    rng = generator(seed, "backward pass")
    points = normal_numbers(rng, (N_POINTS + N_CENTRES, DIMENSION))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    coefficients = normal_numbers(rng, (N_CENTRES, 1)) / N_CENTRES
    return Task(kernel, points[:N_POINTS], points[N_POINTS:], coefficients)


def paired(problem: Problem, one: str, other: str, *, kernel: Kernel = relu_kernel) -> Measurement:
    """How much less one way of making samples leaves than another, in standard errors."""
    less = []
    for seed in range(problem.seed, problem.seed + N_DRAWS):
        task = sphere_task(seed, kernel)
        less.append(task.left(samples(task, other, seed)) - task.left(samples(task, one, seed)))
    return at_least(REACH, float(np.mean(less) / (np.std(less, ddof=1) / N_DRAWS**0.5)))


def samples(task: Task, way: str, seed: int) -> np.ndarray:
    """A sample for each training input: τ along ∇δ, across it or anywhere, or a fresh one."""
    ways = normal_numbers(generator(seed, "directions"), task.inputs.shape)
    if way in ("gradient", "across"):
        slopes = task.slopes()
        along = np.sum(ways * slopes, axis=1, keepdims=True)
        across = ways - along / np.sum(slopes**2, axis=1, keepdims=True) * slopes
        ways = slopes if way == "gradient" else across
    ways = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    return ways if way == "fresh" else task.inputs + NEAR * ways
