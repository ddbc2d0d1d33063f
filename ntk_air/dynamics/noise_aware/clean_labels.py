"""One entry for labels of one's own: what of them is noise, by the kernel and the labels alone."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ntk_air._base.checks import (
    check_array,
    check_callable,
    check_finite,
    check_kind,
    check_seed,
)
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import CrossKernel, KernelMatrix
from ntk_air.data.labels import decode_targets, integer_labels
from ntk_air.dynamics.noise_aware.cleaned import CleanedLabels, JudgedStart
from ntk_air.dynamics.noise_aware.intervals import bootstrap_intervals, joined
from ntk_air.dynamics.noise_aware.kernel_learner import KernelLearner
from ntk_air.dynamics.noise_aware.learner import Learner, Probabilities
from ntk_air.dynamics.noise_aware.options import CleaningOptions
from ntk_air.dynamics.noise_aware.posterior import (
    normalised,
    own_label_likelihood,
)
from ntk_air.dynamics.noise_aware.rounds import Given, retrieve
from ntk_air.dynamics.noise_aware.selection import (
    Candidate,
    hidden_outputs,
    judge,
    stratified_folds,
)
from ntk_air.dynamics.noise_aware.transition import (
    estimate_transition,
    expected_counts,
    symmetric_transition,
)
from ntk_air.kernels.operators.operator import KernelOperator, as_operator
from ntk_air.problem import Problem
from ntk_air.spectrum.decomposition import decompose
from ntk_air.spectrum.krylov.top_modes import TopModes
from ntk_air.spectrum.result import Spectrum

_LEAST_EVIDENCE = 5.0
"""Nats that hidden labels must be predicted better by than by the shares of the classes."""

_LEAST_ROWS = 5

_STANDARD_ERRORS = 2.0
"""Ways that are less behind the best are in the intervals too."""


_USUAL = CleaningOptions()


def clean_labels(
    kernel: Problem | Spectrum | TopModes | KernelOperator | KernelMatrix | Learner,
    labels: Any = None,
    *,
    cross_kernel: CrossKernel | None = None,
    options: CleaningOptions = _USUAL,
    seed: int = 0,
    progress: Progress = no_progress,
) -> CleanedLabels:
    """Tell true labels from noise, with no clean label seen (theory.md section 10).

    Rounds of self-distillation with the label function q_i(a) ∝ p_i(a)^{1/τ}·T[a, z_i] start from
    several transition matrices T, and plain training stopped early is tried beside them. Each is
    judged by labels that were hidden from all of it; what predicts them best is run on all rows.

    Args:
        kernel: Problem with noisy labels; or the spectrum, top modes, operator or (n, n) matrix
            of a kernel on the rows; or a ``Learner`` of another model.
        labels: given class of each row as indices from 0, each of which occurs, (n,); ``None``
            takes those of a problem.
        cross_kernel: kernel between held-out rows and these, (m, n), to predict at the former;
            ``None`` takes a problem's held-out part, where there is one.
        options: what is tried, and how long.
        seed: seed of folds and bootstrap.
        progress: callback after each start that was judged.

    Returns:
        Beliefs with the verdict, and the numbers that it rests on.

    Raises:
        ValueError: for labels that are no class indices from 0, another number of labels than
            rows, no labels, held-out rows for a learner that is no kernel.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import ntk_air as na
    >>> data = na.load_dataset("digits", n_train=200).normalised()
    >>> noisy = data.with_label_noise(na.PairFlipNoise(0.3), seed=0)
    >>> found = na.clean_labels(na.make_problem(noisy, na.DenseNTK(depth=3)))
    >>> found.verdict, bool(abs(found.rate - noisy.noise_fraction) < 0.05)
    ('noise_aware', True)
    """
    check_kind("options", options, CleaningOptions)
    check_callable("progress", progress)
    seed = check_seed("seed", seed)
    source = _source(kernel)
    given = _given(kernel, labels, _n_rows(source))
    cross = _cross_kernel(kernel, cross_kernel, len(given))
    if cross is not None and isinstance(source, Learner) and not isinstance(source, KernelLearner):
        raise ValueError("cross_kernel must be None for a learner that is no kernel; got an array")
    early = _too_little(given)
    if early is not None:
        return early
    learner = _learner(source, options.n_modes)
    n_folds = min(options.folds, int(np.bincount(given).min()))
    folds = stratified_folds(given, n_folds, seed)
    hidden = hidden_outputs(learner, given, folds, options=options, progress=progress)
    candidates = judge(hidden, given, options)
    found = _concluded(learner, given, candidates, options=options, seed=seed)
    if cross is None or found.posterior is None or not isinstance(learner, KernelLearner):
        return found
    whole = _all_modes(source, learner)
    stop = whole.fit(found.posterior).stop
    outputs = whole.predict(whole.cross_modes(np.asarray(cross)), found.posterior, stop)
    calibrated = _choose(candidates)[0].calibrated(outputs, found.posterior)
    return dataclasses.replace(found, predictions=calibrated)


def _concluded(
    learner: Learner,
    given: Given,
    candidates: list[Candidate],
    *,
    options: CleaningOptions,
    seed: int,
) -> CleanedLabels:
    """The verdict, and what the chosen candidate says of all rows."""
    judged = _compared(candidates)
    evidence = float(np.sum(candidates[0].log_likelihoods)) - _chance(given)
    if evidence < _LEAST_EVIDENCE:
        why = (
            f"hidden labels are predicted {evidence:.1f} nats better than by the classes' shares "
            f"alone, over {len(given)} rows; {_LEAST_EVIDENCE:g} at least would be a signal"
        )
        return CleanedLabels(given, "no_signal", (why,), judged=judged, level=options.level)
    chosen, reason = _choose(candidates)
    final = _on_all_rows(learner, given, chosen, options)
    counts = expected_counts(given, chosen.beliefs)
    likely = _not_ruled_out(candidates)
    intervals = joined([bootstrap_intervals(given, x.beliefs, options, seed) for x in likely])
    return CleanedLabels(
        given,
        "early_stopping" if chosen.start is None else "noise_aware",
        (reason, *_silent(final.left_out)),
        posterior=final.posterior,
        hidden_probabilities=chosen.probabilities,
        transition=estimate_transition(counts).matrix,
        transition_interval=intervals.transition,
        rate=1 - float(np.trace(counts) / counts.sum()),
        rate_interval=intervals.rate,
        judged=judged,
        level=options.level,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Final:
    """What the last student on all rows made of them."""

    left_out: Probabilities
    posterior: Probabilities


def _on_all_rows(
    learner: Learner, given: Given, chosen: Candidate, options: CleaningOptions
) -> _Final:
    """The best candidate's run on all rows, calibrated as on hidden labels."""
    n_classes = int(given.max()) + 1
    targets = np.eye(n_classes)[given]
    last = learner.fit(targets)
    if chosen.start is None:
        transition = symmetric_transition(float(chosen.rate or 0), n_classes)
    else:
        transition = estimate_transition(expected_counts(given, chosen.beliefs)).matrix
        found = retrieve(learner, given, chosen.start, left_out=last.left_out, options=options)
        targets = found.beliefs
        last = learner.fit(targets, found.stop)
    others = chosen.calibrated(last.left_out, targets)
    posterior = normalised(others * own_label_likelihood(transition, given))
    return _Final(last.left_out, posterior)


