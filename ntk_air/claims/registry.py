"""All claims, in the order of docs/theory.md."""

from collections.abc import Collection

from ntk_air.claims import (
    air,
    distillation,
    early_stopping,
    finite_width,
    linear_dynamics,
    self_distillation,
)
from ntk_air.claims.claim import Claim

_SECTIONS = (linear_dynamics, air, early_stopping, distillation, self_distillation, finite_width)


def all_claims(names: Collection[str] = ()) -> list[Claim]:
    """All claims, or those of the given names; a section's number stands for all of it.

    Raises:
        ValueError: a name that no claim has.
    """
    claims = [claim for section in _SECTIONS for claim in section.CLAIMS]
    unknown = [name for name in names if not any(_is_named(claim, name) for claim in claims)]
    if unknown:
        known = ", ".join(claim.name for claim in claims)
        raise ValueError(f"claims must be among {known}; got {', '.join(unknown)}")
    if not names:
        return claims
    return [claim for claim in claims if any(_is_named(claim, name) for name in names)]


def _is_named(claim: Claim, name: str) -> bool:
    return claim.name == name or (name.isdigit() and claim.name.startswith(name))
