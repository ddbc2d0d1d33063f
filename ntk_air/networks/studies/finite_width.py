"""How far a finite network is from its kernel regime, and how that falls with the width."""

import math

import equinox as eqx
import numpy as np
from jaxtyping import Float, PRNGKeyArray, Shaped
from scipy.special import stdtrit

from ntk_air._base.checks import check_finite, check_inputs
from ntk_air._base.typing import AnyArray, Curve, Inputs
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.inputs import Steps
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import Supervision
from ntk_air.kernels.empirical import empirical_ntk
from ntk_air.networks.models.layers import FiniteNetwork
from ntk_air.networks.training.network_problem import NetworkProblem
from ntk_air.networks.training.train import train
from ntk_air.networks.training.train_step import TrainingState
from ntk_air.problem import Labels, Problem


class PowerLaw(eqx.Module):
    """value ≈ exp(intercept) · widthˢ, fitted by least squares of the logarithms.

    Attributes:
        slope: exponent s.
        standard_error: standard error of the slope.
        low: lower end of the slope's 95 % confidence interval.
        high: upper end of that interval.
        intercept: logarithm of the fitted value at width 1.
    """

    slope: float
    standard_error: float
    low: float
    high: float
    intercept: float

    def at(self, widths: Float[AnyArray, " n_widths"]) -> Float[np.ndarray, " n_widths"]:
        """The fitted value at each width."""
        return np.exp(self.intercept) * np.asarray(widths) ** self.slope


class WidthRun(eqx.Module):
    """One network trained beside the kernel it is to follow; norms are Frobenius norms.

    Attributes:
        kernel_distance: ‖Θ_m − Θ_∞‖/‖Θ_∞‖ at initialisation.
        kernel_drift: ‖Θ_m(t) − Θ_m(0)‖/‖Θ_m(0)‖ at the end.
        function_gap: ‖f_network − f_kernel‖/√n at its largest up to each recorded step, (n_time,).
        network: the trained network's trajectory, outputs kept.
        kernel: the kernel's, under the same supervision from the same f_0 = 0.
    """

    kernel_distance: float
    kernel_drift: float
    function_gap: Curve
    network: Trajectory
    kernel: Trajectory


def fit_power_law(
    widths: Float[AnyArray, " n_runs"], values: Float[AnyArray, " n_runs"]
) -> PowerLaw:
    """Fit the slope over all widths and seeds, one entry a run.

    The interval is Student's, of independent and equal errors of the logarithms.

    Raises:
        ValueError: fewer than three runs, one width alone, or entries that are not above 0.
    """
    widths, values = np.asarray(widths, float), np.asarray(values, float)
    for name, array in (("widths", widths), ("values", values)):
        check_finite(name, array)
        if not (array > 0).all():
            raise ValueError(f"{name} must be above 0; the least is {array.min():g}")
    if len(widths) < 3 or len(np.unique(widths)) < 2:
        raise ValueError(
            f"widths must be of at least 3 runs of 2 widths; got {sorted(widths.tolist())}"
        )
    x, y = np.log(widths), np.log(values)
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    intercept = float(y.mean() - slope * x.mean())
    freedom = len(x) - 2
    residual = y - intercept - slope * x
    error = math.sqrt(float(residual @ residual) / freedom / float(centred @ centred))
    reach = float(stdtrit(freedom, 0.975)) * error
    return PowerLaw(slope, error, slope - reach, slope + reach, intercept)


def network_problem(
    network: FiniteNetwork,
    key: PRNGKeyArray | Shaped[AnyArray, "2"],
    inputs: Inputs,
    labels: Labels,
) -> NetworkProblem:
    """A network that can be compared with the limit of its kernel, trained from f_0 = 0.

    Args:
        network: network in NTK parametrisation.
        key: PRNG key that draws its parameters.
        inputs: training inputs, (n_train, *features).
        labels: labels of the training inputs.

    Returns:
        The network at its start; its own f_0 is subtracted.

    Raises:
        ValueError: for a network in standard parametrisation, whose kernel has no limit.
    """
    if network.parametrisation != "ntk":
        raise ValueError(
            "network must be in NTK parametrisation, whose kernel has a limit; "
            f"got {network.parametrisation!r}"
        )
    check_inputs("inputs", inputs)
    params = network.init(key, math.prod(inputs.shape[1:]))
    return NetworkProblem(network.apply, params, inputs, labels, subtract_initial=True)


def compare_with_kernel(
    problem: NetworkProblem,
    kernel: Problem,
    supervision: Supervision,
    times: Steps,
    *,
    descent: Descent,
    rate_factor: float = 1.0,
) -> WidthRun:
    """Train one network of finite width and compare it with Θ_∞ (theory.md section 7).

    Both follow full-batch gradient descent on the square loss, a sum over examples, from f_0 = 0.

    Args:
        problem: network at its start, in NTK parametrisation, its own f_0 subtracted.
        kernel: kernel Θ_∞ on the training inputs, with the same labels.
        supervision: label function × weight × teacher.
        times: steps that are recorded, and that the gap is the largest over.
        descent: descent of both, its rate relative to λ₁ of Θ_∞ or absolute.
        rate_factor: the network's η over the kernel's; other than 1 in negative controls alone.

    Returns:
        Both trajectories, and how far apart they are.

    Raises:
        ValueError: for what cannot be trained on, and for runs that do not come to the same steps.
    """
    rate = descent.absolute_rate(largest_eigenvalue=kernel.largest_eigenvalue)
    faster = Descent(rate * rate_factor, momentum=descent.momentum)
    trained = train(problem, supervision, times, faster, store_at=times)
    followed = solve(kernel, supervision, times, Stepwise(), descent=descent, store_at=times)
    state = trained.final.resume
    assert isinstance(state, TrainingState)  # train makes no other
    before, after = (
        empirical_ntk(problem.apply_fn, at, problem.inputs) for at in (problem.params, state.params)
    )
    return WidthRun(
        kernel_distance=_relative(before, kernel.theta),
        kernel_drift=_relative(after, before),
        function_gap=function_gap(trained, followed),
        network=trained,
        kernel=followed,
    )


def function_gap(network: Trajectory, kernel: Trajectory) -> Curve:
    """sup_{s ≤ t} ‖f_network − f_kernel‖_F/√n at each step t that both have kept, (n_time,).

    Raises:
        ValueError: outputs were not kept, or at other steps, as where a run diverged.
    """
    if network.stored is None or kernel.stored is None:
        raise ValueError("both trajectories must have kept outputs: give store_at")
    if not np.array_equal(network.stored.times, kernel.stored.times):
        raise ValueError(
            "both trajectories must have kept the same steps; "
            + ("; ".join((*network.notes, *kernel.notes)) or "got others")
        )
    difference = np.asarray(network.stored.train) - np.asarray(kernel.stored.train)
    gaps = np.linalg.norm(difference, axis=(1, 2)) / math.sqrt(difference.shape[1])
    return np.maximum.accumulate(gaps)


def _relative(matrix: AnyArray, reference: AnyArray) -> float:
    reference = np.asarray(reference)
    return float(np.linalg.norm(np.asarray(matrix) - reference) / np.linalg.norm(reference))
