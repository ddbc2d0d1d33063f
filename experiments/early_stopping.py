"""What helps in distillation is that the teacher stopped early.

Follows the student of a teacher stopped at T, over T: its distance to the clean labels, its
held-out accuracy, and whether it is the teacher's own function; the student of a converged
teacher; and self-distillation with the identity on its own clock against plain descent.
"""

import dataclasses
from typing import Any

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_whole_number
from ntk_air._base.progress import Progress
from ntk_air.lab.config import ExperimentConfig
from ntk_air.lab.harness import Computed, Experiment, header, make_run_problem
from ntk_air.lab.run_folder import RunFolder

CONVERGED_STEPS = 1e18
PLAIN_STEPS = 4_000
N_TEACHERS = 40
N_TIMES = 120


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of early_stopping."""

    steps: int = 100_000
    """The longest that teachers are trained and students watched."""
    decay_steps: int = 200
    """Of the weight (1 + t/decay_steps)^−1.5 in self-distillation with the identity."""

    def __post_init__(self):
        check_whole_number("steps", self.steps, minimum=1)
        check_whole_number("decay_steps", self.decay_steps, minimum=1)

    def smoke(self) -> "Config":
        """Few inputs and steps."""
        data = dataclasses.replace(self.data, n_train=min(self.data.n_train or 150, 150))
        return dataclasses.replace(self, data=data, steps=2_000)


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.lab.report.trajectory_results import curves, largest_difference, run_numbers

    if dataset.n_test == 0:
        raise ValueError("dataset must have held-out inputs to compare functions on; got none")
    noisy_dataset = config.noise.draws(dataset, seeds=[config.run.seed])[0]
    problem, kernel_name = make_run_problem(config, noisy_dataset, run, progress)
    descent = na.Descent()
    teacher_steps = np.unique(np.round(np.geomspace(1, config.steps, N_TEACHERS)))
    teachers = follow(problem, descent, teacher_steps, store=True)
    students = converged_students(problem, teachers)
    times = np.unique(np.round(np.geomspace(1, config.steps, N_TIMES)))
    plain = follow(problem, descent, times)
    of_converged = student_of_converged_teacher(
        problem, follow(problem, descent, np.array([CONVERGED_STEPS])), times[times <= PLAIN_STEPS]
    )
    clock = identity_clock(problem, config, times)
    results = {
        **header(dataset, noisy_dataset),
        "kernel": kernel_name,
        "precision": problem.spectrum.precision,
        "learning_rate": problem.learning_rate,
        "modes_below_precision": problem.spectrum.n_below_precision,
        "teacher_steps": teacher_steps,
        "max_abs_difference_student_teacher": np.max(students["difference"]),
        "max_abs_difference_converged_teacher": largest_difference(plain, of_converged),
        "best_teacher": run_numbers(teachers),
        "gradient_descent": run_numbers(plain),
        "student_of_converged_teacher": run_numbers(of_converged),
        "identity_self_distillation": clock["numbers"],
    }
    arrays = {
        **curves("teacher", teachers),
        **{f"student_{name}": values for name, values in students.items()},
        **curves("plain", plain),
        **curves("of_converged", of_converged),
        **clock["arrays"],
    }
    return results, arrays


def follow(
    problem: "na.Problem",
    rule: "na.Descent | na.filters.SpectralRule",
    times: np.ndarray,
    *,
    store: bool = False,
) -> "na.Trajectory":
    """A closed form at given steps."""
    return na.solve(problem, rule, times, store_at=times if store else ())


def converged_students(problem: "na.Problem", teachers: "na.Trajectory") -> dict[str, np.ndarray]:
    """Held-out accuracy of each teacher's converged student, and its distance from the teacher."""
    from ntk_air.dynamics.predictions.interpolant import interpolant
    from ntk_air.dynamics.run.metrics import zero_one_error

    assert teachers.stored is not None
    assert teachers.stored.held_out is not None
    assert problem.held_out is not None
    taught, own = np.asarray(teachers.stored.train), np.asarray(teachers.stored.held_out)
    n_teachers, n_train, n_out = taught.shape
    stacked = taught.transpose(1, 0, 2).reshape(n_train, n_teachers * n_out)
    outputs = interpolant(problem.theta, problem.held_out.cross_kernel, stacked)
    outputs = outputs.reshape(-1, n_teachers, n_out).transpose(1, 0, 2)
    targets = problem.held_out.targets
    return {
        "difference": np.max(np.abs(outputs - own), axis=(1, 2)),
        "test_accuracy": np.array([1 - float(zero_one_error(f, targets)) for f in outputs]),
    }


def identity_clock(problem: "na.Problem", config: Config, times: np.ndarray) -> dict[str, Any]:
    """Self-distillation with the identity, and plain descent at its effective time Σα."""
    from ntk_air.lab.report.trajectory_results import curves, run_numbers

    schedule = na.weights.Power(exponent=1.5, scale=float(config.decay_steps))
    weights = np.asarray(
        na.Supervision(na.label_functions.Identity(), schedule).weights(np.arange(config.steps))
    )
    distilled = follow(
        problem, na.filters.IdentityDistillation(problem.learning_rate, weights), times
    )
    effective = np.cumsum(weights)[times.astype(int) - 1]
    return {
        "numbers": {**run_numbers(distilled), "effective_steps": float(effective[-1])},
        "arrays": {**curves("identity", distilled), "identity_effective_steps": effective},
    }


def student_of_converged_teacher(
    problem: "na.Problem", teacher: "na.Trajectory", times: np.ndarray
) -> "na.Trajectory":
    """Plain steps on nothing but the outputs of a teacher that memorised."""
    taught = na.Supervision(
        na.label_functions.Identity(),
        na.weights.Constant(0.0),
        na.teachers.Pretrained(teacher.final.predictions),
    )
    return na.solve(problem, taught, times, na.Stepwise())


EXPERIMENT = Experiment("early_stopping", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
