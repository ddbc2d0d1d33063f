"""Co-teaching: the selection by the peer and the forget rate, in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.networks.noisy_labels import CoTeaching
from ntk_air.networks.training.optimisers import Descent
from ntk_air.networks.training.train import train
from tests.helpers.lowering import assert_lowers
from tests.networks.noisy_labels.batches import N_CLASSES, a_batch, loss_and_gradient, softmax

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, N_CLASSES, 10)
PAIR = tuple(2 * RNG.normal(size=(10, N_CLASSES)) for _ in range(2))


def by_hand(first, second, kept):
    """Loss and gradients with each network on its peer's ``kept`` smallest losses."""
    losses = [-np.log(softmax(f)[range(10), LABELS]) for f in (first, second)]
    chosen = [np.argsort(loss, kind="stable")[:kept] for loss in losses]
    total, gradients = 0.0, []
    for outputs, loss, rows in zip((first, second), losses, chosen[::-1], strict=True):
        gradient = np.zeros_like(outputs)
        gradient[rows] = (softmax(outputs) - np.eye(N_CLASSES)[LABELS])[rows] / kept
        gradients.append(gradient)
        total += loss[rows].mean()
    return total, gradients


@pytest.mark.parametrize(("epoch", "kept"), [(0, 10), (1, 9), (5, 7), (10, 5), (40, 5)])
def test_each_network_learns_what_its_peer_finds_easy(epoch, kept):
    rule = CoTeaching(0.5)
    loss, gradients, _ = loss_and_gradient(rule, PAIR, None, a_batch(LABELS, epoch=epoch))
    # 9.5, 7.5: the share of a batch is rounded down.
    expected, slopes = by_hand(*PAIR, kept)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    for got, wanted in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-14)


def test_the_forget_rate_grows_linearly_and_stays():
    shares = CoTeaching(0.4, 5).remembered_share(jnp.asarray([0, 1, 2, 5, 6, 100]))
    np.testing.assert_allclose(shares, [1, 0.92, 0.84, 0.6, 0.6, 0.6])


def test_training_moves_both_networks_and_measures_the_first():
    inputs = RNG.normal(size=(10, 6))
    pair = tuple(0.1 * RNG.normal(size=(6, N_CLASSES)) for _ in range(2))
    run = train(
        lambda params, x: x @ params,
        pair,
        inputs,
        np.eye(N_CLASSES)[LABELS] - 1 / N_CLASSES,
        CoTeaching(0.4, 2),
        Descent(0.3),
        times=[3],
        reduction="mean",
        key=jax.random.key(0),
    )
    first, second = (p.copy() for p in pair)
    for kept in (10, 8, 6):  # full batches: each step is an epoch
        _, slopes = by_hand(inputs @ first, inputs @ second, kept)
        first, second = (
            p - 0.3 * inputs.T @ s for p, s in zip((first, second), slopes, strict=True)
        )
    np.testing.assert_allclose(run.final.resume.params[0], first, rtol=1e-10)
    np.testing.assert_allclose(run.final.resume.params[1], second, rtol=1e-10)
    np.testing.assert_allclose(run.final.predictions, inputs @ first, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CoTeaching(-0.1), "forget_rate must lie in"),
        (lambda: CoTeaching(1.0), "forget_rate must lie below 1"),
        (lambda: CoTeaching(0.4, 0), "gradual_epochs must be .* at least 1"),
    ],
)
def test_bad_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_it_lowers_for_every_platform():
    rule, batch = CoTeaching(0.4), a_batch(LABELS, epoch=3)
    assert_lowers(lambda *pair: rule.loss(lambda p, _: p, pair, None, batch)[0], *PAIR)
