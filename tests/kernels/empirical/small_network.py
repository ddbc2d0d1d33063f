"""A small network with its inputs, for tests of the empirical NTK."""

import jax
import numpy as np

from ntk_air.networks.models.dense import DenseNetwork

N_OUT = 3
NETWORK = DenseNetwork((11, 8), n_out=N_OUT, bias_variance=0.1)
PARAMS = NETWORK.init(jax.random.key(0), 5)


def inputs(n, seed=0, features=(5,)):
    return np.random.default_rng(seed).standard_normal((n, *features))


X1, X2 = inputs(9), inputs(4, seed=1)
PAIRS = {"symmetric": (X1, None), "cross": (X1, X2)}
OUTPUTS = ["mean", "full", "logit_sum", 0, 2]
