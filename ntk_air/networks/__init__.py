"""Networks of finite width: models, training, and what they have in common with their kernels.

Each name is imported when it is first used.

Models: ``DenseNetwork``, ``ConvolutionalNetwork``, ``ResidualNetwork``; those of other libraries
come in by ``adapters``; ``taylor_model`` is a network's Taylor polynomial. Training:
``NetworkProblem`` and ``train``, under a ``Supervision`` or a ``TrainingRule``, by ``Descent``,
``Adam`` or ``OptaxOptimiser`` on ``Minibatches``. Whole runs of self-distillation:
``train_rounds``. A kernel along training: ``snapshots_along_training``, ``kernel_motion``;
averaged over initialisations: ``monte_carlo_kernels``; of differential operators:
``differential_ntk``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ntk_air.networks.models.convolutional import ConvolutionalNetwork
    from ntk_air.networks.models.dense import DenseNetwork
    from ntk_air.networks.models.residual import ResidualNetwork
    from ntk_air.networks.models.taylor import taylor_model
    from ntk_air.networks.studies.differential import BlockKernel, differential_ntk, laplacian
    from ntk_air.networks.studies.monte_carlo import (
        MonteCarloKernels,
        empirical_nngp,
        monte_carlo_kernels,
    )
    from ntk_air.networks.training.minibatches import Minibatches
    from ntk_air.networks.training.network_problem import HeldOutInputs, NetworkProblem
    from ntk_air.networks.training.optimisers import Adam, OptaxOptimiser
    from ntk_air.networks.training.snapshots import (
        KernelMotion,
        NetworkSnapshot,
        kernel_motion,
        snapshots_along_training,
    )
    from ntk_air.networks.training.train import train
    from ntk_air.networks.training.train_checkpoints import Checkpoints
    from ntk_air.networks.training.train_rounds import FlowTimeSchedule, RoundsRun, train_rounds
    from ntk_air.networks.training.train_step import TrainingState
    from ntk_air.networks.training.training_rules import Batch, BatchRule, TrainingRule

_HOMES = {
    "models.convolutional": ("ConvolutionalNetwork",),
    "models.dense": ("DenseNetwork",),
    "models.residual": ("ResidualNetwork",),
    "models.taylor": ("taylor_model",),
    "studies.differential": ("BlockKernel", "differential_ntk", "laplacian"),
    "studies.monte_carlo": ("MonteCarloKernels", "empirical_nngp", "monte_carlo_kernels"),
    "training.minibatches": ("Minibatches",),
    "training.network_problem": ("HeldOutInputs", "NetworkProblem"),
    "training.optimisers": ("Adam", "OptaxOptimiser"),
    "training.snapshots": (
        "KernelMotion",
        "NetworkSnapshot",
        "kernel_motion",
        "snapshots_along_training",
    ),
    "training.train": ("train",),
    "training.train_checkpoints": ("Checkpoints",),
    "training.train_rounds": ("FlowTimeSchedule", "RoundsRun", "train_rounds"),
    "training.train_step": ("TrainingState",),
    "training.training_rules": ("Batch", "BatchRule", "TrainingRule"),
}
"""Where each exported name lives."""

_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Adam",
    "Batch",
    "BatchRule",
    "BlockKernel",
    "Checkpoints",
    "ConvolutionalNetwork",
    "DenseNetwork",
    "FlowTimeSchedule",
    "HeldOutInputs",
    "KernelMotion",
    "Minibatches",
    "MonteCarloKernels",
    "NetworkProblem",
    "NetworkSnapshot",
    "OptaxOptimiser",
    "ResidualNetwork",
    "RoundsRun",
    "TrainingRule",
    "TrainingState",
    "differential_ntk",
    "empirical_nngp",
    "kernel_motion",
    "laplacian",
    "monte_carlo_kernels",
    "snapshots_along_training",
    "taylor_model",
    "train",
    "train_rounds",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
