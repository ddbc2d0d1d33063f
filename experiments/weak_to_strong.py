"""A student whose kernel is stronger than its teacher's, taught on inputs of its own.

A linear teacher learns the noisy labels of half of the training inputs and stops early. A student
with the configured kernel sees its outputs at the other half and no label: soft, hard, and beside
them the clean labels, which are the ceiling.
"""

import dataclasses

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_whole_number
from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.lab.config import ExperimentConfig
from ntk_air.lab.harness import Computed, Experiment, header, make_run_problem
from ntk_air.lab.run_folder import RunFolder

N_TIMES = 60


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of weak_to_strong."""

    teacher_steps: int = 300
    """Steps of the teacher."""
    steps: int = 100_000
    """The longest that students are watched."""

    def __post_init__(self):
        check_whole_number("teacher_steps", self.teacher_steps, minimum=1)
        check_whole_number("steps", self.steps, minimum=1)

    def smoke(self) -> "Config":
        """Few inputs and steps."""
        data = dataclasses.replace(self.data, n_train=min(self.data.n_train or 150, 150))
        return dataclasses.replace(self, data=data, steps=2_000)


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.data.draws import generator, shuffled
    from ntk_air.lab.report.trajectory_results import curves, run_numbers

    if dataset.n_test == 0 or dataset.n_train < 4:
        raise ValueError(
            "dataset must have held-out inputs and at least 4 training inputs; got "
            f"{dataset.n_test} and {dataset.n_train}"
        )
    noisy_dataset = config.noise.draws(dataset, seeds=[config.run.seed])[0]
    problem, kernel_name = make_run_problem(config, noisy_dataset, run, progress)
    order = shuffled(np.arange(dataset.n_train), generator(config.run.seed, "teacher's half"))
    theirs, ours = np.sort(order[: dataset.n_train // 2]), np.sort(order[dataset.n_train // 2 :])
    teacher, taught = weak_teacher(config, problem, theirs, ours)
    clean = np.asarray(problem.clean)[ours]
    times = np.unique(np.round(np.geomspace(1, config.steps, N_TIMES)))
    student = part_of(problem, ours)
    told = {
        "soft": np.asarray(taught.outputs),
        "hard": np.asarray(na.label_functions.Hard()(taught.outputs)),
        "truth": clean,
    }
    runs = {
        name: na.solve(student.replace(labels=na.Labels(labels, clean)), na.Descent(), times)
        for name, labels in told.items()
    }
    assert teacher.held_out is not None
    results = {
        **header(dataset, noisy_dataset),
        "kernel": kernel_name,
        "precision": problem.spectrum.precision,
        "teacher_steps": config.teacher_steps,
        "teacher_accuracy": float(np.asarray(teacher.held_out.accuracy)[-1]),
        "teacher_rms_at_student": float(np.sqrt(np.mean(np.sum((told["soft"] - clean) ** 2, 1)))),
        **{name: run_numbers(each) for name, each in runs.items()},
    }
    arrays = {
        key: curve for name, each in runs.items() for key, curve in curves(name, each).items()
    }
    return results, arrays


def weak_teacher(
    config: Config, problem: "na.Problem", theirs: np.ndarray, ours: np.ndarray
) -> "tuple[na.Trajectory, na.teachers.Pretrained]":
    """A linear teacher stopped early on one half, and what it says of the other."""
    data, budget = problem.dataset, parse_bytes(config.run.max_memory)
    inputs, test = (
        np.reshape(np.asarray(each, np.float64), (len(each), -1))
        for each in (data.inputs, data.test_inputs)
    )

    def kernel(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        weak = na.DenseNTK(depth=1)
        return np.asarray(na.gram_matrix(weak, x1, x2, max_memory_bytes=budget))

    own = kernel(inputs[theirs], inputs[theirs])
    labels = na.Labels(np.asarray(problem.noisy, np.float64)[theirs])
    held_out = na.HeldOut(kernel(test, inputs[theirs]), np.asarray(data.test_targets(), np.float64))
    weak = na.Problem(labels, own, na.decompose(own), held_out=held_out)
    run = na.solve(weak, na.Descent(), [config.teacher_steps])
    assert run.final.dual is not None
    across = kernel(inputs[ours], inputs[theirs])
    return run, na.teachers.Pretrained.elsewhere(across, np.asarray(run.final.dual))


def part_of(problem: "na.Problem", rows: np.ndarray) -> "na.Problem":
    """The problem on some of its training inputs."""
    theta = np.asarray(problem.theta, np.float64)[np.ix_(rows, rows)]
    assert problem.held_out is not None
    cross = np.asarray(problem.held_out.cross_kernel, np.float64)[:, rows]
    targets = np.asarray(problem.held_out.targets, np.float64)
    labels = na.Labels(np.asarray(problem.noisy, np.float64)[rows])
    return na.Problem(labels, theta, na.decompose(theta), held_out=na.HeldOut(cross, targets))


EXPERIMENT = Experiment("weak_to_strong", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
