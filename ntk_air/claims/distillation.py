"""Section 5: distillation is early stopping, and self-distillation without a label function too."""

import numpy as np

from ntk_air._base.typing import Targets
from ntk_air.claims.comparison import DoesNotApply, Measurement, array_agreement, claim
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.filters.distillation import (
    DistillationRounds,
    LastEpochTeacher,
    RestartedStudent,
    StoppedTeacher,
)
from ntk_air.dynamics.filters.scheduled import IdentityDistillation
from ntk_air.dynamics.filters.spectral import GradientDescent
from ntk_air.dynamics.method import Rule
from ntk_air.dynamics.predictions.interpolant import interpolant
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import (
    Constant,
    Geometric,
    Identity,
    LastEpoch,
    Pretrained,
    Restart,
    Supervision,
)
from ntk_air.problem import Problem

PAPER = "Dong et al. 2019 (P2)"
TEACHER_STEPS = 200.0
TIMES = (1.0, 10.0, 100.0, 400.0, 1000.0)
EPOCH, WEIGHT = 50, 0.3
EXACT = 1e-9


@claim(
    "5a",
    "A converged student of a stopped teacher is that teacher, on every input",
    source=PAPER,
    control=("a teacher stopped at twice the time", {"later": True}),
)
def converged_student(problem: Problem, *, later: bool = False) -> Measurement:
    """The teacher's held-out outputs against a solve with Θ for its training outputs."""
    if problem.held_out is None:
        raise DoesNotApply("the data set has no held-out inputs")
    if problem.spectrum.n_below_precision:
        raise DoesNotApply(
            f"{problem.spectrum.n_below_precision} modes below precision: no interpolant"
        )
    times = (TEACHER_STEPS, 2 * TEACHER_STEPS)
    teacher = solve(problem, Descent(), times, ClosedForm(), store_at=times).kept()
    assert teacher.held_out is not None  # by the first premise
    student = interpolant(problem.theta, problem.held_out.cross_kernel, teacher.train[0])
    return array_agreement(teacher.held_out[1 if later else 0], student, tolerance=1e-6)


@claim(
    "5b",
    "A converged teacher passes on nothing: its student is plain training on ỹ",
    source=PAPER,
    control=("a teacher stopped early", {"teacher_steps": TEACHER_STEPS}),
)
def converged_teacher(problem: Problem, *, teacher_steps: float = np.inf) -> Measurement:
    """Closed form of plain descent against plain steps of the student."""
    if problem.spectrum.n_below_precision and not np.isfinite(teacher_steps):
        raise DoesNotApply(
            f"{problem.spectrum.n_below_precision} modes below precision: no teacher converges"
        )
    last = teacher_steps if np.isfinite(teacher_steps) else 1e18
    taught = solve(problem, Descent(), [last], ClosedForm()).final.predictions
    return compare(problem, Descent(), student_of(taught), tolerance=1e-6)


@claim(
    "5c",
    "A student stopped at t on a teacher stopped at T has the filter g_t·g_T",
    source=PAPER,
    control=("the filter of plain descent", {"plain": True}),
)
def stopped_student(problem: Problem, *, plain: bool = False) -> Measurement:
    """Closed form against plain steps of teacher and student."""
    descent = GradientDescent(problem.learning_rate)
    teacher = solve(problem, Descent(), [TEACHER_STEPS], Stepwise())
    predicted = descent if plain else StoppedTeacher(descent, teacher_steps=TEACHER_STEPS)
    return compare(problem, predicted, student_of(teacher.final.predictions))


@claim(
    "5c-rounds",
    "R rounds of T steps have the filter g_Tᴿ: small modes vanish first",
    source="Mobahi et al. 2020; docs/theory.md, 5c",
    control=("three rounds", {"n_rounds": 3}),
)
def rounds(problem: Problem, *, n_rounds: int = 4) -> Measurement:
    """Closed form against four rounds of plain steps."""
    outputs = problem.noisy
    for _ in range(n_rounds):
        run = solve(problem, student_of(outputs), [TEACHER_STEPS], Stepwise())
        outputs = run.final.predictions
    descent = GradientDescent(problem.learning_rate)
    rule = DistillationRounds(descent, round_steps=int(TEACHER_STEPS))
    predicted = solve(problem, rule, [4 * TEACHER_STEPS], ClosedForm()).final.predictions
    return array_agreement(predicted, outputs, tolerance=EXACT)


