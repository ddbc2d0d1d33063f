"""Section 5: distillation is early stopping, and self-distillation without a label function too."""

import numpy as np

from ntk_air.claims.claim import Claim, DoesNotApply, Measurement, array_agreement
from ntk_air.claims.runs import exact, held_out_outputs, stepped, train_outputs
from ntk_air.dynamics.filters.distillation import (
    DistillationRounds,
    LastEpochTeacher,
    RestartedStudent,
    StoppedTeacher,
)
from ntk_air.dynamics.filters.scheduled import IdentityDistillation
from ntk_air.dynamics.filters.spectral import GradientDescent, SpectralRule
from ntk_air.dynamics.predictions.interpolant import interpolant
from ntk_air.dynamics.supervision import (
    Constant,
    Geometric,
    Identity,
    LastEpoch,
    Pretrained,
    Restart,
    Supervision,
    plain_descent,
)
from ntk_air.problem import Problem

PAPER = "Dong et al. 2019 (P2)"
TEACHER_STEPS = 200.0
TIMES = (1.0, 10.0, 100.0, 400.0, 1000.0)
EPOCH, WEIGHT = 50, 0.3
EXACT = 1e-9


def converged_student(problem: Problem, *, later: bool = False) -> Measurement:
    """The teacher's held-out outputs against those of the kernel interpolant of its outputs."""
    if problem.held_out is None:
        raise DoesNotApply("the data set has no held-out inputs")
    if problem.spectrum.n_below_precision:
        raise DoesNotApply(
            f"{problem.spectrum.n_below_precision} modes below precision: no interpolant"
        )
    teacher = exact(
        problem, GradientDescent(problem.learning_rate), [TEACHER_STEPS, 2 * TEACHER_STEPS]
    )
    taught = train_outputs(teacher)[0]
    student = interpolant(problem.theta, problem.held_out.cross_kernel, taught)
    predicted = held_out_outputs(teacher)[1 if later else 0]
    return array_agreement(predicted, student, tolerance=1e-6)


def converged_teacher(problem: Problem, *, teacher_steps: float = np.inf) -> Measurement:
    """Plain descent on ỹ against steps of a student of a teacher that converged."""
    if problem.spectrum.n_below_precision and not np.isfinite(teacher_steps):
        raise DoesNotApply(
            f"{problem.spectrum.n_below_precision} modes below precision: no teacher converges"
        )
    last = teacher_steps if np.isfinite(teacher_steps) else 1e18
    taught = exact(problem, GradientDescent(problem.learning_rate), [last]).final.predictions
    plain = exact(problem, GradientDescent(problem.learning_rate), TIMES)
    student = stepped(problem, student_of(taught), TIMES)
    return array_agreement(train_outputs(plain), train_outputs(student), tolerance=1e-6)


def stopped_student(problem: Problem, *, plain: bool = False) -> Measurement:
    """The filter g_t·g_T against steps of a student of a stopped teacher."""
    descent = GradientDescent(problem.learning_rate)
    teacher = stepped(problem, plain_descent(), [TEACHER_STEPS])
    student = stepped(problem, student_of(teacher.final.predictions), TIMES)
    predicted = descent if plain else StoppedTeacher(descent, teacher_steps=TEACHER_STEPS)
    return compare(problem, predicted, train_outputs(student))


def rounds(problem: Problem, *, n_rounds: int = 4) -> Measurement:
    """The filter g_Tᴿ against R students one after the other."""
    outputs = None
    for _ in range(n_rounds):
        rule = plain_descent() if outputs is None else student_of(outputs)
        outputs = stepped(problem, rule, [TEACHER_STEPS]).final.predictions
    assert outputs is not None
    predicted = DistillationRounds(
        GradientDescent(problem.learning_rate), round_steps=int(TEACHER_STEPS)
    )
    run = exact(problem, predicted, [4 * TEACHER_STEPS])
    return array_agreement(train_outputs(run)[0], np.asarray(outputs), tolerance=EXACT)


def other_clock(problem: Problem, *, plain: bool = False) -> Measurement:
    """Π(I − ηα_sΘ) r_0 against steps with the current output as teacher."""
    supervision = Supervision(Identity(), Geometric(0.99))
    measured = stepped(problem, supervision, TIMES)
    weights = np.asarray(supervision.weights(np.arange(int(TIMES[-1]))))
    rule = IdentityDistillation(problem.learning_rate, weights)
    predicted = GradientDescent(problem.learning_rate) if plain else rule
    return compare(problem, predicted, train_outputs(measured))


