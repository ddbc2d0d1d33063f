"""Section 7: networks of finite width come to their kernel as m^−½."""

import dataclasses
import math
from collections.abc import Callable

import jax
import numpy as np

from ntk_air.claims.comparison import DoesNotApply, Measurement, at_most, claim
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.supervision import Power, Sharpened, Supervision, plain_descent
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.networks.models.dense import DenseNetwork
from ntk_air.networks.studies.finite_width import (
    PowerLaw,
    WidthRun,
    compare_with_kernel,
    fit_power_law,
    network_problem,
)
from ntk_air.problem import Labels, Problem

SOURCE = "theory.md section 7; Jacot et al. 2018; Lee et al. 2019"
WIDTHS = (64, 256, 1024)
N_SEEDS = 5
N_INPUTS = 80
EARLY = (0, 1, 2, 5, 10)
LATER = (*EARLY, 20, 50, 100)
DEPTHS = (2, 3)
# Standard errors: at 13 degrees of freedom a true slope lies outside once in 250 times.
REACH = 3.5


@dataclasses.dataclass(frozen=True)
class Runs:
    """Networks of all widths and seeds, one entry a run."""

    widths: np.ndarray
    runs: list[WidthRun]

    def law(self, value: Callable[[WidthRun], float]) -> PowerLaw:
        """How a value falls with the width."""
        return fit_power_law(self.widths, np.array([value(run) for run in self.runs]))


@claim(
    "7a",
    "The kernel's relative distance from its limit falls as m^−½ with the width",
    source=SOURCE,
    control=("distance from a kernel 1.5 times the limit", {"kernel_factor": 1.5}),
)
def kernel_distance(problem: Problem, *, kernel_factor: float = 1.0) -> Measurement:
    """Slope over widths 64, 256 and 1,024, 5 seeds each, within 3.5 standard errors."""
    runs = descent(problem) if kernel_factor == 1 else trained(problem, kernel_factor=kernel_factor)
    return slope_of_half(runs.law(lambda run: run.kernel_distance))


@claim(
    "7b",
    "The kernel's drift in training falls at least as fast as m^−½",
    source=SOURCE,
    control=("labels that grow as √m", {"labels_grow": True}),
)
def kernel_drift(problem: Problem, *, labels_grow: bool = False) -> Measurement:
    """Upper end of the 95 % interval of the slope, 10 steps of gradient descent."""
    runs = descent_on_grown_labels(problem) if labels_grow else descent(problem)
    return at_most(-0.5, runs.law(lambda run: run.kernel_drift).high, rate_in="m")


@claim(
    "7c",
    "Under gradient descent sup_t ‖f_network − f_kernel‖ falls as m^−½",
    source=SOURCE,
    control=("labels that grow as √m", {"labels_grow": True}),
)
def descent_gap(problem: Problem, *, labels_grow: bool = False) -> Measurement:
    """Slope over widths and seeds, within 3.5 standard errors, 10 steps."""
    runs = descent_on_grown_labels(problem) if labels_grow else descent(problem)
    return slope_of_half(runs.law(lambda run: float(run.function_gap[-1])))


@claim(
    "7d",
    "Under self-distillation with sharpened labels that gap falls as m^−½ too",
    source="theory.md section 7",
    control=("networks trained at half the kernel's learning rate", {"rate_factor": 0.5}),
)
def self_distillation_gap(problem: Problem, *, rate_factor: float = 1.0) -> Measurement:
    """Slope over widths and seeds, within 3.5 standard errors, 100 steps."""
    supervision = Supervision(Sharpened(0.3), Power(1.5, scale=10.0), warm_up=10)
    runs = trained(problem, supervision, times=LATER, rate_factor=rate_factor)
    return slope_of_half(runs.law(lambda run: float(run.function_gap[-1])))


def slope_of_half(law: PowerLaw) -> Measurement:
    """A slope is −½ within 3.5 of its own standard errors."""
    error, reach = abs(law.slope + 0.5), REACH * law.standard_error
    return Measurement(-0.5, law.slope, error, reach, sign="→", rate_in="m")


def descent(problem: Problem) -> Runs:
    """Gradient descent, trained once for all claims."""
    return problem.remember("finite_width_descent", lambda: trained(problem))


def descent_on_grown_labels(problem: Problem) -> Runs:
    """Labels that grow as √m: the networks leave the kernel regime as they do in mean field."""
    return problem.remember("finite_width_grown", lambda: trained(problem, labels_grow=True))


def trained(
    problem: Problem,
    supervision: Supervision | None = None,
    *,
    times: tuple[int, ...] = EARLY,
    kernel_factor: float = 1.0,
    rate_factor: float = 1.0,
    labels_grow: bool = False,
) -> Runs:
    """Networks of every width and seed beside the kernel, on a share of the inputs."""
    depth = depth_of(problem)
    rows = np.linspace(0, problem.dataset.n_train - 1, min(N_INPUTS, problem.dataset.n_train))
    rows = rows.round().astype(int)
    theta = kernel_factor * np.asarray(problem.theta)[np.ix_(rows, rows)]
    noisy = np.asarray(problem.noisy)[rows]
    largest = float(np.linalg.eigvalsh(theta)[-1])
    widths, runs = np.repeat(np.array(WIDTHS, float), N_SEEDS), []
    for index, width in enumerate(widths.astype(int).tolist()):
        growth = math.sqrt(width / WIDTHS[0]) if labels_grow else 1.0
        labels = Labels(noisy * growth)
        start = network_problem(
            DenseNetwork((width,) * (depth - 1), n_out=noisy.shape[1]),
            jax.random.fold_in(jax.random.key(problem.seed), index),
            problem.dataset.inputs[rows].astype(theta.dtype),
            labels,
        )
        run = compare_with_kernel(
            start,
            Problem(labels, theta).with_largest_eigenvalue(largest),
            plain_descent() if supervision is None else supervision,
            times,
            descent=Descent(problem.learning_rate),
            rate_factor=rate_factor,
        )
        runs.append(run)
    return Runs(widths, runs)


def depth_of(problem: Problem) -> int:
    """The depth of the dense ReLU network whose kernel the problem has."""
    rows = slice(0, 10)
    given = np.asarray(problem.theta)[rows, rows]
    for depth in DEPTHS:
        kernel = DenseNTK(depth=depth)(problem.dataset.inputs[rows].astype(given.dtype))
        if np.allclose(kernel, given, rtol=1e-5):
            return depth
    raise DoesNotApply("the kernel is not that of a dense ReLU network of depth 2 or 3, no biases")
