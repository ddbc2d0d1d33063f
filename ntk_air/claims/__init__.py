"""Claims of the theory, each with a prediction, an independent measurement and a control."""

from ntk_air.claims.claim import Claim, DoesNotApply, Measurement, Verdict
from ntk_air.claims.registry import all_claims
from ntk_air.claims.verification import verify_claim, verify_claims
from ntk_air.problem import Problem, make_problem

__all__ = [
    "Claim",
    "DoesNotApply",
    "Measurement",
    "Problem",
    "Verdict",
    "all_claims",
    "make_problem",
    "verify_claim",
    "verify_claims",
]