def never_memorises(problem: Problem, *, constant: bool = False) -> Measurement:
    """With Σα_t finite the run ends where early stopping at that time would."""
    decay = 0.99
    schedule = Constant(0.5) if constant else Geometric(decay)
    measured = stepped(problem, Supervision(Identity(), schedule), [5000.0])
    weights = decay ** np.arange(5000)
    modes = np.asarray(problem.spectrum.eigenvalues)
    rates = problem.learning_rate * np.maximum(modes, 0)
    left = np.exp(np.sum(np.log1p(-weights[:, None] * np.minimum(rates, 1 - 1e-16)), axis=0))
    vectors = np.asarray(problem.spectrum.eigenvectors)
    predicted = vectors @ ((1 - left)[:, None] * (vectors.T @ problem.noisy))
    return array_agreement(predicted, train_outputs(measured)[0], tolerance=1e-8)


def last_epoch(problem: Problem, *, restarted: bool = False) -> Measurement:
    """(I − αM)ᵉ r_0 against steps with the last epoch's output as teacher."""
    measured = stepped(problem, Supervision(Identity(), Constant(WEIGHT), LastEpoch(EPOCH)), TIMES)
    rule = RestartedStudent if restarted else LastEpochTeacher
    return compare(problem, rule(problem.learning_rate, EPOCH, WEIGHT), train_outputs(measured))


def restart(problem: Problem, *, goes_on: bool = False) -> Measurement:
    """The filter towards αM/(I − (1 − α)M) against steps of a student that restarts."""
    measured = stepped(problem, Supervision(Identity(), Constant(WEIGHT), Restart(EPOCH)), TIMES)
    rule = LastEpochTeacher if goes_on else RestartedStudent
    return compare(problem, rule(problem.learning_rate, EPOCH, WEIGHT), train_outputs(measured))


def student_of(outputs: object) -> Supervision:
    """A student that is given nothing but a teacher's outputs."""
    return Supervision(Identity(), Constant(0.0), Pretrained(outputs))  # pyright: ignore[reportArgumentType]


def compare(problem: Problem, rule: SpectralRule, measured: np.ndarray) -> Measurement:
    """A closed form at ``TIMES`` against outputs at the same times."""
    return array_agreement(train_outputs(exact(problem, rule, TIMES)), measured, tolerance=EXACT)


CLAIMS = (
    Claim(
        name="5a",
        statement="A converged student of a stopped teacher is that teacher, on every input",
        source=PAPER,
        method="the teacher's held-out outputs against a solve with Θ for its training outputs",
        control="a teacher stopped at twice the time",
        measure=converged_student,
        measure_control=lambda problem: converged_student(problem, later=True),
    ),
    Claim(
        name="5b",
        statement="A converged teacher passes on nothing: its student is plain training on ỹ",
        source=PAPER,
        method="closed form of plain descent against plain steps of the student",
        control="a teacher stopped early",
        measure=converged_teacher,
        measure_control=lambda problem: converged_teacher(problem, teacher_steps=TEACHER_STEPS),
    ),
    Claim(
        name="5c",
        statement="A student stopped at t on a teacher stopped at T has the filter g_t·g_T",
        source=PAPER,
        method="closed form against plain steps of teacher and student",
        control="the filter of plain descent",
        measure=stopped_student,
        measure_control=lambda problem: stopped_student(problem, plain=True),
    ),
    Claim(
        name="5c-rounds",
        statement="R rounds of T steps have the filter g_Tᴿ: small modes vanish first",
        source="Mobahi et al. 2020; docs/theory.md, 5c",
        method="closed form against four rounds of plain steps",
        control="three rounds",
        measure=rounds,
        measure_control=lambda problem: rounds(problem, n_rounds=3),
    ),
    Claim(
        name="5d",
        statement="Self-distillation with the identity is plain descent on another clock",
        source="docs/theory.md, 5d",
        method="Π(I − ηα_sΘ) r_0 against 1,000 plain steps",
        control="plain descent on its own clock",
        measure=other_clock,
        measure_control=lambda problem: other_clock(problem, plain=True),
    ),
    Claim(
        name="5d-sum",
        statement="With Σα_t finite it never memorises: early stopping and nothing more",
        source="docs/theory.md, 5d",
        method="product over 5,000 weights in the eigenbasis against plain steps",
        control="a constant weight",
        measure=never_memorises,
        measure_control=lambda problem: never_memorises(problem, constant=True),
    ),
    Claim(
        name="5e",
        statement="With the last epoch as teacher the residual is (I − αM)ᵉ r_0",
        source="docs/theory.md, 5e",
        method="closed form against 1,000 plain steps",
        control="the closed form of a student that restarts",
        measure=last_epoch,
        measure_control=lambda problem: last_epoch(problem, restarted=True),
    ),
    Claim(
        name="5e-restart",
        statement="A student that restarts each epoch tends to the filter αM/(I − (1 − α)M)",
        source="docs/theory.md, 5e; Borup, Andersen 2021",
        method="closed form against 1,000 plain steps",
        control="the closed form of a student that goes on",
        measure=restart,
        measure_control=lambda problem: restart(problem, goes_on=True),
    ),
)
