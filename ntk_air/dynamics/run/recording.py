"""Records of a run on the host, one after the other: metrics always, predictions where asked."""

import dataclasses
from collections.abc import Collection

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.typing import Targets, TestTargets
from ntk_air.dynamics.run.losses import Loss
from ntk_air.dynamics.run.metrics import (
    HeldOutMetrics,
    TrainMetrics,
    held_out_metrics,
    train_metrics,
)
from ntk_air.dynamics.run.trajectory import FinalState, StoredPredictions, Trajectory


class View(eqx.Module):
    """What can be seen of a run at one step.

    Attributes:
        outputs: f_t, (n_train, n_out).
        parameter_distance: ‖θ_t − θ_0‖, linearised.
        held_out: f_t on the held-out inputs, (n_test, n_out), where there are any.
    """

    outputs: Targets
    parameter_distance: Float[Array, ""]
    held_out: TestTargets | None


class ReferenceLabels(eqx.Module):
    """What a run is measured against: y and ỹ on the training inputs, y on the held-out ones."""

    clean: Targets
    noisy: Targets
    held_out: TestTargets | None


class Recorder:
    """Collects the metrics of views; memory grows with the number of records alone.

    Args:
        loss: its ``predictions`` are what is measured.
        labels: what they are measured against.
        store_at: steps at which the outputs are kept as well.
        resume: a trajectory to go on from, its records first.
    """

    def __init__(
        self,
        loss: Loss,
        labels: ReferenceLabels,
        *,
        store_at: Collection[float] = (),
        resume: Trajectory | None = None,
    ):
        self._loss = loss
        self._labels = labels
        self._store_at = frozenset(store_at)
        self._before = resume
        self._steps: list[float] = []
        self._metrics: list[tuple[TrainMetrics, HeldOutMetrics | None]] = []
        self._stored: list[StoredPredictions] = []

    @property
    def last_step(self) -> float:
        """The step of the last record; −1 before the first."""
        if self._steps:
            return self._steps[-1]
        return -1.0 if self._before is None else float(self._before.times[-1])

    def record(self, step: float | int, view: View) -> None:
        """Measure ``view`` and note it under ``step``."""
        self._steps.append(float(step))
        self._metrics.append(jax.device_get(_measure(self._loss, view, self._labels)))
        if step in self._store_at:
            held_out = None if view.held_out is None else np.asarray(view.held_out)[None]
            stored = StoredPredictions(
                np.array([float(step)]), np.asarray(view.outputs)[None], held_out
            )
            self._stored.append(stored)

    def trajectory(
        self, final: FinalState, *, learning_rate: float, rule: str, notes: tuple[str, ...]
    ) -> Trajectory:
        """All records so far as a trajectory that ends in ``final``."""
        times = np.asarray(self._steps, float)
        train, held_out = jax.tree.map(
            lambda empty, *values: np.append(empty, np.asarray(values, empty.dtype)),
            self._no_metrics(),
            *self._metrics,
        )
        stored = self._stored
        if self._before is not None:
            before = (np.asarray(self._before.times), self._before.train, self._before.held_out)
            times, train, held_out = _join(before, (times, train, held_out))
            stored = [*([] if self._before.stored is None else [self._before.stored]), *stored]
        return Trajectory(
            times=times,
            train=train,
            held_out=held_out,
            final=final,
            stored=_join(*stored) if stored else None,
            learning_rate=learning_rate,
            rule=rule,
            notes=notes,
        )

    def _no_metrics(self) -> tuple[TrainMetrics, HeldOutMetrics | None]:
        def without_values(kind):
            empty = np.zeros(0, self._labels.noisy.dtype)
            return kind(**dict.fromkeys((f.name for f in dataclasses.fields(kind)), empty))

        measured = self._labels.held_out is not None
        return without_values(TrainMetrics), without_values(HeldOutMetrics) if measured else None


def _join(*parts):
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


@eqx.filter_jit
def _measure(
    loss: Loss, view: View, labels: ReferenceLabels
) -> tuple[TrainMetrics, HeldOutMetrics | None]:
    train = train_metrics(
        loss.predictions(view.outputs),
        labels.clean,
        labels.noisy,
        parameter_distance=view.parameter_distance,
    )
    if view.held_out is None or labels.held_out is None:
        return train, None
    return train, held_out_metrics(loss.predictions(view.held_out), labels.held_out)
