"""What runs, claims and experiments work on: a kernel, its spectrum, labels, checked once."""

from ntk_air.problem.from_dataset import Stage, compute_directly, make_problem
from ntk_air.problem.labels import HeldOut, Labels, dataset_labels, known
from ntk_air.problem.problem import Problem

__all__ = [
    "HeldOut",
    "Labels",
    "Problem",
    "Stage",
    "compute_directly",
    "dataset_labels",
    "known",
    "make_problem",
]
