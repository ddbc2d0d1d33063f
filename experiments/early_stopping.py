"""What helps in distillation is that the teacher stopped early.

Follows the student of a teacher stopped at T, over T: its distance to the clean labels, its
held-out accuracy, and whether it is the teacher's own function; the student of a converged
teacher; and self-distillation with the identity on its own clock against plain descent.
"""

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ntk_air._base.progress import Progress
from ntk_air.data.dataset import Dataset
from ntk_air.dynamics.filters import IdentityDistillation, SpectralRule
from ntk_air.dynamics.predictions.interpolant import interpolant
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.metrics import zero_one_error
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import Constant, Identity, Power, Pretrained, Supervision
from ntk_air.lab.config import ExperimentConfig
from ntk_air.lab.harness import Experiment, main, make_run_problem
from ntk_air.lab.report import early_stopping as report
from ntk_air.lab.report.trajectory_results import curves, largest_difference, run_numbers
from ntk_air.lab.run_folder import RunFolder
from ntk_air.problem import Problem

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

    def smoke(self) -> "Config":
        """Few inputs and steps."""
        data = dataclasses.replace(self.data, n_train=min(self.data.n_train or 150, 150))
        return dataclasses.replace(self, data=data, steps=2_000)


def compute(
    config: Config, dataset: Dataset, run: RunFolder, progress: Progress
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The numbers of results.json and the curves of arrays.npz."""
    if dataset.n_test == 0:
        raise ValueError("dataset must have held-out inputs to compare functions on; got none")
    noisy_dataset = config.noise.draws(dataset, seeds=[config.run.seed])[0]
    problem, kernel_name = make_run_problem(config, noisy_dataset, run, progress)
    descent = Descent()
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
        "dataset": dataset.name,
        "n_train": dataset.n_train,
        "n_test": dataset.n_test,
        "n_classes": dataset.n_classes,
        "noise_rate": noisy_dataset.noise_fraction,
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
    problem: Problem, rule: Descent | SpectralRule, times: np.ndarray, *, store: bool = False
) -> Trajectory:
    """A closed form at given steps."""
    return solve(problem, rule, times, store_at=times if store else ())


def converged_students(problem: Problem, teachers: Trajectory) -> dict[str, np.ndarray]:
    """Held-out accuracy of each teacher's converged student, and its distance from the teacher."""
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


def identity_clock(problem: Problem, config: Config, times: np.ndarray) -> dict[str, Any]:
    """Self-distillation with the identity, and plain descent at its effective time Σα."""
    schedule = Power(exponent=1.5, scale=float(config.decay_steps))
    weights = np.asarray(Supervision(Identity(), schedule).weights(np.arange(config.steps)))
    distilled = follow(problem, IdentityDistillation(problem.learning_rate, weights), times)
    effective = np.cumsum(weights)[times.astype(int) - 1]
    return {
        "numbers": {**run_numbers(distilled), "effective_steps": float(effective[-1])},
        "arrays": {**curves("identity", distilled), "identity_effective_steps": effective},
    }


def student_of_converged_teacher(
    problem: Problem, teacher: Trajectory, times: np.ndarray
) -> Trajectory:
    """Plain steps on nothing but the outputs of a teacher that memorised."""
    taught = Supervision(Identity(), Constant(0.0), Pretrained(teacher.final.predictions))
    return solve(problem, taught, times, Stepwise())


EXPERIMENT = Experiment(
    name="early_stopping",
    compute=compute,
    save_figures=report.save_figures,
    summary=report.summary,
)

if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    sys.exit(main(EXPERIMENT, Config, __doc__ or ""))
