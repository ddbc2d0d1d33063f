"""The default schedule beside early stopping and beside oracles that see the clean labels."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_fraction, check_seed, check_whole_number
from ntk_air._base.typing import Targets
from ntk_air.dynamics.label_noise.default_schedule import DefaultSchedule, default_schedule
from ntk_air.dynamics.label_noise.noise_estimate import NoiseEstimate
from ntk_air.dynamics.rounds import (
    RoundsFrame,
    by_epoch,
    converged,
    last_outputs,
    make_frame,
)
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run import metrics
from ntk_air.dynamics.run.inputs import RunInputs
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.supervision import (
    Constant,
    Hard,
    LastEpoch,
    Power,
    Restart,
    Rounds,
    Sharpened,
    Supervision,
)
from ntk_air.problem import HeldOut, Labels, Problem
from ntk_air.spectrum.result import Spectrum

TIMES = np.unique(np.round(2.0 ** np.arange(0, 22.1, 0.25)))
"""Steps at which plain descent may be stopped."""

GRID_WEIGHTS = (0.3, 0.5, 0.7)
GRID_TEMPERATURES = (0.01, 0.05, 0.1, 0.2)
GRID_FACTORS = (0.5, 1.0, 2.0, 4.0)
_GRID_ROUNDS = 25
_FIRST_TRY_ROUNDS = 150


class Score(eqx.Module):
    """Where a run ended.

    Attributes:
        test_accuracy: share of held-out inputs that are right.
        rms_distance: d to the clean labels of the training inputs.
        steps: steps of plain descent, or of an epoch.
    """

    test_accuracy: float
    rms_distance: float
    steps: float


class Validation(eqx.Module):
    """A split of the training inputs for early stopping on noisy validation labels.

    Attributes:
        spectrum: spectrum of the kernel among the inputs that are trained on.
        cross_kernel: Θ between validation inputs and those, (n_validation, n_fitted).
        fitted: indices of the inputs that are trained on.
        held_back: indices of the validation inputs.
    """

    spectrum: Spectrum
    cross_kernel: Float[Array | np.ndarray, "n_validation n_fitted"]
    fitted: np.ndarray
    held_back: np.ndarray


class Comparison(eqx.Module):
    """Scores of all methods on one data set with one draw of noise.

    Attributes:
        scores: by method, see ``compare_schedules``.
        schedule: the default one.
        descent: plain descent at ``TIMES``.
        default_run: the default schedule, round by round.
    """

    scores: Mapping[str, Score]
    schedule: DefaultSchedule
    descent: Trajectory
    default_run: Trajectory


def split_rows(n: int, share: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Fitted and validation indices, ascending; a ``share`` of the rows for validation."""
    check_fraction("share", share)
    check_whole_number("n", n, minimum=1)
    check_seed("seed", seed)
    order = np.random.default_rng(seed).permutation(n)
    count = round(share * n)
    return np.sort(order[count:]), np.sort(order[:count])


def compare_schedules(problem: Problem, *, validation: Validation, seed: int = 0) -> Comparison:
    """Run every method on the same kernel and labels.

    Methods that see no clean label: ``default``; ``first_try``, that of theory.md (6h): hard labels
    once an epoch, α = (1 + epoch)^−1.5, the student going on; ``validation``, plain descent
    stopped where noisy validation labels say, then trained anew on all inputs; ``leave_one_out``,
    stopped at the default's warm-up; ``memorised``, not stopped.
    Oracles: ``oracle``, plain descent stopped at its best test accuracy; ``closest``, at its
    smallest distance to the clean labels; ``grid``, the schedule of best test accuracy of 96;
    ``clean_labels``, plain descent on the clean labels themselves, stopped at its best.

    Args:
        problem: kernel with its complete spectrum, noisy and clean labels, held-out inputs.
        validation: split of the training inputs for early stopping.
        seed: seed of the default schedule's folds.
    """
    beside = compare_with_descent(problem, seed=seed)
    schedule, scores = beside.schedule, dict(beside.scores)
    stops = {
        "validation": _best_on_validation(validation, problem.noisy),
        "leave_one_out": int(np.argmin(np.abs(np.log(TIMES / schedule.noise.steps)))),
    }
    scores |= {name: _score(beside.descent, index, TIMES[index]) for name, index in stops.items()}
    first_try = _first_try(schedule.noise.steps)
    run = solve(problem, first_try)
    scores["first_try"] = _score(run, -1, float(first_try.epoch_length))
    taught_clean = solve(problem.replace(labels=Labels(problem.clean)), Descent(), TIMES)
    best = int(np.argmax(_curves(taught_clean)[0]))
    scores["clean_labels"] = _score(taught_clean, best, TIMES[best])
    scores["grid"] = grid_oracle(problem, schedule.noise)
    return Comparison(
        scores=scores,
        schedule=schedule,
        descent=beside.descent,
        default_run=beside.default_run,
    )


def compare_with_descent(problem: Problem, *, seed: int = 0) -> Comparison:
    """Run the default schedule and plain descent alone on the same kernel and labels.

    Scores: ``default``; plain descent, ``memorised`` where it is not stopped, ``oracle`` at its
    best test accuracy, ``closest`` at its smallest distance to the clean labels.

    Args:
        problem: kernel with its complete spectrum, noisy and clean labels, held-out inputs.
        seed: seed of the default schedule's folds.
    """
    descent = solve(problem, Descent(), TIMES)
    schedule = default_schedule(problem, seed=seed)
    default_run = solve(problem, schedule.rounds)
    accuracy, distance = _curves(descent)
    stops = {
        "memorised": len(TIMES) - 1,
        "oracle": int(np.argmax(accuracy)),
        "closest": int(np.argmin(distance)),
    }
    scores = {name: _score(descent, index, TIMES[index]) for name, index in stops.items()}
    scores["default"] = _score(default_run, -1, float(schedule.rounds.epoch_length))
    return Comparison(scores=scores, schedule=schedule, descent=descent, default_run=default_run)


