"""Procedures for noisy labels: targets and selections by the papers' equations, runs by loops."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.losses import CrossEntropy
from ntk_air.dynamics.supervision import plain_descent
from ntk_air.networks.noisy_labels import (
    CoTeaching,
    hard_bootstrapping,
    label_smoothing,
    noisy_validation_stop,
    progressive_self_distillation,
)
from ntk_air.networks.training.minibatches import Minibatches
from ntk_air.networks.training.network_problem import HeldOutInputs, NetworkProblem
from ntk_air.networks.training.train import train
from ntk_air.problem import Labels
from tests.helpers.lowering import assert_lowers
from tests.networks.noisy_labels.batches import N_CLASSES, a_batch, loss_and_gradient, softmax
from tests.networks.training.linear_network import linear

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, N_CLASSES, 6)
ONE_HOT = np.eye(N_CLASSES)[LABELS]
OUTPUTS = RNG.normal(size=(6, N_CLASSES))

BATCH_LABELS = RNG.integers(0, N_CLASSES, 10)
PAIR = 2 * RNG.normal(size=(10, N_CLASSES)), 2 * RNG.normal(size=(10, N_CLASSES))
"""Logits of two networks for a batch of ten."""


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
        NetworkProblem(linear, start, inputs, Labels(ONE_HOT - 1 / N_CLASSES)),
        progressive_self_distillation(n_epochs, per_epoch, final_share=final_share),
        [n_epochs * per_epoch],
        Descent(rate),
        method=Minibatches(loss=CrossEntropy()),
    )
    params, last = start.copy(), ONE_HOT
    for epoch in range(1, n_epochs + 1):
        share = final_share * epoch / n_epochs
        target = (1 - share) * ONE_HOT + share * last
        for _ in range(per_epoch):
            params -= rate * inputs.T @ (softmax(inputs @ params) - target)
        last = softmax(inputs @ params)
    np.testing.assert_allclose(run.final.resume.params, params, rtol=1e-10)


def co_teaching_by_hand(first, second, kept):
    """Loss and gradients with each network on its peer's ``kept`` smallest losses."""
    losses = [-np.log(softmax(f)[range(10), BATCH_LABELS]) for f in (first, second)]
    chosen = [np.argsort(loss, kind="stable")[:kept] for loss in losses]
    total, gradients = 0.0, []
    for outputs, loss, rows in zip((first, second), losses, chosen[::-1], strict=True):
        gradient = np.zeros_like(outputs)
        gradient[rows] = (softmax(outputs) - np.eye(N_CLASSES)[BATCH_LABELS])[rows] / kept
        gradients.append(gradient)
        total += loss[rows].mean()
    return total, gradients


@pytest.mark.parametrize(("epoch", "kept"), [(0, 10), (1, 9), (5, 7), (10, 5), (40, 5)])
def test_each_network_learns_what_its_peer_finds_easy(epoch, kept):
    rule = CoTeaching(None, 0.5)
    loss, gradients, _ = loss_and_gradient(rule, PAIR, None, a_batch(BATCH_LABELS, epoch=epoch))
    # 9.5, 7.5: the share of a batch is rounded down.
    expected, slopes = co_teaching_by_hand(*PAIR, kept)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    for got, wanted in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-14)


def test_the_forget_rate_grows_linearly_and_stays():
    shares = CoTeaching(None, 0.4, 5).remembered_share(jnp.asarray([0, 1, 2, 5, 6, 100]))
    np.testing.assert_allclose(shares, [1, 0.92, 0.84, 0.6, 0.6, 0.6])


def test_training_moves_both_networks_and_measures_the_first():
    inputs = RNG.normal(size=(10, 6))
    pair = tuple(0.1 * RNG.normal(size=(6, N_CLASSES)) for _ in range(2))
    labels = Labels(np.eye(N_CLASSES)[BATCH_LABELS] - 1 / N_CLASSES)
    run = train(
        NetworkProblem(linear, pair[0], inputs, labels),
        CoTeaching(pair[1], 0.4, 2),
        [3],
        Descent(0.3),
        method=Minibatches(reduction="mean", key=jax.random.key(0)),
    )
    first, second = (p.copy() for p in pair)
    for kept in (10, 8, 6):  # full batches: each step is an epoch
        _, slopes = co_teaching_by_hand(inputs @ first, inputs @ second, kept)
        first, second = (
            p - 0.3 * inputs.T @ s for p, s in zip((first, second), slopes, strict=True)
        )
    np.testing.assert_allclose(run.final.resume.params[0], first, rtol=1e-10)
    np.testing.assert_allclose(run.final.resume.params[1], second, rtol=1e-10)
    np.testing.assert_allclose(run.final.predictions, inputs @ first, rtol=1e-10)


def test_training_stops_where_noisy_validation_labels_are_predicted_best():
    targets = ONE_HOT - 1 / N_CLASSES
    problem = NetworkProblem(
        linear,
        RNG.normal(size=(7, N_CLASSES)),
        RNG.normal(size=(6, 7)),
        Labels(targets),
        HeldOutInputs(RNG.normal(size=(4, 7)), targets[:4]),
    )
    method = Minibatches(loss=CrossEntropy())
    run = train(problem, plain_descent(), [0, 1, 2, 3, 4, 5], Descent(0.05), method=method)
    stop = noisy_validation_stop(run)
    accuracy = np.asarray(run.held_out.accuracy)
    assert accuracy[stop] == accuracy.max() > accuracy.min()
    assert (accuracy[:stop] < accuracy.max()).all()
    unmeasured = eqx.tree_at(lambda r: r.held_out, run, None)
    with pytest.raises(ValueError, match="must have held-out labels"):
        noisy_validation_stop(unmeasured)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CoTeaching(None, -0.1), "forget_rate must lie in"),
        (lambda: CoTeaching(None, 1.0), "forget_rate must lie below 1"),
        (lambda: CoTeaching(None, 0.4, 0), "gradual_epochs must be .* at least 1"),
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


def test_co_teaching_lowers_for_every_platform():
    rule, batch = CoTeaching(None, 0.4), a_batch(BATCH_LABELS, epoch=3)
    assert_lowers(lambda *pair: rule.loss(lambda p, _: p, pair, None, batch)[0], *PAIR)
