"""Methods from the literature for training on noisy labels, to compare self-distillation with.

Those that are self-distillation or plain descent in other words are functions that return a
``Supervision``, to train with ``CrossEntropy()``; the others are rules of training.

| method | here |
| --- | --- |
| label smoothing (Szegedy et al. 2016) | ``label_smoothing`` |
| bootstrapping, hard and soft (Reed et al. 2015) | ``hard_bootstrapping``, ``SoftBootstrapping`` |
| forward correction (Patrini et al. 2017) | ``ForwardCorrection`` |
| early-learning regularisation (Liu et al. 2020) | ``EarlyLearningRegularisation`` |
| PS-KD (Kim et al. 2021) | ``progressive_self_distillation`` |
| distance to initialisation (Hu, Li, Yu 2020) | ``DistanceToInitialisation`` |
| co-teaching (Han et al. 2018) | ``CoTeaching`` |
| early stopping on noisy validation labels | ``noisy_validation_stop`` |
"""

from ntk_air.networks.noisy_labels.losses import (
    DistanceToInitialisation,
    EarlyLearningRegularisation,
    ForwardCorrection,
    SoftBootstrapping,
)
from ntk_air.networks.noisy_labels.procedures import (
    CoTeaching,
    hard_bootstrapping,
    label_smoothing,
    noisy_validation_stop,
    progressive_self_distillation,
)

__all__ = [
    "CoTeaching",
    "DistanceToInitialisation",
    "EarlyLearningRegularisation",
    "ForwardCorrection",
    "SoftBootstrapping",
    "hard_bootstrapping",
    "label_smoothing",
    "noisy_validation_stop",
    "progressive_self_distillation",
]
