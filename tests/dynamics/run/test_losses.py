"""Cross-entropy in the kernel regime: its gradient, its bound, and runs against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.learning_rate import RelativeRate
from ntk_air.dynamics.run.losses import CrossEntropy, SquareLoss
from ntk_air.dynamics.stepwise.simulate import Stepwise
from tests.dynamics import supervised
from tests.dynamics.runs import follow
from tests.helpers.type_checks import without_type_checks


def cross_entropy(outputs, target):
    """The loss by its definition, on probabilities out of the target coding."""
    n_out = outputs.shape[1]
    if n_out == 1:
        p = (1 + target) / 2
        log_yes, log_no = jax.nn.log_sigmoid(outputs), jax.nn.log_sigmoid(-outputs)
        return -jnp.sum(p * log_yes + (1 - p) * log_no)
    return -jnp.sum((target + 1 / n_out) * jax.nn.log_softmax(outputs, axis=1))


@pytest.mark.parametrize("n_out", [1, 2, 5])
def test_gradients_are_those_of_the_losses(n_out):
    rng = np.random.default_rng(n_out)
    outputs = jnp.asarray(rng.normal(size=(9, n_out)))
    target = jnp.asarray(sv.Sharpened(1.0)(rng.normal(size=(9, n_out))))
    np.testing.assert_allclose(
        CrossEntropy().gradient(outputs, target),
        jax.grad(cross_entropy)(outputs, target),
        atol=1e-14,
    )
    np.testing.assert_array_equal(SquareLoss().gradient(outputs, target), outputs - target)
    for loss in (CrossEntropy(), SquareLoss()):
        np.testing.assert_allclose(
            jax.grad(loss.value)(outputs, target), loss.gradient(outputs, target), atol=1e-14
        )
    np.testing.assert_allclose(
        CrossEntropy().value(outputs, target), cross_entropy(outputs, target), rtol=1e-14
    )
    half_square = 0.5 * np.linalg.norm(outputs - target) ** 2
    np.testing.assert_allclose(SquareLoss().value(outputs, target), half_square, rtol=1e-14)


@pytest.mark.parametrize("n_out", [1, 2, 5])
def test_curvature_is_the_largest_second_derivative(n_out):
    rng = np.random.default_rng(n_out)
    rows = np.concatenate([rng.normal(scale=4, size=(200, n_out)), np.zeros((1, n_out))])
    if n_out > 2:  # the worst case: two classes share all probability
        rows[-1, 2:] = -40
    target = jnp.zeros((1, n_out))
    hessian = jax.vmap(jax.hessian(lambda row: cross_entropy(row[None], target)))(jnp.asarray(rows))
    largest = np.linalg.eigvalsh(hessian)[:, -1].max()
    np.testing.assert_allclose(largest, CrossEntropy().curvature(n_out), rtol=1e-6)


@pytest.mark.parametrize(
    ("n_out", "label", "teacher"),
    [(3, "hard", "last_epoch"), (1, "sharpened", "current"), (3, "identity", "average")],
)
def test_simulation_is_the_plain_loop(n_out, label, teacher):
    kernel, clean, noisy, initial = supervised.a_problem(n_out)
    ours, plain = supervised.LABELS[label]
    probabilities = supervised.sharpened(1.0)
    scale = 0.5 if n_out == 1 else 1.0  # the logistic gradient is half the difference of codings
    rate = 0.7 / np.linalg.eigvalsh(kernel)[-1]
    outputs, dual = supervised.supervised_steps(
        kernel,
        noisy,
        supervised.Taught(
            probabilities if label == "identity" else plain,
            supervised.SCHEDULES["power"][1],
            supervised.TEACHERS[teacher],
        ),
        supervised.PlainDescent(scale * rate, link=probabilities),
        n_steps=60,
        initial=initial,
    )
    supervision = sv.Supervision(ours, sv.Power(1.5, scale=3), supervised.TEACHERS[teacher])
    got = follow(
        kernel,
        noisy,
        supervision,
        [0, 25, 60],
        method=Stepwise(loss=CrossEntropy()),
        descent=Descent(rate),
        initial=initial,
        clean=clean,
        store_at=[25],
    )
    np.testing.assert_allclose(got.stored.train[0], outputs[25], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(np.asarray(got.final.dual), dual[-1], rtol=1e-11, atol=1e-12)
    measured = probabilities(outputs[60])
    np.testing.assert_allclose(
        got.train.rms_distance[-1], np.linalg.norm(measured - clean) / np.sqrt(24), rtol=1e-11
    )
    assert got.notes == ("metrics are of the outputs' probabilities in the target coding",)


@pytest.mark.parametrize("n_out", [1, 3])
def test_below_its_bound_the_loss_on_a_fixed_target_falls_at_every_step(n_out):
    kernel, _, noisy, _ = supervised.a_problem(n_out)
    bound = 8.0 if n_out == 1 else 4.0
    method = Stepwise(loss=CrossEntropy())
    run = {"times": np.arange(60), "store_at": np.arange(60), "method": method}
    below, at = (Descent(RelativeRate(share * bound)) for share in (0.99, 1.0))
    got = follow(kernel, noisy, sv.plain_descent(), descent=below, **run)
    losses = [float(cross_entropy(jnp.asarray(f), jnp.asarray(noisy))) for f in got.stored.train]
    assert (np.diff(losses) < 0).all()
    with pytest.raises(ValueError, match="learning_rate must lie below"):
        follow(kernel, noisy, sv.plain_descent(), descent=at, **run)


def test_self_distillation_on_cross_entropy_refines_noisy_labels():
    kernel, clean, noisy, _ = supervised.a_problem(1, n=60, flipped=0.0)
    flips = np.arange(60) % 10 < 3
    kernel = np.outer(clean, clean) + 0.05 * kernel  # one direction is the signal
    noisy = np.where(flips[:, None], -clean, clean)
    run = {"times": [4000], "method": Stepwise(loss=CrossEntropy()), "clean": clean}
    plain = follow(kernel, noisy, sv.plain_descent(), **run)
    taught = follow(kernel, noisy, sv.Supervision(sv.Hard(), sv.Harmonic(50.0)), **run)
    assert taught.train.zero_one_error[0] == 0
    assert taught.train.rms_distance[0] < 0.5 * plain.train.rms_distance[0]


@pytest.mark.parametrize(
    ("noisy", "supervision", "match"),
    [
        (
            np.array([[1.0, 0.0], [0.0, 1.0]]),
            sv.plain_descent(),
            r"noisy must be rows of probabilities less 1/C.*in \[-0.5, 0.5\]; got .* in \[0, 1\]",
        ),
        (
            np.array([[3.0], [-3.0]]),
            sv.plain_descent(),
            r"noisy must be ±1 or between for cross-entropy, in \[-1, 1\]; got values in \[-3, 3\]",
        ),
        (
            np.array([[1.0], [-1.0]]),
            sv.Supervision(lambda f: 2 * f, sv.Constant(0.5)),
            r"label_function's labels must be ±1 or between.*got values in \[-18, 18\]",
        ),
    ],
)
def test_labels_that_are_no_probabilities_are_refused(noisy, supervision, match):
    with pytest.raises(ValueError, match=match), without_type_checks():
        follow(np.eye(2), noisy, supervision, [1], method=Stepwise(loss=CrossEntropy()))
