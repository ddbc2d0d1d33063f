"""Verdicts as a table for a reader and as numbers for a file."""

from collections import Counter
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


_HEADS = (
    "verdict",
    "measured",
    "",
    "predicted",
    "error",
    "tolerance",
    "control",
    "seconds",
)
_WIDTHS = (14, 12, 1, 12, 8, 9, 9, 7)
_NAME_WIDTH, _LEAST_STATEMENT_WIDTH = 20, 24


def verdicts_table(verdicts: Sequence[Verdict]) -> Table:
    """Verdict, measured number, sign, predicted number, errors, seconds."""
    rows = []
    for verdict in verdicts:
        status, *numbers = _cells(verdict)
        status = f"{status}: {verdict.reason}" if verdict.reason else status
        rows.append((verdict.claim.name, verdict.claim.statement, status, *numbers))
    return table(("claim", "statement", *_HEADS), rows, n_left=3)


def verdict_row(verdict: Verdict, width: int, *, head: bool) -> Table:
    """One row, with the columns in the same places each time.

    Args:
        verdict: what became of the claim.
        width: characters of the line.
        head: whether the heads of the columns stand above it.
    """
    rest = _NAME_WIDTH + sum(_WIDTHS) + 2 * (len(_WIDTHS) + 1)
    statement = verdict.claim.statement + (f"\n– {verdict.reason}" if verdict.reason else "")
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=head)
    widths = (_NAME_WIDTH, max(_LEAST_STATEMENT_WIDTH, width - rest - 2), *_WIDTHS)
    for index, (name, each) in enumerate(zip(("claim", "statement", *_HEADS), widths, strict=True)):
        made.add_column(name, justify="left" if index < 3 else "right", width=each)
    made.add_row(verdict.claim.name, statement, *_cells(verdict))
    return made


def _cells(verdict: Verdict) -> list[str]:
    measurement, control = verdict.measurement, verdict.control
    seconds = f"{verdict.seconds:.1f}"
    if measurement is None or control is None:
        return [verdict.status, *[""] * 6, seconds]
    return [
        verdict.status,
        _value(measurement.measured, measurement),
        measurement.sign,
        _value(measurement.predicted, measurement),
        f"{measurement.error:.1e}",
        f"{measurement.tolerance:.0e}",
        f"{control.error:.1e}",
        seconds,
    ]


def _value(number: float, measurement: Measurement) -> str:
    """A number, or the power of a variable that it is."""
    if measurement.rate_in:
        return f"{measurement.rate_in}^{number:.3g}".replace("-", "−")
    return f"{number:.6g}"


def tally(verdicts: Sequence[Verdict]) -> str:
    """How many claims hold, and what became of the others."""
    counts = Counter(verdict.status for verdict in verdicts)
    says = {"fails": "failing", "control passed": "with a control that passed"}
    says |= {"does not apply": "not applying"}
    others = [f"{counts[status]} {words}" for status, words in says.items() if counts[status]]
    return ", ".join([f"{counts['holds']} of {len(verdicts)} hold", *others])


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


def _numbers(prefix: str, measurement: Measurement | None) -> dict[str, float | str | None]:
    names = ("predicted", "measured", "sign", "rate_in", "error", "tolerance")
    return {f"{prefix}{name}": getattr(measurement, name, None) for name in names}
