"""Runs that must be the same: of plain loops, and one compared with the other."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from ntk_air.dynamics.run import metrics
from ntk_air.dynamics.run.trajectory import FinalState, StoredPredictions, Trajectory


@jax.jit
def measured(labels, held_out, outputs, dual):
    """All metrics of f_t and c_t at some times, by their definitions, and held-out predictions."""

    def one(outputs, dual):
        distance = metrics.parameter_distance(outputs - labels.initial, dual)
        train = metrics.train_metrics(
            outputs, labels.clean, labels.noisy, parameter_distance=distance
        )
        held = held_out.initial + jnp.matmul(held_out.cross_kernel, dual, precision="highest")
        return train, metrics.held_out_metrics(held, held_out.targets), held

    return jax.vmap(one)(outputs, dual)


def as_run(problem, outputs, dual, times):
    """The trajectory of f_t and c_t at some times, (n_time, n_train, n_out)."""
    train, held_out, held = measured(problem.labels, problem.held_out, outputs, dual)
    return Trajectory(
        times=np.asarray(times, float),
        train=train,
        held_out=held_out,
        final=FinalState(predictions=outputs[-1], dual=dual[-1], held_out_predictions=held[-1]),
        stored=StoredPredictions(np.asarray(times, float), outputs, held),
        learning_rate=1.0,
        rule="plain loops",
    )


def assert_same(got, expected, *, rtol=1e-9, atol=1e-11):
    """The same records, outputs and dual variables at all times that both have."""
    _, mine, theirs = np.intersect1d(got.times, expected.times, return_indices=True)
    assert len(mine) == min(len(got.times), len(expected.times))
    close = functools.partial(np.testing.assert_allclose, rtol=rtol, atol=atol)
    for name, curve in got.curves().items():
        one, other = np.asarray(curve)[mine], np.asarray(expected.curves()[name])[theirs]
        if name == "train_parameter_distance":
            # Where λ = 0, c grows without an end; cᵀΘc cannot tell that from 0 better than this.
            dual = np.asarray(got.final.dual)
            leak = len(dual) * np.finfo(float).eps * np.sum(dual**2)
            np.testing.assert_allclose(one**2, other**2, rtol=rtol, atol=leak, err_msg=name)
        else:
            close(one, other, err_msg=name)
    if got.stored is not None and expected.stored is not None:
        close(got.stored.train[mine], expected.stored.train[theirs], err_msg="outputs")
        close(got.stored.held_out[mine], expected.stored.held_out[theirs], err_msg="held out")
    if got.times[-1] == expected.times[-1]:
        last, same = got.final, expected.final
        close(last.predictions, same.predictions, err_msg="last outputs")
        if last.held_out_predictions is not None:
            close(last.held_out_predictions, same.held_out_predictions, err_msg="last held out")
        scale = np.abs(same.dual).max()
        np.testing.assert_allclose(last.dual, same.dual, rtol=0, atol=rtol * scale, err_msg="dual")


TO_ROUNDING = {"rtol": 1e-11, "atol": 1e-12}
"""How near the same steps are that are taken one by one."""


def assert_all_agree(runs, *, stepped=None):
    """Each run is each other one, and nothing fell short of any; ``stepped`` of plain steps."""
    for (one, got), (other, expected) in itertools.combinations(runs.items(), 2):
        precision = stepped if {one, other} == {"plain", "Stepwise"} else None
        try:
            assert_same(got, expected, **precision or {})
        except AssertionError as error:
            raise AssertionError(f"{one} and {other} differ: {error}") from error
    for name, run in runs.items():
        assert all("eigenvalues are below" in note for note in run.notes), (name, run.notes)
