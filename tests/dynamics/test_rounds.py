"""Rounds from epoch to epoch against plain stepping of the same supervision."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics.rounds import ByRounds, Rounds, by_epoch, make_frame, outputs_by_round
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.supervision import (
    Agreement,
    Constant,
    CurrentStep,
    Hard,
    LastEpoch,
    Power,
    Restart,
    Sharpened,
    Supervision,
)
from ntk_air.problem import HeldOut
from tests.dynamics.reference import (
    SPECTRA,
    kernel_with,
    noisy_problem,
    spectrum_of,
    step_by_step,
)
from tests.dynamics.runs import follow
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers

N, N_TEST, N_ROUNDS = 24, 7, 4


def problem(n_out, spectrum="power_law", seed=0):
    kernel = kernel_with(SPECTRA[spectrum](N), seed=seed)
    clean, noisy = noisy_problem(N, n_out, seed=seed)
    rng = np.random.default_rng(seed + 1)
    held_out = HeldOut(
        rng.normal(size=(N_TEST, N)) @ kernel / N,
        noisy_problem(N_TEST, n_out, seed=seed + 2)[0],
        initial=0.1 * rng.normal(size=(N_TEST, n_out)),
    )
    initial = 0.1 * rng.normal(size=clean.shape)
    return kernel, clean, noisy, initial, held_out


SUPERVISIONS = {
    "restart": Supervision(Sharpened(0.3), Constant(0.5), Restart(11), warm_up=6),
    "restart, no warm-up": Supervision(Hard(), Power(0.7), Restart(7)),
    "last epoch": Supervision(Sharpened(0.2), Power(1.0), LastEpoch(9), warm_up=5),
    "agreement": Supervision(Hard(), Agreement(), Restart(8), warm_up=8),
}


@pytest.mark.parametrize("n_out", [1, 3])
def test_the_finish_is_the_limit_of_a_new_student(n_out):
    kernel, clean, noisy, initial, held_out = problem(n_out, "step")
    rounds = Rounds(SUPERVISIONS["restart"], N_ROUNDS, finish=Hard())
    spectrum = spectrum_of(kernel)
    inputs = {"initial": initial, "clean": clean, "held_out": held_out}
    followed = follow(spectrum, noisy, rounds, method=ByRounds(), **inputs)
    before = follow(
        spectrum, noisy, Rounds(rounds.supervision, N_ROUNDS), method=ByRounds(), **inputs
    )
    supervision = rounds.finishing_supervision(before.final.predictions)
    target = np.asarray(Hard()(before.final.predictions))
    rate = 1.5 / spectrum.lambda_max
    last = 40_000  # The slowest mode has shrunk by e^−60.
    predictions, dual = step_by_step(
        kernel, lambda *_: target, learning_rate=rate, steps=[last], initial=initial
    )[last]
    assert followed.times[-1] == np.inf
    np.testing.assert_allclose(supervision.target(target, noisy, jnp.array(0)).target, target)
    np.testing.assert_allclose(followed.final.predictions, predictions, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(np.asarray(followed.final.dual), dual, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(
        followed.train.rms_distance[-1], np.linalg.norm(predictions - clean) / np.sqrt(N)
    )
    held_off = np.linalg.norm(held_out.predictions(dual) - held_out.targets) / np.sqrt(N_TEST)
    np.testing.assert_allclose(followed.held_out.rms_distance[-1], held_off, rtol=1e-7)
    np.testing.assert_allclose(
        np.asarray(followed.final.held_out_predictions),
        held_out.predictions(dual),
        rtol=1e-7,
        atol=1e-7,
    )


@pytest.mark.parametrize("n_rounds", [0, 1, 3])
def test_the_finish_begins_where_the_last_round_ends(n_rounds):
    for supervision in SUPERVISIONS.values():
        rounds = Rounds(supervision, n_rounds, finish=Hard())
        assert rounds.n_steps == rounds.times()[-2]


def test_modes_without_eigenvalue_stay_where_the_student_began():
    kernel, clean, noisy, initial, _ = problem(3, "rank_deficient")
    spectrum = spectrum_of(kernel)
    rounds = Rounds(SUPERVISIONS["restart"], 2, finish=Hard())
    followed = follow(spectrum, noisy, rounds, method=ByRounds(), initial=initial, clean=clean)
    null = np.asarray(spectrum.eigenvectors)[:, N // 2 :]
    np.testing.assert_allclose(
        null.T @ (np.asarray(followed.final.predictions) - initial), 0, atol=1e-9
    )
    np.testing.assert_allclose(null.T @ np.asarray(followed.final.dual), 0, atol=1e-9)
    assert any("below precision stand still" in note for note in followed.notes)


def test_outputs_by_round_are_those_of_the_trajectory():
    kernel, _, noisy, _, _ = problem(3)
    spectrum, supervision = spectrum_of(kernel), SUPERVISIONS["restart"]
    frame = make_frame(spectrum, supervision, spectrum.default_learning_rate)
    by_round = outputs_by_round(frame, by_epoch(supervision), jnp.asarray(noisy), N_ROUNDS)
    for n_rounds in (0, N_ROUNDS):
        end = follow(
            spectrum, noisy, Rounds(supervision, n_rounds), method=ByRounds()
        ).final.predictions
        np.testing.assert_allclose(by_round[n_rounds], end, atol=1e-12)


def test_other_lengths_weights_and_temperatures_compile_nothing():
    kernel, clean, noisy, _, _ = problem(3)
    spectrum = spectrum_of(kernel)

    def run(temperature, weight, length, warm_up):
        supervision = Supervision(
            Sharpened(temperature), Constant(weight), Restart(length), warm_up=warm_up
        )
        rounds = Rounds(supervision, 3, Hard())
        follow(spectrum, noisy, rounds, method=ByRounds(), clean=clean)

    run(0.2, 0.5, 10, 5)
    with count_compilations() as compiled:
        run(0.1, 0.3, 14, 3)
    assert not compiled


def test_rounds_lower_for_every_platform():
    kernel, _, noisy, _, _ = problem(3)
    spectrum, supervision = spectrum_of(kernel), SUPERVISIONS["restart"]
    frame = make_frame(spectrum, supervision, spectrum.default_learning_rate)
    assert_lowers(
        lambda frame, noisy: outputs_by_round(frame, by_epoch(supervision), noisy, 2),
        frame,
        jnp.asarray(noisy),
    )


def test_a_truncated_spectrum_is_told():
    kernel, _, noisy, _, _ = problem(1)
    spectrum = spectrum_of(kernel, top_k=5)
    notes = follow(spectrum, noisy, Rounds(SUPERVISIONS["restart"], 1), method=ByRounds()).notes
    assert any("only 5 of 24 modes" in note for note in notes)


@pytest.mark.parametrize(
    ("supervision", "message"),
    [
        (Supervision(Hard(), Constant(0.5), CurrentStep()), "changes once an epoch.*CurrentStep"),
        (
            Supervision(Hard(), Power(1.0), Restart(3), weight_by="step"),
            "stands still within an epoch.*Power by step",
        ),
    ],
)
def test_a_target_that_moves_within_an_epoch_is_refused(supervision, message):
    with pytest.raises(ValueError, match=message):
        Rounds(supervision, 3)


def test_bad_arguments_are_refused():
    kernel, _, noisy, _, _ = problem(3)
    spectrum, supervision = spectrum_of(kernel), SUPERVISIONS["restart"]
    with pytest.raises(ValueError, match="n_rounds must be a whole number, at least 0; got -1"):
        Rounds(supervision, -1)
    with pytest.raises(ValueError, match="finish must be a label function"):
        Rounds(supervision, 1).finishing_supervision(jnp.asarray(noisy))
    with pytest.raises(ValueError, match="noisy must have one row"):
        follow(spectrum, noisy[:-1], Rounds(supervision, 1), method=ByRounds())
    with pytest.raises(ValueError, match="h\\(0\\) = 0"):
        follow(spectrum, noisy, Rounds(supervision, 1, finish=jnp.cos), method=ByRounds())
    with pytest.raises(ValueError, match="learning_rate must lie below"):
        follow(
            spectrum,
            noisy,
            Rounds(supervision, 1),
            method=ByRounds(),
            descent=Descent(2.1 / spectrum.lambda_max),
        )
