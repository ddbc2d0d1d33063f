"""The default schedule: what it gains, what it reads, and what it does when a class is lost."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.data.catalogue import load_dataset
from ntk_air.data.noise import SymmetricNoise
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.filters.spectral import GradientDescent
from ntk_air.dynamics.label_noise import default_schedule as module
from ntk_air.dynamics.label_noise.default_schedule import default_schedule
from ntk_air.dynamics.label_noise.flip_likelihood import FlipFit
from ntk_air.dynamics.rounds import ByRounds, Rounds, by_epoch, last_outputs, make_frame
from ntk_air.dynamics.supervision import Restart, Sharpened, Supervision
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.problem import HeldOut
from ntk_air.spectrum.decomposition import decompose
from tests.dynamics.reference import kernel_with, one_hot, spectrum_of
from tests.dynamics.runs import follow, problem_of

SEEDS = range(4)


@pytest.fixture(scope="module")
def digits():
    """Of each seed: spectrum, clean and noisy labels, held-out inputs; 40 % of labels flipped."""
    kernel = DenseNTK(depth=3)
    problems = []
    for seed in SEEDS:
        dataset = load_dataset("digits", n_train=200, n_test=600, seed=seed).normalised()
        dataset = dataset.with_label_noise(SymmetricNoise(0.4), seed=seed)
        cross = kernel(dataset.test_inputs, dataset.inputs)
        problems.append(
            (
                decompose(kernel(dataset.inputs)),
                dataset.clean_targets(),
                dataset.noisy_targets(),
                HeldOut(cross, dataset.test_targets()),
            )
        )
    return problems


@pytest.fixture(scope="module")
def schedules(digits):
    return [default_schedule(problem_of(spectrum, noisy)) for spectrum, _, noisy, _ in digits]


def test_it_beats_the_best_early_stopping_on_digits(digits, schedules):
    gains = []
    for (spectrum, clean, noisy, held_out), schedule in zip(digits, schedules, strict=True):
        run = follow(
            spectrum, noisy, schedule.rounds, method=ByRounds(), clean=clean, held_out=held_out
        )
        descent = follow(
            spectrum,
            noisy,
            GradientDescent(spectrum.default_learning_rate),
            np.unique(np.round(2.0 ** np.arange(0, 20, 0.25))),
            method=ClosedForm(),
            clean=clean,
            held_out=held_out,
        )
        gains.append(
            (
                run.held_out.accuracy[-1] - np.max(descent.held_out.accuracy),
                np.min(descent.train.rms_distance) - run.train.rms_distance[-1],
            )
        )
    standard_error = np.std(gains, axis=0, ddof=1) / np.sqrt(len(SEEDS))
    # Student's t with 3 degrees of freedom exceeds 3.18 with probability 0.025.
    assert (np.mean(gains, axis=0) > 3.18 * standard_error).all(), gains


def test_it_finds_the_noise_rate_and_says_why(digits, schedules):
    for (_, clean, noisy, _), schedule in zip(digits, schedules, strict=True):
        flipped = np.mean((clean * noisy).sum(axis=1) < 0)
        assert abs(schedule.noise.noise_rate - flipped) < 3 * schedule.noise.noise_rate_std_error
        best = int(np.argmax(schedule.hidden_log_likelihoods))
        assert schedule.rounds.epoch_length == schedule.epoch_lengths[best]
        assert schedule.rounds.supervision.warm_up == schedule.noise.steps
        said = " ".join(schedule.reasons)
        assert f"epoch {schedule.rounds.epoch_length} steps" in said
        assert f"{schedule.rounds.n_rounds} rounds" in said


def test_a_hidden_label_has_no_say_in_its_own_prediction(digits):
    spectrum, _, noisy, _ = digits[0]
    fold_of = np.arange(len(noisy)) % 5
    supervision = Supervision(Sharpened(0.05), lambda i: 0.5 + 0 * i, Restart(200), warm_up=200)
    frame = make_frame(spectrum, supervision, spectrum.default_learning_rate)
    shown = jnp.asarray(fold_of != np.arange(5)[:, None], float)
    hidden = fold_of == 2

    def outputs_for(labels):
        return np.asarray(
            module._hidden_outputs(
                frame, by_epoch(supervision), jnp.asarray(labels), shown, n_rounds=3
            )
        )

    outputs = outputs_for(noisy)
    changed = outputs_for(np.where(hidden[:, None], np.roll(noisy, 1, axis=1), noisy))
    np.testing.assert_array_equal(changed[hidden], outputs[hidden])
    assert np.abs(changed - outputs)[~hidden].max() > 1e-3
    alone = last_outputs(frame, by_epoch(supervision), np.where(hidden[:, None], 0, noisy), 3)
    np.testing.assert_allclose(outputs[hidden], np.asarray(alone)[hidden], atol=1e-12)


def test_rounds_end_before_a_class_is_lost():
    n, n_classes = 60, 3
    rng = np.random.default_rng(0)
    classes = np.arange(n) % n_classes
    points = np.eye(n_classes)[classes] + 0.05 * rng.normal(size=(n, n_classes))
    spectrum = spectrum_of(points @ points.T + 1e-3 * np.eye(n))
    noisy = one_hot(classes, n_classes)
    noise = default_schedule(problem_of(spectrum, noisy)).noise
    # Temperatures far above the outputs' size shrink every label (theory.md section 6h); a little
    # more of one class then wins everywhere.
    drifting = Supervision(_towards_class_0, lambda i: 0.5 * 0.5**i, Restart(50), warm_up=50)
    n_rounds, why, notes = module._count_rounds(spectrum, drifting, jnp.asarray(noisy), noise)
    assert "class was lost" in why
    assert "collapse: round" in notes[0]
    ends = [
        np.bincount(
            np.argmax(
                follow(
                    spectrum, noisy, Rounds(drifting, count), method=ByRounds()
                ).final.predictions,
                axis=1,
            ),
            minlength=n_classes,
        )
        for count in (n_rounds, n_rounds + 1)
    ]
    least = module._least_shares(noisy, noise) * n
    assert (ends[0] >= least).all()
    assert (ends[1] < least).any()


def _towards_class_0(outputs):
    size = jnp.max(jnp.abs(outputs), axis=1, keepdims=True)
    return outputs + 0.6 * size * np.array([2.0, -1.0, -1.0]) / 3


def test_labels_without_signal_get_no_rounds():
    spectrum = spectrum_of(kernel_with((1.0 + np.arange(60)) ** -0.5))
    gains = []
    for seed in range(6):
        classes = np.random.default_rng(seed).integers(0, 3, 60)
        schedule = default_schedule(problem_of(spectrum, one_hot(classes, 3)))
        gains.append(max(schedule.hidden_log_likelihoods) - schedule.plain_log_likelihood)
        assert schedule.rounds.n_rounds == 0
        assert any("nothing sure about the labels" in note for note in schedule.notes)
    # The best of five is above none by chance: it is the missing evidence that decides.
    assert max(gains) > 0


def test_the_same_seed_gives_the_same_schedule(digits, schedules):
    spectrum, _, noisy, _ = digits[0]
    again = default_schedule(problem_of(spectrum, noisy))
    assert eqx.tree_equal(again, schedules[0])


def test_bad_arguments_are_refused(digits):
    spectrum, _, noisy, _ = digits[0]
    with pytest.raises(ValueError, match="folds must be a whole number, from 2 to 200; got 1"):
        default_schedule(problem_of(spectrum, noisy), folds=1)
    with pytest.raises(ValueError, match="folds must be a whole number, from 2 to 200; got 201"):
        default_schedule(problem_of(spectrum, noisy), folds=201)
    with pytest.raises(ValueError, match="noisy must have one row"):
        default_schedule(problem_of(spectrum, noisy[1:]))


@pytest.mark.parametrize("lost_in", [1, 2, 3, 4, None])
def test_rounds_are_counted_to_the_last_that_keeps_all_classes(lost_in, monkeypatch):
    """Labels change up to round 3; a class is lost in one round, or never."""
    changed = np.array([0.5, 0.0, 0.1, 0.0, 0.0])
    shares = np.full((6, 2), 0.5)
    if lost_in is not None:
        shares[lost_in] = [1.0, 0.0]
    for name in ("make_frame", "by_epoch", "outputs_by_round"):
        monkeypatch.setattr(module, name, lambda *arguments: None)
    monkeypatch.setattr(module, "_patterns", lambda outputs: (changed, shares))
    monkeypatch.setattr(module, "_least_shares", lambda noisy, noise: np.array([0.2, 0.2]))
    monkeypatch.setattr(module, "_MOST_ROUNDS", 5)
    spectrum = spectrum_of(kernel_with(np.array([1.0, 0.5])))
    noise = module.estimate_noise(spectrum, np.array([[1.0], [-1.0]]))
    supervision = module._supervision(noise, 3)
    found, why, notes = module._count_rounds(
        spectrum, supervision, jnp.array([[1.0], [-1.0]]), noise
    )
    if lost_in in (None, 4):  # by then nothing changes any more
        assert (found, notes) == (3, ())
    else:
        assert found == lost_in - 1
        assert notes == (f"collapse: round {lost_in} loses the classes [1]",)
        assert "before a class was lost" in why


def test_one_epoch_length_that_beats_plain_descent_is_enough(monkeypatch):
    classes = np.arange(60) % 3
    points = np.eye(3)[classes] + 0.05 * np.random.default_rng(0).normal(size=(60, 3))
    spectrum = spectrum_of(points @ points.T + 1e-3 * np.eye(60))
    fit, judged = FlipFit(0.1, 0.0, 0.0, 0.0, ()), iter([-3.0, -1.0, -3.0, -3.0, -3.0])

    def judge(*_, n_rounds):
        return eqx.tree_at(lambda f: f.log_likelihood, fit, next(judged) if n_rounds else -2.0)

    monkeypatch.setattr(module, "_judge", judge)
    monkeypatch.setattr(module, "_count_rounds", lambda *_: (7, "why", ()))
    schedule = default_schedule(problem_of(spectrum, one_hot(classes, 3)))
    assert schedule.rounds.n_rounds == 7
    assert schedule.rounds.epoch_length == schedule.epoch_lengths[1]
