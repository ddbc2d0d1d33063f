"""Two-stage distillation: a teacher, and a student that starts again and is taught by it."""

import equinox as eqx

from ntk_air._base.typing import KernelMatrix, Targets
from ntk_air.dynamics.run.inputs import Steps
from ntk_air.dynamics.run.learning_rate import DEFAULT_RATE, LearningRate
from ntk_air.dynamics.run.losses import Loss
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.stepwise.simulate import find_largest_eigenvalue, simulate
from ntk_air.dynamics.supervision import (
    Constant,
    Identity,
    Pretrained,
    Supervision,
    plain_descent,
)
from ntk_air.dynamics.supervision.label_functions import LabelFunctionLike
from ntk_air.kernels.operators.operator import KernelOperator, as_operator
from ntk_air.problem import HeldOut


class Distillation(eqx.Module):
    """The two runs; both are measured against the clean and the noisy labels."""

    teacher: Trajectory
    student: Trajectory


def distill(
    kernel: KernelOperator | KernelMatrix,
    noisy: Targets,
    *,
    teacher_times: Steps,
    student_times: Steps,
    teacher_converged_below: float | None = None,
    student_converged_below: float | None = None,
    label_function: LabelFunctionLike | None = None,
    weight: float | int = 0.0,
    learning_rate: LearningRate = DEFAULT_RATE,
    momentum: float | int = 0.0,
    loss: Loss | None = None,
    initial: Targets | None = None,
    clean: Targets | None = None,
    held_out: HeldOut | None = None,
    largest_eigenvalue: float | None = None,
) -> Distillation:
    """Train a teacher on ỹ, then a student from f_0 on weight·ỹ + (1 − weight)·h(f_teacher).

    With h the identity, weight 0 and f_0 = 0 a student that converges is its teacher, on every
    input (theory.md 5a); one of a converged teacher is plain training on ỹ (5b); a student
    stopped at t_S has the filter g_{t_S}·g_T (5c).

    Args:
        kernel: an operator, or the (n_train, n_train) matrix itself.
        noisy: ỹ, (n_train, n_out); this and what is not named here as of ``simulate``.
        teacher_times: steps to record the teacher at; it stops at the last, T.
        student_times: the same of the student.
        teacher_converged_below: stop the teacher earlier, once it has converged to this.
        student_converged_below: the same of the student.
        label_function: h; ``None`` is the identity.
        weight: on the given labels, in the student's target.

    Raises:
        ValueError: as ``simulate``.
    """
    operator = as_operator(kernel)
    if largest_eigenvalue is None:
        largest_eigenvalue = find_largest_eigenvalue(operator)

    def train(supervision: Supervision, times: Steps, converged_below: float | None) -> Trajectory:
        return simulate(
            operator,
            noisy,
            supervision,
            times=times,
            learning_rate=learning_rate,
            momentum=momentum,
            loss=loss,
            initial=initial,
            clean=clean,
            held_out=held_out,
            largest_eigenvalue=largest_eigenvalue,
            converged_below=converged_below,
        )

    teacher = train(plain_descent(), teacher_times, teacher_converged_below)
    taught = Supervision(
        Identity() if label_function is None else label_function,
        Constant(weight),
        Pretrained(teacher.final.predictions),
    )
    return Distillation(teacher, train(taught, student_times, student_converged_below))
