"""Losses for noisy labels: values and gradients by the papers' equations, in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.losses import CrossEntropy, SquareLoss
from ntk_air.networks.noisy_labels import (
    DistanceToInitialisation,
    EarlyLearningRegularisation,
    ForwardCorrection,
    SoftBootstrapping,
)
from ntk_air.networks.training.minibatches import Minibatches
from ntk_air.networks.training.network_problem import NetworkProblem
from ntk_air.networks.training.train import train
from ntk_air.problem import Labels
from tests.helpers.lowering import assert_lowers
from tests.networks.noisy_labels.batches import (
    N_CLASSES,
    a_batch,
    loss_and_gradient,
    softmax,
    table,
)

RNG = np.random.default_rng(0)
LABELS = np.array([0, 2, 1, 3, 1])
ONE_HOT = np.eye(N_CLASSES)[LABELS]
LOGITS = RNG.normal(size=(5, N_CLASSES))
MATRIX = RNG.dirichlet(np.ones(N_CLASSES), N_CLASSES)


def test_soft_bootstrapping_is_cross_entropy_with_least_entropy():
    p = softmax(LOGITS)
    entropy = -(p * np.log(p)).sum(axis=1, keepdims=True)
    expected = -0.7 * np.log(p[range(5), LABELS]) + 0.3 * entropy[:, 0]
    # The entropy's gradient by the logits is −p(log p + H).
    slope = 0.7 * (p - ONE_HOT) - 0.3 * p * (np.log(p) + entropy)
    loss, gradient, _ = loss_and_gradient(SoftBootstrapping(0.7), LOGITS, None, a_batch(LABELS))
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-12)
    np.testing.assert_allclose(gradient, slope / 5, atol=1e-14)


def test_forward_correction_compares_noisy_labels():
    p = softmax(LOGITS)
    noisy = p @ MATRIX
    own = noisy[range(5), LABELS]
    # d log Σ_a p_a T_ab / d f_c = p_c (T_cb − Σ_a p_a T_ab) / Σ_a p_a T_ab.
    slope = -p * (MATRIX[:, LABELS].T - own[:, None]) / own[:, None]
    loss, gradient, _ = loss_and_gradient(ForwardCorrection(MATRIX), LOGITS, None, a_batch(LABELS))
    np.testing.assert_allclose(loss, -np.log(own).mean(), rtol=1e-12)
    np.testing.assert_allclose(gradient, slope / 5, atol=1e-14)


def test_forward_correction_of_two_classes_reads_the_sign():
    matrix = np.array([[0.9, 0.1], [0.4, 0.6]])
    outputs, labels = np.array([[0.3], [-1.2]]), np.array([1, 0])
    p = softmax(np.concatenate([np.zeros((2, 1)), outputs], axis=1))
    expected = -np.log((p @ matrix)[range(2), labels]).mean()
    loss, _, _ = loss_and_gradient(
        ForwardCorrection(matrix), outputs, None, a_batch(labels, n_classes=2)
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


def test_early_learning_regularisation_follows_its_equations():
    strength, decay, rows = 3.0, 0.7, np.array([6, 0, 3, 2, 5])
    rule = EarlyLearningRegularisation(strength, decay)
    state = rule.init(8, N_CLASSES, np.dtype(float))
    averages = np.zeros((8, N_CLASSES))
    for visit in range(3):
        logits = LOGITS + visit
        logits[:, visit] += 1.0
        p = softmax(logits)
        averages[rows] = decay * averages[rows] + (1 - decay) * p
        t = averages[rows]
        agreement = (p * t).sum(axis=1, keepdims=True)
        expected = -np.log(p[range(5), LABELS]) + strength * np.log(1 - agreement[:, 0])
        # Lemma 2 of the paper: g_c = p_c/(1 − ⟨p, t⟩)·Σ_k (t_k − t_c)p_k.
        pull = p / (1 - agreement) * (agreement - t)
        loss, gradient, state = loss_and_gradient(rule, logits, state, a_batch(LABELS, rows=rows))
        np.testing.assert_allclose(loss, expected.mean(), rtol=1e-12)
        np.testing.assert_allclose(gradient, (p - ONE_HOT + strength * pull) / 5, atol=1e-14)
        np.testing.assert_allclose(state, averages, atol=1e-15)


def test_early_learning_regularisation_stays_finite_when_all_is_certain():
    rule = EarlyLearningRegularisation(3.0, 0.0)
    logits = 200.0 * ONE_HOT
    state = rule.init(5, N_CLASSES, np.dtype(float))
    loss, gradient, _ = loss_and_gradient(rule, logits, state, a_batch(LABELS))
    assert np.isfinite(loss) and np.isfinite(gradient).all()


def test_distance_to_initialisation_ends_at_kernel_ridge_regression():
    ridge, inputs, start = 0.6, RNG.normal(size=(5, 7)), RNG.normal(size=(7, N_CLASSES))
    noisy = ONE_HOT - 1 / N_CLASSES
    kernel = inputs @ inputs.T
    run = train(
        NetworkProblem(lambda params, x: x @ params, start, inputs, Labels(noisy)),
        DistanceToInitialisation(SquareLoss(), start, ridge),
        [1500],
        Descent(1 / (np.linalg.eigvalsh(kernel)[-1] + ridge)),
        method=Minibatches(key=jax.random.key(0)),
    )
    dual = np.linalg.solve(kernel + ridge * np.eye(5), noisy - inputs @ start)
    np.testing.assert_allclose(run.final.predictions, inputs @ start + kernel @ dual, atol=1e-9)


def test_distance_to_initialisation_adds_its_penalty_to_cross_entropy():
    start = {"a": jnp.asarray(LOGITS), "b": jnp.ones(2)}
    moved = {"a": start["a"] + 0.5, "b": jnp.asarray([3.0, 1.0])}
    rule = DistanceToInitialisation(CrossEntropy(), start, 0.8)
    state = rule.init(50, N_CLASSES, np.dtype(float))
    loss, gradient, _ = loss_and_gradient(
        rule, moved, state, a_batch(LABELS), network=lambda params, batch: params["a"]
    )
    p = softmax(LOGITS + 0.5)
    square = 20 * 0.25 + 4.0
    expected = -np.log(p[range(5), LABELS]).mean() + 0.4 * square / 50
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient["b"], np.array([1.6, 0.0]) / 50, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SoftBootstrapping(1.5), "weight must lie in"),
        (lambda: EarlyLearningRegularisation(-1.0), "strength must be .* at least 0"),
        (lambda: EarlyLearningRegularisation(1.0, 2.0), "decay must lie in"),
        (lambda: ForwardCorrection(np.ones((2, 2))), "transition_matrix must have rows"),
        (lambda: ForwardCorrection(MATRIX).init(9, 3, np.dtype(float)), "a row for each of 3"),
        (lambda: DistanceToInitialisation(SquareLoss(), LOGITS, -1.0), "ridge must be"),
    ],
)
def test_bad_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "rule",
    [SoftBootstrapping(), ForwardCorrection(MATRIX), EarlyLearningRegularisation()],
    ids=lambda rule: type(rule).__name__,
)
def test_rules_lower_for_every_platform(rule):
    state = rule.init(5, N_CLASSES, np.dtype(float))
    assert_lowers(lambda logits: rule.loss(table, logits, state, a_batch(LABELS))[0], LOGITS)