def _choose(candidates: list[Candidate]) -> tuple[Candidate, str]:
    """The likeliest rounds where they beat early stopping by a standard error, and why."""
    plain = next(candidate for candidate in candidates if candidate.start is None)
    rounds = next(candidate for candidate in candidates if candidate.start is not None)
    gain, error = _paired(rounds.log_likelihoods - plain.log_likelihoods)
    numbers = (
        f"hidden labels: {rounds.log_likelihood:.4f} nats by self-distillation "
        f"({rounds.description}), {plain.log_likelihood:.4f} by early stopping, difference "
        f"{gain:.4f} ± {error:.4f}"
    )
    if gain > error:
        return rounds, numbers
    if gain > -error:
        return plain, f"{numbers}: self-distillation gains nothing that the labels show"
    return plain, f"{numbers}: next to no noise, or a kernel that takes its own errors for it"


def _not_ruled_out(candidates: list[Candidate]) -> list[Candidate]:
    """The candidates that are not behind the best by more than the labels could have it."""
    best, likely = candidates[0].log_likelihoods, []
    for candidate in candidates:
        behind, error = _paired(best - candidate.log_likelihoods)
        if behind <= _STANDARD_ERRORS * error or candidate is candidates[0]:
            likely.append(candidate)
    return likely


def _compared(candidates: list[Candidate]) -> tuple[JudgedStart, ...]:
    best = candidates[0].log_likelihoods
    return tuple(
        JudgedStart(each.description, each.log_likelihood, *_paired(best - each.log_likelihoods))
        for each in candidates
    )


