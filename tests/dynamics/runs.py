"""Runs from loose arrays, as tests have them: a problem is made, and solved."""

import numpy as np

from ntk_air.dynamics.solve import solve
from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.problem import Labels, Problem
from ntk_air.spectrum.result import Spectrum


def problem_of(kernel, noisy, *, clean=None, initial=None, held_out=None):
    """The problem of a matrix, whose λ₁ is exact, of an operator, or of a spectrum alone."""
    labels = Labels(noisy, clean, initial)
    if isinstance(kernel, Spectrum):
        return Problem(labels, spectrum=kernel, held_out=held_out)
    problem = Problem(labels, kernel, held_out=held_out)
    if isinstance(kernel, KernelOperator):
        return problem
    return problem.with_largest_eigenvalue(float(np.linalg.eigvalsh(np.asarray(kernel))[-1]))


def follow(kernel, noisy, rule, times=None, *, method=None, **rest):
    """``solve`` on the problem of loose arrays; ``rest`` are its other labels, and options."""
    parts = {name: rest.pop(name, None) for name in ("clean", "initial", "held_out")}
    return solve(problem_of(kernel, noisy, **parts), rule, times, method, **rest)
