"""Section 4: early stopping is right in 0–1 loss and wrong in ℓ2."""

import numpy as np

from ntk_air.claims.claim import Claim, DoesNotApply, Measurement, agreement
from ntk_air.claims.runs import exact, stepped
from ntk_air.dynamics.filters.spectral import GradientDescent
from ntk_air.dynamics.predictions.distance import clustered_floor
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.supervision import plain_descent
from ntk_air.problem import Problem

PAPER = "Dong et al. 2019 (P4); Li, Soltanolkotabi, Oymak 2019"
LOG_TIMES = (0.0, *np.unique(np.round(np.geomspace(1, 1e8, 400))))


def distance_formula(problem: Problem, *, with_noise: bool = True) -> Measurement:
    """n·d² = ‖(I − G)y − Gξ‖² by matrix powers against the distance of plain steps."""
    steps = 300
    identity = np.eye(problem.dataset.n_train)
    decay = np.linalg.matrix_power(
        identity - problem.learning_rate * np.asarray(problem.theta), steps
    )
    difference = decay @ problem.clean
    if with_noise:
        difference = difference - (identity - decay) @ problem.noise
    predicted = float(np.linalg.norm(difference)) / problem.dataset.n_train**0.5
    run = stepped(problem, plain_descent(), [float(steps)])
    return agreement(predicted, float(run.last().train.rms_distance), tolerance=1e-9)


def floor(problem: Problem, *, isotropic: bool = False) -> Measurement:
    """The best distance over all times against the floor of the labels as drawn."""
    predicted = predicted_floor(problem)
    if isotropic:
        problem = problem.with_kernel(np.eye(problem.dataset.n_train))
        # One step would retrieve everything: go slowly through all that lies between.
        run = exact(problem, GradientDescent(0.01), [float(step) for step in range(1000)])
    else:
        run = descent(problem)
    return agreement(predicted, float(run.best().train.rms_distance), tolerance=0.01)


def right_signs(problem: Problem, *, at_end: bool = False) -> Measurement:
    """The zero–one error where the distance is least: none."""
    predicted_floor(problem)
    run = descent(problem)
    snapshot = run.last() if at_end else run.best()
    return agreement(0.0, float(snapshot.train.zero_one_error), tolerance=0.0)


def memorisation(problem: Problem, *, at_best: bool = False) -> Measurement:
    """The distance in the end against ‖ξ‖/√n."""
    if problem.spectrum.n_below_precision:
        raise DoesNotApply(
            f"{problem.spectrum.n_below_precision} modes below precision are never retrieved"
        )
    times = [*LOG_TIMES, 1e15]
    run = exact(problem, GradientDescent(problem.learning_rate), times)
    snapshot = run.best() if at_best else run.last()
    return agreement(problem.noise_rms, float(snapshot.train.rms_distance), tolerance=1e-3)


def descent(problem: Problem) -> Trajectory:
    """Gradient descent at times from 1 to 10⁸ steps."""
    return problem.remember(
        "descent", lambda: exact(problem, GradientDescent(problem.learning_rate), LOG_TIMES)
    )


def predicted_floor(problem: Problem) -> float:
    """The floor on clusters, where its premises hold, such as the same share flipped in each."""
    groups = problem.dataset.groups
    if groups is None:
        raise DoesNotApply("the inputs are not in clusters with constant labels")
    flipped = problem.dataset.noisy_labels != problem.dataset.clean_labels
    shares = {float(np.mean(flipped[groups == group])) for group in np.unique(groups)}
    if len(shares) > 1:
        raise DoesNotApply("the share of flipped labels differs between clusters")
    scale = problem.label_noise.signal_scale(problem.dataset.n_classes)
    if scale is None:
        raise DoesNotApply(f"{problem.label_noise.kind} noise has no s with E[ỹ | y] = s·y")
    gap = problem.spectrum.eigenvalues[len(np.unique(groups)) - 1 : len(np.unique(groups)) + 1]
    if gap[0] < 20 * gap[1]:
        raise DoesNotApply(f"no gap behind the clusters: λ_K/λ_{{K+1}} = {gap[0] / gap[1]:.3g}")
    if scale <= 0:
        raise DoesNotApply(f"s = {scale:.3g}: the labels' majority is wrong")
    return clustered_floor(problem.spectrum, problem.clean, problem.noisy, groups)


CLAIMS = (
    Claim(
        name="4a",
        statement="n·d(t)² = ‖(I − G)y − Gξ‖² for f_0 = 0",
        source="docs/theory.md, section 4",
        method="matrix powers of I − ηΘ against 300 plain steps",
        control="the formula without noise",
        measure=distance_formula,
        measure_control=lambda problem: distance_formula(problem, with_noise=False),
    ),
    Claim(
        name="4b",
        statement="On clusters the best early stopping stays (1 − s)‖y_i‖ from the clean labels",
        source=PAPER,
        method="(1 − s)‖y_i‖ of the labels as drawn against the least distance over all times",
        control="an isotropic kernel",
        measure=floor,
        measure_control=lambda problem: floor(problem, isotropic=True),
    ),
    Claim(
        name="4c",
        statement="There every label has the right sign: the zero–one error is 0",
        source=PAPER,
        method="zero–one error at the time of least distance",
        control="the error in the end, when noise is memorised",
        measure=right_signs,
        measure_control=lambda problem: right_signs(problem, at_end=True),
    ),
    Claim(
        name="4d",
        statement="In the end descent memorises the noise: d → ‖ξ‖/√n",
        source=PAPER,
        method="‖ξ‖/√n against the distance after 10¹⁵ steps",
        control="the least distance over all times",
        measure=memorisation,
        measure_control=lambda problem: memorisation(problem, at_best=True),
    ),
)
