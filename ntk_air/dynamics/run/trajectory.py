"""The one result of closed form, step-by-step simulation and network training."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from ntk_air._base.typing import AnyArray, Targets, TestTargets, Times
from ntk_air.dynamics.run.metrics import HeldOutMetrics, TrainMetrics


class FinalState(eqx.Module):
    """Where a run ended.

    Attributes:
        predictions: f_t on the training inputs, (n_train, n_out).
        dual: c_t with f_t = f_0 + Θc_t, (n_train, n_out); ``None`` for a finite network.
        held_out_predictions: f_t on the held-out inputs, (n_test, n_out), where there are any.
        resume: what the run goes on from, where its maker can: a pytree of arrays.
    """

    predictions: Targets
    dual: Targets | None = None
    held_out_predictions: TestTargets | None = None
    resume: Any = None


class StoredPredictions(eqx.Module):
    """Predictions kept at the times that were asked for.

    Attributes:
        times: steps, (n_stored,).
        train: f_t on the training inputs, (n_stored, n_train, n_out).
        held_out: f_t on the held-out inputs, (n_stored, n_test, n_out), where there are any.
    """

    times: Float[AnyArray, " n_stored"]
    train: Float[AnyArray, "n_stored n_train n_out"]
    held_out: Float[AnyArray, "n_stored n_test n_out"] | None = None


class Snapshot(eqx.Module):
    """The metrics of one step of a trajectory.

    Attributes:
        step: its time, in steps.
        train: training metrics, scalars.
        held_out: held-out metrics, scalars, where there are any.
    """

    step: float
    train: TrainMetrics
    held_out: HeldOutMetrics | None


class Trajectory(eqx.Module):
    """Metric curves over time, the final state, and what produced them.

    Attributes:
        times: steps, (n_time,), ascending; floats, since closed forms reach 1e12 and beyond.
            Gradient flow is put on the same axis by its time s = ηt.
        train: training metrics, each (n_time,).
        held_out: held-out metrics, each (n_time,), where held-out inputs were given.
        final: the state at the last time.
        stored: predictions at the times they were asked for, if any.
        learning_rate: η, absolute.
        rule: what produced the trajectory, for a reader.
        notes: what fell short or needs saying, for a reader; empty if nothing.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> theta, noisy = np.diag([2.0, 1.0]), np.array([[1.0], [-1.0]])
    >>> problem = na.Problem(na.Labels(noisy), theta, na.decompose(theta))
    >>> run = na.solve(problem, na.Descent(), [0, 10])
    >>> run.last().step, round(float(run.last().train.residual_norm), 6)
    (10.0, 0.000977)
    """

    times: Times
    train: TrainMetrics
    held_out: HeldOutMetrics | None
    final: FinalState
    stored: StoredPredictions | None = None
    learning_rate: float = eqx.field(kw_only=True)
    rule: str = eqx.field(kw_only=True, static=True)
    notes: tuple[str, ...] = eqx.field(default=(), kw_only=True, static=True)

    def __check_init__(self):
        for name, curve in self.curves().items():
            if curve.shape != self.times.shape:
                raise ValueError(
                    f"{name} must have one value per time, shape {self.times.shape}; "
                    f"got shape {curve.shape}"
                )

    def curves(self) -> dict[str, AnyArray]:
        """Every metric curve by name, each (n_time,): ``train_…`` and ``held_out_…``."""
        parts: list[tuple[str, eqx.Module]] = [("train", self.train)]
        if self.held_out is not None:
            parts.append(("held_out", self.held_out))
        return {
            f"{part}_{field.name}": getattr(metrics, field.name)
            for part, metrics in parts
            for field in dataclasses.fields(metrics)
        }

    def at(self, index: int) -> Snapshot:
        """The metrics at ``times[index]``.

        Raises:
            ValueError: nothing was recorded; says why.
        """
        if len(self.times) == 0:
            raise ValueError(f"no step was recorded: {'; '.join(self.notes) or 'no times asked'}")
        train, held_out = jax.tree.map(lambda curve: curve[index], (self.train, self.held_out))
        return Snapshot(step=float(self.times[index]), train=train, held_out=held_out)

    def best(self) -> Snapshot:
        """The recorded step nearest to the clean labels in RMS distance; the first of equals.

        Raises:
            ValueError: no recorded distance is finite.
        """
        distance = np.asarray(self.train.rms_distance)
        if not np.isfinite(distance).any():
            raise ValueError(
                f"no finite train_rms_distance among {len(distance)} recorded times: "
                "the run diverged before its first record"
            )
        return self.at(int(np.argmin(np.where(np.isfinite(distance), distance, np.inf))))

    def kept(self) -> StoredPredictions:
        """The outputs at the steps of ``store_at``.

        Raises:
            ValueError: no outputs were asked for.
        """
        if self.stored is None:
            raise ValueError("no outputs were kept: name steps to keep them at in store_at")
        return self.stored

    def last(self) -> Snapshot:
        """The metrics at the last recorded time."""
        return self.at(-1)
