"""What tests of training share: a network linear in its parameters, which is its own kernel."""

import dataclasses

import numpy as np

from ntk_air.networks.training.network_problem import HeldOutInputs, NetworkProblem
from ntk_air.problem import Labels

N_TRAIN, N_TEST, N_FEATURES, N_OUT = 12, 5, 15, 3

_RNG = np.random.default_rng(0)
_CODING = np.eye(N_OUT) - 1 / N_OUT

INPUTS, TEST_INPUTS = (_RNG.normal(size=(n, N_FEATURES)) for n in (N_TRAIN, N_TEST))
NOISY, CLEAN, TEST_TARGETS = (_CODING[_RNG.integers(0, N_OUT, n)] for n in (12, 12, 5))
PARAMS = _RNG.normal(size=(N_FEATURES, N_OUT))
KERNEL, CROSS_KERNEL = INPUTS @ INPUTS.T, TEST_INPUTS @ INPUTS.T
LARGEST = float(np.linalg.eigvalsh(KERNEL)[-1])


def linear(params, x):
    return x @ params


PROBLEM = NetworkProblem(
    linear, PARAMS, INPUTS, Labels(NOISY, CLEAN), HeldOutInputs(TEST_INPUTS, TEST_TARGETS)
)


def problem_with(**changes):
    """The problem with other parts."""
    return dataclasses.replace(PROBLEM, **changes)