@claim(
    "5d",
    "Self-distillation with the identity is plain descent on another clock",
    source="docs/theory.md, 5d",
    control=("plain descent on its own clock", {"plain": True}),
)
def other_clock(problem: Problem, *, plain: bool = False) -> Measurement:
    """Π(I − ηα_sΘ) r_0 against 1,000 plain steps."""
    supervision = Supervision(Identity(), Geometric(0.99))
    weights = np.asarray(supervision.weights(np.arange(int(TIMES[-1]))))
    rule = Descent() if plain else IdentityDistillation(problem.learning_rate, weights)
    return compare(problem, rule, supervision)


@claim(
    "5d-sum",
    "With Σα_t finite it never memorises: early stopping and nothing more",
    source="docs/theory.md, 5d",
    control=("a constant weight", {"constant": True}),
)
def never_memorises(problem: Problem, *, constant: bool = False) -> Measurement:
    """Product over 5,000 weights in the eigenbasis against plain steps."""
    decay = 0.99
    schedule = Constant(0.5) if constant else Geometric(decay)
    measured = solve(problem, Supervision(Identity(), schedule), [5000], Stepwise())
    weights = decay ** np.arange(5000)
    modes = np.asarray(problem.spectrum.eigenvalues)
    rates = problem.learning_rate * np.maximum(modes, 0)
    left = np.exp(np.sum(np.log1p(-weights[:, None] * np.minimum(rates, 1 - 1e-16)), axis=0))
    vectors = np.asarray(problem.spectrum.eigenvectors)
    predicted = vectors @ ((1 - left)[:, None] * (vectors.T @ problem.noisy))
    return array_agreement(predicted, measured.final.predictions, tolerance=1e-8)


@claim(
    "5e",
    "With the last epoch as teacher the residual is (I − αM)ᵉ r_0",
    source="docs/theory.md, 5e",
    control=("the closed form of a student that restarts", {"restarted": True}),
)
def last_epoch(problem: Problem, *, restarted: bool = False) -> Measurement:
    """Closed form against 1,000 plain steps."""
    rule = RestartedStudent if restarted else LastEpochTeacher
    supervision = Supervision(Identity(), Constant(WEIGHT), LastEpoch(EPOCH))
    return compare(problem, rule(problem.learning_rate, EPOCH, WEIGHT), supervision)


@claim(
    "5e-restart",
    "A student that restarts each epoch tends to the filter αM/(I − (1 − α)M)",
    source="docs/theory.md, 5e; Borup, Andersen 2021",
    control=("the closed form of a student that goes on", {"goes_on": True}),
)
def restart(problem: Problem, *, goes_on: bool = False) -> Measurement:
    """Closed form against 1,000 plain steps."""
    rule = LastEpochTeacher if goes_on else RestartedStudent
    supervision = Supervision(Identity(), Constant(WEIGHT), Restart(EPOCH))
    return compare(problem, rule(problem.learning_rate, EPOCH, WEIGHT), supervision)


def student_of(outputs: Targets) -> Supervision:
    """A student that is given nothing but a teacher's outputs."""
    return Supervision(Identity(), Constant(0.0), Pretrained(outputs))


def compare(
    problem: Problem, rule: Rule, supervision: Supervision, *, tolerance: float = EXACT
) -> Measurement:
    """Outputs of a closed form at ``TIMES`` against those of plain steps under a supervision."""
    predicted = solve(problem, rule, TIMES, ClosedForm(), store_at=TIMES)
    measured = solve(problem, supervision, TIMES, Stepwise(), store_at=TIMES)
    return array_agreement(predicted.kept().train, measured.kept().train, tolerance=tolerance)
