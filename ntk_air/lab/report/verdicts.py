"""Verdicts as a table for a reader and as numbers for a file."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ntk_air.claims.comparison import Claim, Measurement, Verdict
from ntk_air.lab.report.layout import table


def claims_table(claims: Sequence[Claim]) -> Table:
    """Name, statement, source, and what is compared."""
    columns = ("claim", "statement", "source", "compared", "control")
    rows = [(each.name, each.statement, each.source, each.method, each.control) for each in claims]
    return table(columns, rows, n_left=5)


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
