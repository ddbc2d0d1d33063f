"""A schedule of self-distillation that needs no clean labels and nothing to tune.

Each choice is what the noisy labels themselves say, through labels that the judged run never saw.
The target is ½ỹ + ½·softmax(f/T) of the last epoch, each epoch a new student from 0; the
probabilities softmax(f/T′) of the last round are then learnt to convergence (theory.md
section 6).

- Warm-up t_w: the middle of the steps whose leave-one-out likelihood of the noisy labels is
  within a standard error of the largest; temperature T and noise rate: its maximum there.
- Epoch length, a multiple of t_w: maximum likelihood of noisy labels that were hidden, fold by
  fold, throughout warm-up and rounds (ỹ_i = 0, no opinion).
- T′: with which the hidden labels are likeliest, so that the last labels are the posterior
  mean of the clean ones, the nearest to them in mean square.
- Rounds: until hard labels change no more, and none if hidden labels are predicted no better
  than by plain descent. Never past a round that loses a class.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_kind, check_seed, check_whole_number
from ntk_air._base.typing import Targets
from ntk_air.dynamics.label_noise.flip_likelihood import FlipFit, class_shares, fit_flips
from ntk_air.dynamics.label_noise.noise_estimate import NoiseEstimate, check_noisy, estimate_noise
from ntk_air.dynamics.rounds import (
    Rounds,
    RoundsFrame,
    by_epoch,
    last_outputs,
    make_frame,
    outputs_by_round,
)
from ntk_air.dynamics.supervision import Constant, Hard, Restart, Sharpened, Supervision
from ntk_air.problem import Problem
from ntk_air.spectrum.result import Spectrum

WEIGHT = 0.5
"""α: the given labels and the teacher's weigh alike."""

EPOCH_FACTORS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Epoch lengths that are judged, in units of the warm-up."""

_MOST_ROUNDS = 25
_STANDARD_ERRORS = 3.0


class DefaultSchedule(eqx.Module):
    """What to train under, and why.

    Attributes:
        rounds: warm-up, rounds and finish, for ``solve`` or a finite network.
        noise: the estimate that warm-up and temperature come from.
        epoch_lengths: those judged, in steps, (n_candidate,).
        hidden_log_likelihoods: mean log-likelihoods of hidden noisy labels under each, in nats.
        plain_log_likelihood: the same for plain descent stopped after the warm-up.
        reasons: why each quantity was chosen, for a reader.
        notes: what fell short; empty if nothing.
    """

    rounds: Rounds
    noise: NoiseEstimate
    epoch_lengths: tuple[int, ...]
    hidden_log_likelihoods: tuple[float, ...]
    plain_log_likelihood: float
    reasons: tuple[str, ...] = eqx.field(static=True)
    notes: tuple[str, ...] = eqx.field(static=True)


def default_schedule(problem: Problem, *, folds: int = 5, seed: int = 0) -> DefaultSchedule:
    """Choose warm-up, epoch length, label function and number of rounds from (Θ, ỹ) alone.

    Each choice is a maximum of the likelihood of noisy labels (theory.md section 6h).

    Args:
        problem: kernel with its complete spectrum, and noisy labels; no clean label is looked at.
        folds: number of parts that the labels are hidden by, at least 2.
        seed: seed of the choice of folds.

    Returns:
        The rounds to train under, with the reason for each choice and what was judged.

    Raises:
        ValueError: for a truncated spectrum, labels that are not in the target coding or all
            alike, and ``folds`` out of range.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import ntk_air as na
    >>> data = na.load_dataset("digits", n_train=60).normalised()
    >>> problem = na.make_problem(data, na.DenseNTK(depth=3))
    >>> na.default_schedule(problem).rounds.supervision.label_function
    Sharpened(temperature=...)
    """
    check_kind("problem", problem, Problem)
    spectrum = problem.spectrum
    labels = check_noisy(spectrum, problem.noisy)
    folds = check_whole_number("folds", folds, minimum=2, maximum=labels.shape[0])
    seed = check_seed("seed", seed)
    noise = estimate_noise(spectrum, labels)
    fold_of = np.random.default_rng(seed).permutation(labels.shape[0]) % folds
    lengths = sorted({max(1, round(factor * noise.steps)) for factor in EPOCH_FACTORS})
    fits = [
        _judge(spectrum, _supervision(noise, length), labels, fold_of, n_rounds=_MOST_ROUNDS)
        for length in lengths
    ]
    plain = _judge(spectrum, _supervision(noise, lengths[0]), labels, fold_of, n_rounds=0)
    scores = [fit.log_likelihood for fit in fits]
    best = int(np.argmax(scores))
    supervision, finish = _supervision(noise, lengths[best]), fits[best]
    n_rounds, why, notes = _count_rounds(spectrum, supervision, labels, noise)
    if max(scores) < plain.log_likelihood or not noise.has_signal:
        n_rounds, why = 0, "hidden labels are predicted no better than by plain descent"
        finish, notes = plain, ("no gain expected from self-distillation: no rounds",)
    return DefaultSchedule(
        rounds=Rounds(supervision, n_rounds, finish=Sharpened(finish.temperature)),
        noise=noise,
        epoch_lengths=tuple(lengths),
        hidden_log_likelihoods=tuple(scores),
        plain_log_likelihood=plain.log_likelihood,
        reasons=_reasons(
            noise,
            length=lengths[best],
            score=max(scores),
            n_rounds=n_rounds,
            why=why,
            finish=finish,
        ),
        notes=noise.notes + notes,
    )


def _supervision(noise: NoiseEstimate, length: int) -> Supervision:
    return Supervision(
        Sharpened(noise.temperature), Constant(WEIGHT), Restart(length), warm_up=noise.steps
    )


def _judge(
    spectrum: Spectrum,
    supervision: Supervision,
    noisy: Targets,
    fold_of: np.ndarray,
    *,
    n_rounds: int,
) -> FlipFit:
    """How well labels are predicted by the rounds that they were hidden from."""
    frame = make_frame(spectrum, supervision, spectrum.default_learning_rate)
    shown = jnp.asarray(fold_of[None, :] != np.arange(fold_of.max() + 1)[:, None], noisy.dtype)
    outputs = _hidden_outputs(frame, by_epoch(supervision), noisy, shown, n_rounds=n_rounds)
    return fit_flips(outputs, noisy)


@eqx.filter_jit
def _hidden_outputs(
    frame: RoundsFrame,
    supervision: Supervision,
    noisy: Targets,
    shown: Float[Array, "n_fold n_train"],
    *,
    n_rounds: int,
) -> Float[Array, "n_train n_out"]:
    """Each row's outputs in the run that its label was hidden from."""

    def one_fold(shown_rows):
        return last_outputs(frame, supervision, shown_rows[:, None] * noisy, n_rounds)

    outputs = jax.vmap(one_fold)(shown)
    return jnp.einsum("fn,fnc->nc", 1 - shown, outputs)


