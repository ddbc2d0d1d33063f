"""A network along its training: parameters at chosen epochs, and how far its kernel has moved."""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import numpy as np

from ntk_air._base.progress import no_progress
from ntk_air._base.typing import KernelMatrix, Parameters
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.supervision import Supervision
from ntk_air.networks.training.minibatches import Minibatches
from ntk_air.networks.training.network_problem import NetworkProblem
from ntk_air.networks.training.optimisers import Optimiser
from ntk_air.networks.training.train import train
from ntk_air.networks.training.train_step import TrainingState
from ntk_air.networks.training.training_rules import TrainingRule


class NetworkSnapshot(eqx.Module):
    """A network after some epochs.

    Attributes:
        epoch: passes through the training set until then.
        params: parameters that are trained, as they were then.
        trajectory: training since the snapshot before; ``None`` at epoch 0.
    """

    epoch: int
    params: Parameters
    trajectory: Trajectory | None


class KernelMotion(eqx.Module):
    """How far a kernel Θ is from where it began, Θ_0; norms are Frobenius norms.

    Attributes:
        drift: relative distance ‖Θ − Θ_0‖/‖Θ_0‖.
        turn: 1 − ⟨Θ, Θ_0⟩/(‖Θ‖‖Θ_0‖), blind to scale (Fort et al. 2020, arXiv 2010.15110).
    """

    drift: float
    turn: float


def snapshots_along_training(
    problem: NetworkProblem,
    rule: TrainingRule | Supervision,
    epochs: Sequence[int],
    optimiser: Optimiser | Descent,
    *,
    method: Minibatches,
) -> list[NetworkSnapshot]:
    """Train a network and keep it at some epochs.

    Args:
        problem: network at its start, inputs and labels.
        rule: a ``Supervision``, trained on with the method's loss; or any ``TrainingRule``.
        epochs: passes through the training set after which the network is kept, ascending whole
            numbers from 0 on.
        optimiser: ``Descent`` at an absolute rate or a schedule of it, ``Adam`` or
            ``OptaxOptimiser``.
        method: batches and loss; its progress is told of each snapshot.

    Returns:
        The network at each of the epochs.

    Raises:
        ValueError: for epochs that do not ascend from 0 on, a run that diverged, a method that goes
            on from elsewhere, and what cannot be trained on.

    >>> import jax
    >>> import numpy as np
    >>> import ntk_air as na
    >>> network = na.networks.DenseNetwork((8,))
    >>> inputs, noisy = np.eye(4, dtype="float32"), np.array([[1], [1], [-1], [-1]], "float32")
    >>> problem = na.networks.NetworkProblem(
    ...     network.apply, network.init(jax.random.key(0), 4), inputs, na.Labels(noisy)
    ... )
    >>> plain = na.Supervision(na.label_functions.Identity(), na.weights.Constant(1.0))
    >>> batches = na.networks.Minibatches(2, jax.random.key(1))
    >>> kept = na.networks.snapshots_along_training(
    ...     problem, plain, [0, 2], na.Descent(0.1), method=batches
    ... )
    >>> [snapshot.epoch for snapshot in kept]
    [0, 2]
    """
    if len(epochs) == 0 or epochs[0] < 0 or any(np.diff(epochs) <= 0):
        raise ValueError(f"epochs must be ascending whole numbers from 0 on; got {tuple(epochs)}")
    if method.resume is not None or method.checkpoints is not None:
        raise ValueError("method must begin at the start: resume and checkpoints must be left out")
    per_epoch = method.steps_per_pass(problem.n_train)
    kept, run = [], None
    for done, epoch in enumerate(epochs, start=1):
        if epoch > 0:
            onward = dataclasses.replace(method, resume=run, progress=no_progress)
            run = train(problem, rule, [per_epoch * epoch], optimiser, method=onward)
            if run.times[-1] < per_epoch * epoch:
                raise ValueError(f"training ended before epoch {epoch}: " + "; ".join(run.notes))
        params = problem.params if run is None else _params_of(run)
        kept.append(NetworkSnapshot(epoch, params, run))
        method.progress("training", done, len(epochs))
    return kept


def kernel_motion(theta: KernelMatrix, start: KernelMatrix) -> KernelMotion:
    """Compare a network's kernel with what it was at the start.

    Args:
        theta: kernel Θ, (n_train, n_train).
        start: kernel Θ_0 at the start, (n_train, n_train).

    Returns:
        The relative distance, and the turn that is blind to scale.

    Raises:
        ValueError: for a kernel that is zero or not finite.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> na.networks.kernel_motion(2.0 * np.eye(3), np.eye(3))
    KernelMotion(drift=1.0, turn=0.0)
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
