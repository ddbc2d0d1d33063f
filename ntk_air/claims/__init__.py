"""Claims of the theory, each with a prediction, an independent measurement and a control."""

from ntk_air.claims.comparison import (
    Claim,
    DoesNotApply,
    Measurement,
    Sign,
    Verdict,
    agreement,
    array_agreement,
    at_least,
    at_most,
    claim,
    tends_to,
)
from ntk_air.claims.verification import all_claims, verify

__all__ = [
    "Claim",
    "DoesNotApply",
    "Measurement",
    "Sign",
    "Verdict",
    "agreement",
    "all_claims",
    "array_agreement",
    "at_least",
    "at_most",
    "claim",
    "tends_to",
    "verify",
]
