"""Trajectories and certificates as the numbers of ``results.json`` and curves of ``arrays.npz``."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ntk_air._base.typing import AnyArray
from ntk_air.dynamics.certificates.certificate import Certificate
from ntk_air.dynamics.run.trajectory import Trajectory

CURVES = ("rms_distance", "zero_one_error", "margin_min", "memorised_share", "parameter_distance")


def run_numbers(trajectory: Trajectory) -> dict[str, Any]:
    """The best step in RMS distance and the last one."""
    best, last = trajectory.best(), trajectory.last()
    return {
        "rule": trajectory.rule,
        "best_rms": float(best.train.rms_distance),
        "best_step": best.step,
        "final_rms": float(last.train.rms_distance),
        "final_step": last.step,
        "zero_one_at_best": float(best.train.zero_one_error),
        "zero_one_final": float(last.train.zero_one_error),
        "final_margin_min": float(last.train.margin_min),
        "final_memorised_share": float(last.train.memorised_share),
        "test_accuracy_best": _best_accuracy(trajectory),
        "test_accuracy_final": None if last.held_out is None else float(last.held_out.accuracy),
        "notes": list(trajectory.notes),
    }


def certificate_numbers(certificate: Certificate) -> dict[str, Any]:
    """Whether and from where on convergence is proved."""
    return {
        "issued": certificate.issued,
        "reason": certificate.reason,
        "step": certificate.step,
        "bound_rms_at_step": certificate.rms_bound,
        "rounding_allowance": certificate.rounding_allowance,
        "unmoved_rms": certificate.unmoved_rms,
    }


def curves(name: str, trajectory: Trajectory) -> Mapping[str, AnyArray]:
    """Metric curves against steps."""
    arrays = {f"{name}_steps": trajectory.times}
    arrays |= {f"{name}_{curve}": getattr(trajectory.train, curve) for curve in CURVES}
    if trajectory.held_out is not None:
        arrays[f"{name}_test_accuracy"] = trajectory.held_out.accuracy
    return arrays


def largest_difference(exact: Trajectory, simulated: Trajectory) -> float:
    """The largest difference in RMS distance at the steps that both recorded."""
    steps, ours, theirs = np.intersect1d(
        np.asarray(exact.times), np.asarray(simulated.times), return_indices=True
    )
    if len(steps) == 0:
        raise ValueError("exact and simulated must have recorded common steps; they have none")
    exact_distance = np.asarray(exact.train.rms_distance)[ours]
    return float(np.max(np.abs(exact_distance - np.asarray(simulated.train.rms_distance)[theirs])))


def _best_accuracy(trajectory: Trajectory) -> float | None:
    if trajectory.held_out is None:
        return None
    return float(np.max(np.asarray(trajectory.held_out.accuracy)))
