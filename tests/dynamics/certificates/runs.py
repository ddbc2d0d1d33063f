"""Plain runs that certificates are held against, and their margins."""

import numpy as np

from tests.dynamics.reference import one_hot, step_by_step


def hard(predictions):
    if predictions.shape[1] == 1:
        return np.sign(predictions)
    return one_hot(predictions.argmax(1), predictions.shape[1])


def self_distilled(kernel, noisy, weights, *, rate, steps, initial=None):
    """{step: f_t} of plain stepping on α_tỹ + (1 − α_t)h(f_t)."""

    def target(step, predictions):
        weight = weights(step)
        return weight * noisy + (1 - weight) * hard(predictions)

    initial = np.zeros_like(noisy) if initial is None else initial
    run = step_by_step(kernel, target, learning_rate=rate, steps=steps, initial=initial)
    return {step: predictions for step, (predictions, _) in run.items()}


def margins(predictions, labels):
    if labels.shape[1] == 1:
        return (predictions * labels)[:, 0]
    true = labels.argmax(1)[:, None]
    others = np.where(np.arange(labels.shape[1]) == true, -np.inf, predictions)
    return np.take_along_axis(predictions, true, 1)[:, 0] - others.max(1)
