"""Section 4: early stopping is right in 0–1 loss and wrong in ℓ2."""

import numpy as np

from ntk_air.claims.comparison import DoesNotApply, Measurement, agreement, claim, tends_to
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.predictions.distance import clustered_floor
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.problem import Problem

PAPER = "Dong et al. 2019 (P4); Li, Soltanolkotabi, Oymak 2019"
LOG_TIMES = (0.0, *np.unique(np.round(np.geomspace(1, 1e8, 400))))


@claim(
    "4a",
    "n·d(t)² = ‖(I − G)y − Gξ‖² for f_0 = 0",
    source="docs/theory.md, section 4",
    control=("the formula without noise", {"with_noise": False}),
)
def distance_formula(problem: Problem, *, with_noise: bool = True) -> Measurement:
    """Matrix powers of I − ηΘ against 300 plain steps."""
    steps = 300
    identity = np.eye(problem.dataset.n_train)
    decay = np.linalg.matrix_power(
        identity - problem.learning_rate * np.asarray(problem.theta), steps
    )
    difference = decay @ problem.clean
    if with_noise:
        difference = difference - (identity - decay) @ problem.noise
    predicted = float(np.linalg.norm(difference)) / problem.dataset.n_train**0.5
    run = solve(problem, Descent(), [steps], Stepwise())
    return agreement(predicted, float(run.last().train.rms_distance), tolerance=1e-9)


@claim(
    "4b",
    "On clusters the best early stopping stays (1 − s)‖y_i‖ from the clean labels",
    source=PAPER,
    control=("an isotropic kernel", {"isotropic": True}),
)
def floor(problem: Problem, *, isotropic: bool = False) -> Measurement:
    """(1 − s)‖y_i‖ of the labels as drawn against the least distance over all times."""
    predicted = predicted_floor(problem)
    if isotropic:
        problem = problem.with_kernel(np.eye(problem.dataset.n_train))
        # One step would retrieve everything: go slowly through all that lies between.
        run = solve(problem, Descent(0.01), range(1000), ClosedForm())
    else:
        run = descent(problem)
    return agreement(predicted, float(run.best().train.rms_distance), tolerance=0.01)


@claim(
    "4c",
    "There every label has the right sign: the zero–one error is 0",
    source=PAPER,
    control=("the error in the end, when noise is memorised", {"at_end": True}),
)
def right_signs(problem: Problem, *, at_end: bool = False) -> Measurement:
    """Zero–one error at the time of least distance."""
    predicted_floor(problem)
    run = descent(problem)
    snapshot = run.last() if at_end else run.best()
    return agreement(0.0, float(snapshot.train.zero_one_error), tolerance=0.0)


@claim(
    "4d",
    "In the end descent memorises the noise: d → ‖ξ‖/√n",
    source=PAPER,
    control=("the least distance over all times", {"at_best": True}),
)
def memorisation(problem: Problem, *, at_best: bool = False) -> Measurement:
    """‖ξ‖/√n against the distance after 10¹⁵ steps."""
    if problem.spectrum.n_below_precision:
        raise DoesNotApply(
            f"{problem.spectrum.n_below_precision} modes below precision are never retrieved"
        )
    run = solve(problem, Descent(), [*LOG_TIMES, 1e15], ClosedForm())
    snapshot = run.best() if at_best else run.last()
    return tends_to(problem.noise_rms, float(snapshot.train.rms_distance), tolerance=1e-3)


def descent(problem: Problem) -> Trajectory:
    """Gradient descent at times from 1 to 10⁸ steps."""
    return problem.remember("descent", lambda: solve(problem, Descent(), LOG_TIMES, ClosedForm()))


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