def grid_oracle(problem: Problem, noise: NoiseEstimate) -> Score:
    """The schedule of a grid that is best on the held-out inputs' clean labels.

    Restarted students with ``GRID_FACTORS`` × warm-up as epoch, ``GRID_WEIGHTS``,
    ``GRID_TEMPERATURES``, 25 rounds, finished with hard labels or those of the temperature.
    """
    supervisions = [
        Supervision(Sharpened(temperature), Constant(weight), Restart(1))
        for weight in GRID_WEIGHTS
        for temperature in GRID_TEMPERATURES
    ]
    stacked = jax.tree.map(
        lambda *leaves: jnp.stack(leaves) if eqx.is_array(leaves[0]) else leaves[0],
        *map(by_epoch, supervisions),
    )
    spectrum = problem.spectrum
    inputs = RunInputs(problem, spectrum.eigenvectors.dtype)
    assert inputs.held_out is not None  # of which the best is asked for
    best = Score(-1.0, np.inf, 0.0)
    for factor in GRID_FACTORS:
        length = max(1, round(factor * noise.steps))
        timed = Supervision(Hard(), Constant(1.0), Restart(length), warm_up=noise.steps)
        frame = make_frame(spectrum, timed, spectrum.default_learning_rate)
        resolved = jnp.asarray(spectrum.resolved)
        accuracy, distance = _grid_scores(frame, resolved, stacked, inputs)
        index = np.unravel_index(int(np.argmax(accuracy)), accuracy.shape)
        if accuracy[index] > best.test_accuracy:
            best = Score(float(accuracy[index]), float(distance[index]), float(length))
    return best


@eqx.filter_jit
def _grid_scores(
    frame: RoundsFrame,
    resolved: Array,
    supervisions: Supervision,
    inputs: RunInputs,
) -> tuple[Float[Array, "n_grid 2"], Float[Array, "n_grid 2"]]:
    """Test accuracy and distance of each grid point, finished hard and sharpened."""
    held_out, noisy, clean = inputs.held_out, inputs.labels.noisy, inputs.labels.clean
    assert held_out is not None
    basis = jnp.matmul(held_out.cross_kernel, frame.eigenvectors, precision="highest")

    def one(supervision: Supervision) -> tuple[Array, Array]:
        outputs = last_outputs(frame, supervision, noisy, _GRID_ROUNDS)
        accuracies, distances = [], []
        for finish in (Hard(), supervision.label_function):
            student = converged(frame, resolved, finish(outputs), jnp.zeros_like(noisy))
            predictions = jnp.matmul(basis, student.dual, precision="highest")
            accuracies.append(1.0 - metrics.zero_one_error(predictions, held_out.targets))
            distances.append(metrics.rms_distance(student.outputs, clean))
        return jnp.stack(accuracies), jnp.stack(distances)

    return eqx.filter_vmap(one)(supervisions)


def _first_try(steps: int) -> Rounds:
    supervision = Supervision(Hard(), Power(1.5), LastEpoch(steps), warm_up=steps)
    return Rounds(supervision, _FIRST_TRY_ROUNDS)


def _best_on_validation(validation: Validation, noisy: Targets) -> int:
    """The index into ``TIMES`` at which noisy validation labels are predicted best."""
    labels = np.asarray(noisy)
    fitted = Problem(
        Labels(labels[validation.fitted]),
        spectrum=validation.spectrum,
        held_out=HeldOut(validation.cross_kernel, labels[validation.held_back]),
    )
    descent = solve(fitted, Descent(), TIMES)
    return int(np.argmax(_curves(descent)[0]))


def _score(run: Trajectory, index: int, steps: float) -> Score:
    """The score at one record of a run."""
    accuracy, distance = _curves(run)
    return Score(float(accuracy[index]), float(distance[index]), float(steps))


def _curves(run: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Test accuracy and distance along a run that has held-out inputs."""
    assert run.held_out is not None
    return np.asarray(run.held_out.accuracy), np.asarray(run.train.rms_distance)


class Outcome(eqx.Module):
    """How self-distillation by default and plain descent end on the training inputs.

    Attributes:
        distance: d to the clean labels at the end of the default schedule.
        error: share of rows that are wrong there.
        descent_distance: plain descent's smallest d over all of ``TIMES``.
        descent_error: plain descent's smallest share of wrong rows.
    """

    distance: float
    error: float
    descent_distance: float
    descent_error: float


def training_outcome(problem: Problem, *, seed: int = 0) -> Outcome:
    """Run the default schedule and plain descent; held-out inputs are not looked at.

    Args:
        problem: kernel with its complete spectrum, noisy and clean labels.
        seed: seed of the default schedule's folds.
    """
    end = solve(problem, default_schedule(problem, seed=seed).rounds).last().train
    descent = solve(problem, Descent(), TIMES).train
    return Outcome(
        distance=float(end.rms_distance),
        error=float(end.zero_one_error),
        descent_distance=float(np.min(descent.rms_distance)),
        descent_error=float(np.min(descent.zero_one_error)),
    )
