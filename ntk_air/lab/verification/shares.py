"""Which process checks which claims, and how long that takes."""

import re
from collections.abc import Sequence

from ntk_air.claims import Claim

SECONDS = {
    "1a": 2.5,
    "1c": 2.0,
    "2a": 1.2,
    "4b": 2.0,
    "4d": 1.0,
    "5a": 1.2,
    "5b": 1.5,
    "5c": 1.3,
    "5c-rounds": 1.4,
    "5d": 1.5,
    "5e": 3.3,
    "6a": 7.5,
    "6b": 8.0,
    "6c": 4.2,
    "6e": 4.4,
    "6f": 11.5,
    "6g": 0.8,
    "7a": 16.0,
    "7d": 7.5,
    "10c": 0.7,
    "11-dang": 5.0,
    "11-medvedev": 1.5,
    "11-kim": 2.5,
    "11-simon": 2.3,
}
"""Processor seconds on the default problem of the claims that take longer than most."""

_OF_OTHERS = 0.3
_WORTH_A_PROCESS = 10.0


def seconds_of(claims: Sequence[Claim]) -> float:
    """What claims take on the default problem, on one idle core."""
    return sum((SECONDS.get(claim.name, _OF_OTHERS) for claim in claims), start=0.0)


def shares(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Claims by section, or paper (11-arora), which share what they compute; the longest first."""
    sections: dict[str, list[Claim]] = {}
    for claim in claims:
        number = re.match(r"\d+(-[a-z]+)?", claim.name)
        sections.setdefault(number.group() if number else "", []).append(claim)
    return sorted(sections.values(), key=seconds_of, reverse=True)


def n_processes(claims: Sequence[Claim], jobs: int | None, cores: int) -> int:
    """Processes that are worth their start: as many as asked for, at most one a section."""
    worth = int(seconds_of(claims) // _WORTH_A_PROCESS) if jobs is None else jobs
    return max(1, min(worth, jobs or cores, len(shares(claims))))
