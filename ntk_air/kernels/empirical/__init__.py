"""Empirical neural tangent kernels: of a finite network, at given parameters."""

from ntk_air.kernels.empirical.ntk import EmpiricalKernel, empirical_ntk, empirical_ntk_plan
from ntk_air.kernels.empirical.planning import EmpiricalNTKPlan, MethodEstimate
from ntk_air.kernels.empirical.reductions import Outputs

__all__ = [
    "EmpiricalKernel",
    "EmpiricalNTKPlan",
    "MethodEstimate",
    "Outputs",
    "empirical_ntk",
    "empirical_ntk_plan",
]
