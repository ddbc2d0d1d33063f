"""Verdicts as a table for a reader and as numbers for a file."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ntk_air.claims.comparison import Claim, Measurement, Verdict
from ntk_air.data.dataset import Dataset
from ntk_air.lab.provenance import package_versions, source_state
from ntk_air.lab.report.layout import table


def claims_table(claims: Sequence[Claim]) -> Table:
    """Name, statement, theory, source, and what is compared."""
    columns = ("claim", "statement", "theory", "source", "compared", "control")
    rows = [
        (
            each.name,
            each.statement,
            ", ".join(each.theories),
            each.source,
            each.method,
            each.control,
        )
        for each in claims
    ]
    return table(columns, rows, n_left=6)


def verdicts_table(verdicts: Sequence[Verdict]) -> Table:
    """Verdict, predicted, measured, error, the control's error, seconds."""
    rows = []
    for verdict in verdicts:
        measurement, control = verdict.measurement, verdict.control
        if measurement is None or control is None:
            cells = [f"{verdict.status}: {verdict.reason}", *[""] * 5]
        else:
            cells = [
                verdict.status,
                f"{measurement.predicted:.6g}",
                f"{measurement.measured:.6g}",
                f"{measurement.error:.1e}",
                f"{measurement.tolerance:.0e}",
                f"{control.error:.1e}",
            ]
        claim = verdict.claim
        rows.append((claim.name, claim.statement, *cells, f"{verdict.seconds:.1f}"))
    numbers = ("predicted", "measured", "error", "tolerance", "control's error", "seconds")
    return table(("claim", "statement", "verdict", *numbers), rows, n_left=3)


def heading(dataset: Dataset, kernel_name: str) -> str:
    """What the claims were checked on."""
    kind = "no" if dataset.label_noise is None else dataset.label_noise.kind
    return (
        f"{dataset.name}: {dataset.n_train} inputs, {dataset.n_classes} classes, "
        f"{dataset.noise_fraction:.0%} {kind} label noise; {kernel_name}"
    )


def verdicts_record(
    dataset: Dataset, kernel_name: str, verdicts: Sequence[Verdict], *, left: Sequence[str]
) -> dict[str, Any]:
    """Verdicts with what they were made from, as JSON can hold it.

    Args:
        dataset: the data set with its label noise.
        kernel_name: the kernel in words.
        verdicts: the verdicts on the claims that were checked.
        left: the names of the claims that were asked for and not checked, after an interruption.
    """
    return {
        "status": "interrupted" if left else "complete",
        "claims_left": list(left),
        "dataset": dataset.name,
        "data_sha256": dataset.content_hash,
        "kernel": kernel_name,
        "noise_rate": dataset.noise_fraction,
        "package": source_state(),
        "versions": package_versions(),
        "verdicts": [verdict_numbers(verdict) for verdict in verdicts],
    }


def verdict_numbers(verdict: Verdict) -> dict[str, Any]:
    """Everything of a verdict, as JSON can hold it."""
    claim = verdict.claim
    return {
        "claim": claim.name,
        "statement": claim.statement,
        "source": claim.source,
        "method": claim.method,
        "verdict": verdict.status,
        "reason": verdict.reason,
        **_numbers("", verdict.measurement),
        "control": claim.control,
        **_numbers("control_", verdict.control),
        "seconds": round(verdict.seconds, 3),
    }


def _numbers(prefix: str, measurement: Measurement | None) -> dict[str, float | None]:
    names = ("predicted", "measured", "error", "tolerance")
    return {f"{prefix}{name}": getattr(measurement, name, None) for name in names}
