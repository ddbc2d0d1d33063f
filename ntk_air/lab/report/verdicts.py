"""Verdicts as a table for a reader and as numbers for a file."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ntk_air.claims.comparison import Claim, Measurement, Verdict


def claims_table(claims: Sequence[Claim]) -> Table:
    """Name, statement, source, and what is compared."""
    table = Table("claim", "statement", "source", "compared", "control", box=None, pad_edge=False)
    for claim in claims:
        table.add_row(claim.name, claim.statement, claim.source, claim.method, claim.control)
    return table


def verdicts_table(verdicts: Sequence[Verdict]) -> Table:
    """Verdict, predicted, measured, error, the control's error, seconds."""
    table = Table("claim", "statement", "verdict", box=None, pad_edge=False)
    for column in ("predicted", "measured", "error", "tolerance", "control's error", "seconds"):
        table.add_column(column, justify="right")
    for verdict in verdicts:
        claim = verdict.claim
        if verdict.measurement is None or verdict.control is None:
            note = f"{verdict.status}: {verdict.reason}"
            table.add_row(claim.name, claim.statement, note, *[""] * 5, f"{verdict.seconds:.1f}")
            continue
        measurement, control = verdict.measurement, verdict.control
        table.add_row(
            claim.name,
            claim.statement,
            verdict.status,
            f"{measurement.predicted:.6g}",
            f"{measurement.measured:.6g}",
            f"{measurement.error:.1e}",
            f"{measurement.tolerance:.0e}",
            f"{control.error:.1e}",
            f"{verdict.seconds:.1f}",
        )
    return table


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