def _count_rounds(
    spectrum: Spectrum,
    supervision: Supervision,
    noisy: Targets,
    noise: NoiseEstimate,
) -> tuple[int, str, tuple[str, ...]]:
    """The rounds until the hard labels stand still, why, and what fell short."""
    frame = make_frame(spectrum, supervision, spectrum.default_learning_rate)
    outputs = outputs_by_round(frame, by_epoch(supervision), noisy, _MOST_ROUNDS)
    changed, shares = jax.tree.map(np.asarray, _patterns(outputs))
    lost = shares < _least_shares(noisy, noise)
    n_rounds = int(np.max(np.flatnonzero(changed), initial=-1)) + 1
    rounds_with_loss = np.flatnonzero(lost[: n_rounds + 1].any(axis=1))
    if len(rounds_with_loss):
        first = int(rounds_with_loss[0])
        classes = np.flatnonzero(lost[first]).tolist()
        note = f"collapse: round {first} loses the classes {classes}"
        return max(first - 1, 0), "the last before a class was lost", (note,)
    if n_rounds == _MOST_ROUNDS:
        share = changed[-1]
        note = f"{share:.2%} of the hard labels still change in round {_MOST_ROUNDS}"
        return _MOST_ROUNDS, "the most that are tried", (note,)
    return n_rounds, f"no hard label changes from there to round {_MOST_ROUNDS}", ()


@jax.jit
def _patterns(
    outputs: Float[Array, "n_round n_train n_out"],
) -> tuple[Float[Array, " n_change"], Float[Array, "n_round n_classes"]]:
    """The share of rows whose hard label a round changed, and the classes' shares."""
    hard = jax.vmap(Hard())(outputs)
    changed = jnp.any(hard[1:] != hard[:-1], axis=2)
    return jnp.mean(changed, axis=1, dtype=outputs.dtype), jax.vmap(class_shares)(outputs)


def _least_shares(noisy: Targets, noise: NoiseEstimate) -> Float[np.ndarray, " n_classes"]:
    """Half of what a class surely has of the clean labels: below it the class is lost.

    E[share in ỹ] = s·share in y + (1 − s)/C, s = 1 − qC/(C − 1) (theory.md section 3), less
    three standard errors.
    """
    shares = np.asarray(class_shares(noisy))
    n_classes = len(shares)
    scale = max(1 - noise.noise_rate * n_classes / (n_classes - 1), 1e-9)
    clean = (shares - (1 - scale) / n_classes) / scale
    error = np.sqrt(shares * (1 - shares) / noisy.shape[0]) / scale
    return np.maximum(clean - _STANDARD_ERRORS * error, 0) / 2


def _reasons(
    noise: NoiseEstimate, *, length: int, score: float, n_rounds: int, why: str, finish: FlipFit
) -> tuple[str, ...]:
    return (
        f"warm-up {noise.steps} steps, temperature {noise.temperature:.3g}, noise rate "
        f"{noise.noise_rate:.1%}: maximum leave-one-out likelihood of the noisy labels "
        f"({noise.log_likelihood:.4f} nats, chance {noise.chance_log_likelihood:.4f})",
        f"weight {WEIGHT:g}: given and taught labels weigh alike",
        f"epoch {length} steps: hidden noisy labels are likeliest ({score:.4f} nats)",
        f"{n_rounds} rounds: {why}",
        f"finish at temperature {finish.temperature:.3g}: hidden noisy labels are likeliest",
    )
