"""A network along its training: parameters at chosen epochs, and how far its kernel has moved."""

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import PRNGKeyArray, Shaped

from ntk_air._base.checks import check_at_least
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray, ApplyFn, Inputs, KernelMatrix, Parameters, Targets
from ntk_air.dynamics.run.losses import CrossEntropy
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.supervision import plain_descent
from ntk_air.networks.training.optimisers import Optimiser
from ntk_air.networks.training.stepping import TrainingState
from ntk_air.networks.training.train import HeldOutInputs, train


class Snapshot(eqx.Module):
    """A network after some epochs.

    Attributes:
        epoch: passes through the training set until then.
        params: its parameters.
        trajectory: of the training since the snapshot before; ``None`` at epoch 0.
    """

    epoch: int
    params: Parameters
    trajectory: Trajectory | None


class KernelMotion(eqx.Module):
    """How far a kernel Θ is from where it began, Θ_0; norms are Frobenius norms.

    Attributes:
        drift: ‖Θ − Θ_0‖/‖Θ_0‖.
        turn: 1 − ⟨Θ, Θ_0⟩/(‖Θ‖‖Θ_0‖), blind to scale (Fort et al. 2020, arXiv 2010.15110).
    """

    drift: float
    turn: float


def snapshots_along_training(
    apply_fn: ApplyFn,
    params: Parameters,
    inputs: Inputs,
    labels: Targets,
    optimiser: Optimiser,
    *,
    epochs: Sequence[int],
    batch_size: int,
    key: PRNGKeyArray | Shaped[AnyArray, "2"],
    clean: Targets | None = None,
    held_out: HeldOutInputs | None = None,
    progress: Progress = no_progress,
) -> list[Snapshot]:
    """Train on cross-entropy, a mean over minibatches, and keep the network at some epochs.

    Args:
        apply_fn: ``apply_fn(params, x)``, logits (n, n_out).
        params: θ_0.
        inputs: (n_train, *features).
        labels: what is learnt, (n_train, n_out), in the target coding.
        optimiser: as of ``train``.
        epochs: when to keep the network, ascending whole numbers from 0 on.
        batch_size: examples in a step, at most n_train.
        key: of the batches.
        clean: y, (n_train, n_out), that metrics are against.
        held_out: held-out inputs to measure on.
        progress: called after each snapshot.

    Raises:
        ValueError: epochs that do not ascend from 0 on, a run that diverged, and what ``train``
            refuses.
    """
    check_at_least("batch_size", batch_size, 1)
    if len(epochs) == 0 or epochs[0] < 0 or any(np.diff(epochs) <= 0):
        raise ValueError(f"epochs must be ascending whole numbers from 0 on; got {tuple(epochs)}")
    per_epoch = len(inputs) // batch_size
    kept, run = [], None
    for done, epoch in enumerate(epochs, start=1):
        if epoch > 0:
            run = train(
                apply_fn,
                params,
                inputs,
                labels,
                plain_descent(),
                optimiser,
                times=[per_epoch * epoch],
                loss=CrossEntropy(),
                batch_size=batch_size,
                reduction="mean",
                key=key,
                clean=clean,
                held_out=held_out,
                resume=run,
            )
            if run.times[-1] < per_epoch * epoch:
                raise ValueError(f"training ended before epoch {epoch}: " + "; ".join(run.notes))
        kept.append(Snapshot(epoch, params if run is None else _params_of(run), run))
        progress("training", done, len(epochs))
    return kept


def kernel_motion(theta: KernelMatrix, start: KernelMatrix) -> KernelMotion:
    """Compare Θ with Θ_0, (n_train, n_train) each.

    Raises:
        ValueError: for a kernel that is zero or not finite.
    """
    theta, start = np.asarray(theta, np.float64), np.asarray(start, np.float64)
    norms = {name: float(np.linalg.norm(m)) for name, m in (("theta", theta), ("start", start))}
    for name, norm in norms.items():
        if not 0 < norm < np.inf:
            raise ValueError(f"{name} must be finite and not zero; its norm is {norm}")
    cosine = float(np.sum(theta * start)) / (norms["theta"] * norms["start"])
    return KernelMotion(
        drift=float(np.linalg.norm(theta - start)) / norms["start"], turn=max(1.0 - cosine, 0.0)
    )


def _params_of(run: Trajectory) -> Parameters:
    state = run.final.resume
    assert isinstance(state, TrainingState)  # train makes no other
    return state.params
