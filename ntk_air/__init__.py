"""ntk_air: see whether a claim about neural tangent kernels holds.

``import ntk_air as na`` gives the names below; each is imported when it is first used. Importing
changes no JAX setting, and does not import neural-tangents.

Data: ``load_dataset``, ``Dataset``, label noise. Kernels: ``DenseNTK``, ``EmpiricalNTK``, … and
operators that hold no matrix. Spectra: ``decompose``, ``top_modes``, ``label_quadrature``. AIR:
``air_summary``. One problem and one verb: ``make_problem``, ``solve``. Verdicts: ``certify``,
``verify``. Noisy labels without clean ones: ``clean_labels``. Families: ``label_functions``,
``weights``, ``teachers``, ``filters``, ``inference``, ``losses``, ``networks``, ``noisy_labels``,
``adapters``, ``plot``.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError(
        "ntk_air runs on Linux and macOS: it locks folders of tiles and measures memory by what "
        "POSIX systems have. On Windows, install it in the Windows Subsystem for Linux (WSL)"
    )

if TYPE_CHECKING:
    from ntk_air import inference, networks, plot
    from ntk_air.air import air_curve, air_summary, energy_in_top, kernel_target_alignment
    from ntk_air.claims import Claim, verify
    from ntk_air.data import (
        ClassLabels,
        Dataset,
        HumanNoise,
        InstanceDependentNoise,
        PairFlipNoise,
        SymmetricNoise,
        TransitionNoise,
        load_dataset,
    )
    from ntk_air.dynamics import filters
    from ntk_air.dynamics.certificates.certificate import Certificate
    from ntk_air.dynamics.certificates.run_certificate import certify
    from ntk_air.dynamics.closed_form.exact import ClosedForm
    from ntk_air.dynamics.event_driven.event_driven import EventDriven
    from ntk_air.dynamics.label_noise.default_schedule import default_schedule
    from ntk_air.dynamics.noise_aware.clean_labels import clean_labels
    from ntk_air.dynamics.noise_aware.cleaned import CleanedLabels
    from ntk_air.dynamics.noise_aware.folded_learner import FoldedLearner
    from ntk_air.dynamics.noise_aware.options import CleaningOptions
    from ntk_air.dynamics.rounds import ByRounds
    from ntk_air.dynamics.rules import Descent, Flow
    from ntk_air.dynamics.run import losses
    from ntk_air.dynamics.run.learning_rate import RelativeRate
    from ntk_air.dynamics.run.trajectory import Trajectory
    from ntk_air.dynamics.solve import Auto, solve
    from ntk_air.dynamics.stepwise.simulate import Stepwise
    from ntk_air.dynamics.supervision import Rounds, Supervision, label_functions, teachers, weights
    from ntk_air.kernels.empirical import (
        EmpiricalNTK,
        empirical_ntk,
        empirical_ntk_plan,
        matrix_free_kernel,
    )
    from ntk_air.kernels.gram import gram_matrix
    from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK
    from ntk_air.kernels.infinite.dense import DenseNTK
    from ntk_air.kernels.matrix_kernel import MatrixKernel
    from ntk_air.kernels.operators.operator import KernelOperator
    from ntk_air.kernels.operators.sharded import sharded_kernel
    from ntk_air.kernels.stax.architectures import StaxNTK
    from ntk_air.kernels.tiles.recomputed import recomputed_kernel
    from ntk_air.kernels.tiles.tiled import TileOptions, tiled_kernel
    from ntk_air.networks import adapters, noisy_labels
    from ntk_air.networks.pretrained.features import PretrainedFeatures
    from ntk_air.problem import HeldOut, Labels, Problem, make_problem
    from ntk_air.spectrum.decomposition import DecompositionOptions, decompose
    from ntk_air.spectrum.krylov.enclosure import Enclosure
    from ntk_air.spectrum.krylov.quadrature import label_quadrature
    from ntk_air.spectrum.krylov.top_modes import TopModesOptions, top_modes
    from ntk_air.spectrum.result import Spectrum

_HOMES = {
    "air": ("air_curve", "air_summary", "energy_in_top", "kernel_target_alignment"),
    "claims": ("Claim", "verify"),
    "data": (
        "ClassLabels",
        "Dataset",
        "HumanNoise",
        "InstanceDependentNoise",
        "PairFlipNoise",
        "SymmetricNoise",
        "TransitionNoise",
        "load_dataset",
    ),
    "dynamics.certificates.certificate": ("Certificate",),
    "dynamics.certificates.run_certificate": ("certify",),
    "dynamics.closed_form.exact": ("ClosedForm",),
    "dynamics.event_driven.event_driven": ("EventDriven",),
    "dynamics.label_noise.default_schedule": ("default_schedule",),
    "dynamics.noise_aware.clean_labels": ("clean_labels",),
    "dynamics.noise_aware.cleaned": ("CleanedLabels",),
    "dynamics.noise_aware.folded_learner": ("FoldedLearner",),
    "dynamics.noise_aware.options": ("CleaningOptions",),
    "dynamics.rounds": ("ByRounds",),
    "dynamics.rules": ("Descent", "Flow"),
    "dynamics.run.learning_rate": ("RelativeRate",),
    "dynamics.run.trajectory": ("Trajectory",),
    "dynamics.solve": ("Auto", "solve"),
    "dynamics.stepwise.simulate": ("Stepwise",),
    "dynamics.supervision": ("Rounds", "Supervision"),
    "kernels.empirical": (
        "EmpiricalNTK",
        "empirical_ntk",
        "empirical_ntk_plan",
        "matrix_free_kernel",
    ),
    "kernels.gram": ("gram_matrix",),
    "kernels.infinite.convolutional": ("ConvolutionalNTK",),
    "kernels.infinite.dense": ("DenseNTK",),
    "kernels.matrix_kernel": ("MatrixKernel",),
    "kernels.operators.operator": ("KernelOperator",),
    "kernels.operators.sharded": ("sharded_kernel",),
    "kernels.stax.architectures": ("StaxNTK",),
    "kernels.tiles.recomputed": ("recomputed_kernel",),
    "kernels.tiles.tiled": ("TileOptions", "tiled_kernel"),
    "networks.pretrained.features": ("PretrainedFeatures",),
    "problem": ("HeldOut", "Labels", "Problem", "make_problem"),
    "spectrum.decomposition": ("DecompositionOptions", "decompose"),
    "spectrum.krylov.enclosure": ("Enclosure",),
    "spectrum.krylov.quadrature": ("label_quadrature",),
    "spectrum.krylov.top_modes": ("TopModesOptions", "top_modes"),
    "spectrum.result": ("Spectrum",),
}
"""Where each exported name lives."""

_FAMILIES = {
    "adapters": "networks.adapters",
    "filters": "dynamics.filters",
    "inference": "inference",
    "label_functions": "dynamics.supervision.label_functions",
    "losses": "dynamics.run.losses",
    "networks": "networks",
    "noisy_labels": "networks.noisy_labels",
    "plot": "plot",
    "teachers": "dynamics.supervision.teachers",
    "weights": "dynamics.supervision.weights",
}
"""Where each exported family lives."""

_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Auto",
    "ByRounds",
    "Certificate",
    "Claim",
    "ClassLabels",
    "CleanedLabels",
    "CleaningOptions",
    "ClosedForm",
    "ConvolutionalNTK",
    "Dataset",
    "DecompositionOptions",
    "DenseNTK",
    "Descent",
    "EmpiricalNTK",
    "Enclosure",
    "EventDriven",
    "Flow",
    "FoldedLearner",
    "HeldOut",
    "HumanNoise",
    "InstanceDependentNoise",
    "KernelOperator",
    "Labels",
    "MatrixKernel",
    "PairFlipNoise",
    "PretrainedFeatures",
    "Problem",
    "RelativeRate",
    "Rounds",
    "Spectrum",
    "StaxNTK",
    "Stepwise",
    "Supervision",
    "SymmetricNoise",
    "TileOptions",
    "TopModesOptions",
    "Trajectory",
    "TransitionNoise",
    "adapters",
    "air_curve",
    "air_summary",
    "certify",
    "clean_labels",
    "decompose",
    "default_schedule",
    "empirical_ntk",
    "empirical_ntk_plan",
    "energy_in_top",
    "filters",
    "gram_matrix",
    "inference",
    "kernel_target_alignment",
    "label_functions",
    "label_quadrature",
    "load_dataset",
    "losses",
    "make_problem",
    "matrix_free_kernel",
    "networks",
    "noisy_labels",
    "plot",
    "recomputed_kernel",
    "sharded_kernel",
    "solve",
    "teachers",
    "tiled_kernel",
    "top_modes",
    "verify",
    "weights",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = importlib.import_module("ntk_air._base.version").package_version()
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module(f"ntk_air.{_MODULE_OF[name]}"), name)
    elif name in _FAMILIES:
        value = importlib.import_module(f"ntk_air.{_FAMILIES[name]}")
    else:
        raise AttributeError(f"module 'ntk_air' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
