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

>>> import jax; jax.config.update("jax_enable_x64", True)
>>> import numpy as np
>>> import ntk_air as na
>>> labels = na.Labels(np.array([[1.0], [-1.0]]))
>>> problem = na.networks.NetworkProblem(
...     lambda params, x: x @ params, np.zeros((2, 1)), np.eye(2), labels
... )
>>> method = na.networks.Minibatches(loss=na.losses.CrossEntropy())
>>> smoothed = na.noisy_labels.label_smoothing(0.1)
>>> run = na.networks.train(problem, smoothed, [1000], na.Descent(1.0), method=method)
>>> run.final.predictions.round(3).tolist()  # logits ±log(0.95/0.05)
[[2.944], [-2.944]]
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
