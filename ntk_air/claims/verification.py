"""Claims against a problem: verdicts."""

import time
from collections.abc import Iterable

from ntk_air._base.progress import Progress, no_progress
from ntk_air.claims.claim import Claim, DoesNotApply, Status, Verdict
from ntk_air.problem import Problem


def verify_claim(claim: Claim, problem: Problem) -> Verdict:
    """Measure a claim and its negative control in a problem."""
    started = time.perf_counter()
    measurement = control = None
    reason: str = ""
    status: Status = "does not apply"
    try:
        measurement = claim.measure(problem)
        control = claim.measure_control(problem)
        status = _status(measurement.holds, control.holds)
    except DoesNotApply as premise:
        reason = str(premise)
        measurement = control = None
    return Verdict(claim, status, reason, measurement, control, time.perf_counter() - started)


def verify_claims(
    claims: Iterable[Claim], problem: Problem, *, progress: Progress = no_progress
) -> list[Verdict]:
    """Measure several claims, in their order."""
    chosen = list(claims)
    verdicts = []
    for done, claim in enumerate(chosen, start=1):
        verdicts.append(verify_claim(claim, problem))
        progress("claims", done, len(chosen))
    return verdicts


def _status(holds: bool, control_holds: bool) -> Status:
    if not holds:
        return "fails"
    return "control passed" if control_holds else "holds"
