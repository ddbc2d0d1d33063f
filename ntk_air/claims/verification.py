"""Claims against a problem: all of them in the order of docs/theory.md, and their verdicts."""

import re
import time
from collections.abc import Iterable, Sequence
from types import ModuleType

from ntk_air._base.checks import check_callable, check_kind, listed
from ntk_air._base.progress import Progress, no_progress
from ntk_air.claims import (
    air,
    distillation,
    early_stopping,
    finite_width,
    linear_dynamics,
    noise_aware,
    self_distillation,
)
from ntk_air.claims.comparison import Claim, DoesNotApply, Status, Verdict
from ntk_air.claims.neighbours import THEORIES
from ntk_air.problem import Problem

_SECTIONS = (
    linear_dynamics,
    air,
    early_stopping,
    distillation,
    self_distillation,
    finite_width,
    noise_aware,
    *THEORIES,
)


def all_claims(names: Iterable[str] = (), theories: Iterable[str] = ()) -> list[Claim]:
    """All claims of this package, or those of the given names and theories.

    Args:
        names: names of claims; a section's number stands for all of it; none are all claims.
        theories: names of theories, such as "arora", the first author's surname; none are all.

    Returns:
        The claims in the order of docs/theory.md that have one of the names and one of the
        theories.

    Raises:
        ValueError: a name that no claim has, or a theory that no claim is of.
    """
    names, theories = tuple(names), tuple(theories)
    claims = [claim for section in _SECTIONS for claim in _claims_of(section)]
    unknown = [name for name in names if not any(_is_named(claim, name) for claim in claims)]
    if unknown:
        known = ", ".join(claim.name for claim in claims)
        raise ValueError(f"claims must be among {known}; got {', '.join(unknown)}")
    theorists = {theory: None for claim in claims for theory in claim.theories}
    if unknown := [theory for theory in theories if theory not in theorists]:
        raise ValueError(f"theory must be among {', '.join(theorists)}; got {', '.join(unknown)}")
    return [
        claim
        for claim in claims
        if (not names or any(_is_named(claim, name) for name in names))
        and (not theories or set(theories) & set(claim.theories))
    ]


def verify(
    problem: Problem, claims: Sequence[str | Claim] = (), *, progress: Progress = no_progress
) -> list[Verdict]:
    """Check claims on a problem: a prediction, an independent measurement, a negative control.

    Args:
        problem: kernel as a matrix with its spectrum; data set with label noise that the labels
            came from.
        claims: names of claims in docs/theory.md, numbers of its sections, or claims of your own;
            none are all of the package.
        progress: callback after each claim.

    Returns:
        A verdict for each claim: named ones in the order of docs/theory.md, then your own.

    Raises:
        ValueError: a name that no claim has, a problem without label noise.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import ntk_air as na
    >>> data = na.load_dataset("clusters", n_train=40, n_test=0, n_clusters=4)
    >>> noisy = data.with_label_noise(na.SymmetricNoise(0.2, exact=True), seed=0)
    >>> verdicts = na.verify(na.make_problem(noisy, na.DenseNTK(depth=2)), ["1a", "4a"])
    >>> [(verdict.claim.name, verdict.status) for verdict in verdicts]
    [('1a', 'holds'), ('4a', 'holds')]
    """
    check_kind("problem", problem, Problem)
    check_callable("progress", progress)
    given = listed("claims")(claims)
    names = [claim for claim in given if isinstance(claim, str)]
    own = [claim for claim in given if isinstance(claim, Claim)]
    chosen = own if own and not names else all_claims(names) + own
    verdicts = []
    for done, claim in enumerate(chosen, start=1):
        verdicts.append(_verdict(problem, claim))
        progress("claims", done, len(chosen))
    return verdicts


def _verdict(problem: Problem, claim: Claim) -> Verdict:
    """The verdict on a claim and its negative control."""
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


def _status(holds: bool, control_holds: bool) -> Status:
    if not holds:
        return "fails"
    return "control passed" if control_holds else "holds"


def _claims_of(section: ModuleType) -> list[Claim]:
    """The claims of a module, in the order that they stand in."""
    return [value for value in vars(section).values() if isinstance(value, Claim)]


def _is_named(claim: Claim, name: str) -> bool:
    section = re.match(r"\d+", claim.name)
    return name in (claim.name, section.group() if section else None)
