"""Methods that are supervision: their targets by the papers' equations, their runs by loops."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics.run.losses import CrossEntropy
from ntk_air.networks.noisy_labels import (
    hard_bootstrapping,
    label_smoothing,
    progressive_self_distillation,
)
from ntk_air.networks.training.optimisers import Descent
from ntk_air.networks.training.train import train
from tests.networks.noisy_labels.batches import N_CLASSES, softmax

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, N_CLASSES, 6)
ONE_HOT = np.eye(N_CLASSES)[LABELS]
OUTPUTS = RNG.normal(size=(6, N_CLASSES))


def probabilities_of(supervision, step=0):
    noisy = jnp.asarray(ONE_HOT - 1 / N_CLASSES)
    target = supervision.target(jnp.asarray(OUTPUTS), noisy, jnp.asarray(step)).target
    return np.asarray(target) + 1 / N_CLASSES


def test_label_smoothing_gives_a_share_to_all_classes():
    expected = 0.9 * ONE_HOT + 0.1 / N_CLASSES
    np.testing.assert_allclose(probabilities_of(label_smoothing(0.1)), expected, atol=1e-15)


def test_hard_bootstrapping_mixes_in_the_likeliest_class():
    likeliest = np.eye(N_CLASSES)[OUTPUTS.argmax(axis=1)]
    expected = 0.8 * ONE_HOT + 0.2 * likeliest
    np.testing.assert_allclose(probabilities_of(hard_bootstrapping()), expected, atol=1e-15)


def test_progressive_self_distillation_is_the_papers_loop():
    n_epochs, per_epoch, final_share, rate = 4, 3, 0.8, 0.3
    inputs, start = RNG.normal(size=(6, 5)), RNG.normal(size=(5, N_CLASSES))
    run = train(
        lambda params, x: x @ params,
        start,
        inputs,
        ONE_HOT - 1 / N_CLASSES,
        progressive_self_distillation(n_epochs, per_epoch, final_share=final_share),
        Descent(rate),
        times=[n_epochs * per_epoch],
        loss=CrossEntropy(),
    )
    params, last = start.copy(), ONE_HOT
    for epoch in range(1, n_epochs + 1):
        share = final_share * epoch / n_epochs
        target = (1 - share) * ONE_HOT + share * last
        for _ in range(per_epoch):
            params -= rate * inputs.T @ (softmax(inputs @ params) - target)
        last = softmax(inputs @ params)
    np.testing.assert_allclose(run.final.resume.params, params, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: label_smoothing(1.2), "share must lie in"),
        (lambda: hard_bootstrapping(-0.1), "weight must lie in"),
        (lambda: progressive_self_distillation(2, 5), "n_epochs must be .* at least 3"),
        (lambda: progressive_self_distillation(5, 0), "steps_per_epoch must be .* at least 1"),
        (lambda: progressive_self_distillation(5, 5, final_share=2.0), "final_share must lie in"),
    ],
)
def test_bad_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