def _paired(differences: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(np.mean(differences)), float(np.std(differences) / len(differences) ** 0.5)


def _chance(given: Given) -> float:
    """Log-likelihood of all labels by the classes' shares, in nats."""
    counts = np.bincount(given)
    return float(np.sum(counts * np.log(counts / len(given))))


def _silent(left_out: Probabilities) -> tuple[str, ...]:
    silent = int(np.sum(~np.any(left_out != 0, axis=1)))
    return (f"of {silent} of {len(left_out)} rows no other row says anything",) if silent else ()


def _given(kernel: Any, labels: Any, n_rows: int) -> Int[np.ndarray, " n"]:
    """The given classes of all rows, checked."""
    if labels is None:
        if not isinstance(kernel, Problem):
            raise ValueError("labels must be given for a kernel that is no problem; got None")
        return decode_targets(np.asarray(kernel.noisy))
    given = integer_labels("labels", labels).astype(np.int64)
    if len(given) == 0:
        raise ValueError("labels must not be empty; got none")
    classes = np.unique(given)
    if classes[0] != 0 or classes[-1] != len(classes) - 1:
        shown = ", ".join(str(value) for value in classes[:10])
        raise ValueError(
            f"labels must hold every class from 0 on: number the classes that occur; got {shown}"
        )
    if len(given) != n_rows:
        raise ValueError(
            f"labels must have one entry for each of the kernel's {n_rows} rows; got {len(given)}"
        )
    return given


def _too_little(given: Given) -> CleanedLabels | None:
    """The verdict on labels that nothing can be said of, whatever the kernel."""
    counts = np.bincount(given)
    if np.count_nonzero(counts) < 2:
        why = f"all {len(given)} labels are of one class"
        return CleanedLabels(given, "one_class", (why,))
    few = np.flatnonzero(counts < _LEAST_ROWS)
    if len(few):
        shown = ", ".join(f"{index} ({counts[index]})" for index in few[:10])
        why = f"classes with fewer than {_LEAST_ROWS} rows: {shown}; leave them out or merge them"
        return CleanedLabels(given, "too_few_rows", (why,))
    return None


def _source(kernel: Any) -> Spectrum | TopModes | KernelOperator | Learner:
    """What left-out outputs come from; raises ``ValueError`` for what is no kernel."""
    if isinstance(kernel, Problem):
        return kernel.spectrum if kernel.has_spectrum else kernel.operator
    if isinstance(kernel, Spectrum | TopModes | KernelOperator | Learner):
        return kernel
    return as_operator(kernel, "kernel")


def _n_rows(source: Spectrum | TopModes | KernelOperator | Learner) -> int:
    if isinstance(source, KernelOperator):
        return source.shape[0]
    return source.n_train if isinstance(source, Learner) else source.eigenvectors.shape[0]


def _learner(source: Spectrum | TopModes | KernelOperator | Learner, n_modes: int) -> Learner:
    """Closed form on the top modes, or the learner that was given."""
    if isinstance(source, Learner):
        return source
    if isinstance(source, KernelOperator):
        top_k = None if n_modes >= source.shape[0] else n_modes
        source = decompose(source, top_k=top_k, precision="float64")
    keep = slice(0, n_modes)
    return KernelLearner(
        np.asarray(source.eigenvalues)[keep], np.asarray(source.eigenvectors)[:, keep]
    )


def _all_modes(source: Any, learner: KernelLearner) -> KernelLearner:
    """The same with all modes that are at hand: held-out rows are predicted by a single fit."""
    if not isinstance(source, Spectrum | TopModes):
        return learner
    return KernelLearner(np.asarray(source.eigenvalues), np.asarray(source.eigenvectors))


def _cross_kernel(kernel: Any, given: Any, n_train: int) -> CrossKernel | None:
    if given is None:
        held_out = kernel.held_out if isinstance(kernel, Problem) else None
        return None if held_out is None else held_out.cross_kernel
    check_array("cross_kernel", given)
    if given.ndim != 2 or given.shape[1] != n_train:
        raise ValueError(
            f"cross_kernel must have shape (m, n) with n = {n_train} rows; got {given.shape}"
        )
    check_finite("cross_kernel", given)
    return given
