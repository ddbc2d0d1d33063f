"""Empirical neural tangent kernels: of a finite network, at given parameters."""

from ntk_air.kernels.empirical.by_parameter import ParameterKernels
from ntk_air.kernels.empirical.layerwise.description import ParameterContraction
from ntk_air.kernels.empirical.methods import Outputs
from ntk_air.kernels.empirical.ntk import EmpiricalNTK, empirical_ntk, empirical_ntk_plan
from ntk_air.kernels.empirical.planning import EmpiricalNTKPlan, MethodEstimate
from ntk_air.kernels.empirical.products import MatrixFreeKernel, matrix_free_kernel

__all__ = [
    "EmpiricalNTK",
    "EmpiricalNTKPlan",
    "MatrixFreeKernel",
    "MethodEstimate",
    "Outputs",
    "ParameterContraction",
    "ParameterKernels",
    "empirical_ntk",
    "empirical_ntk_plan",
    "matrix_free_kernel",
]
