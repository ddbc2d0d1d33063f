"""Gaussian inference with kernels: posteriors with covariance, evidence, left-out labels."""

from ntk_air.inference.evidence import (
    ChosenNoise,
    LeftOut,
    choose_noise_variance,
    left_out,
    log_marginal_likelihood,
)
from ntk_air.inference.posterior import NetworkEnsemble, Posterior, gp_posterior, network_ensemble
from ntk_air.inference.products import DualSolution, solve_by_products

__all__ = [
    "ChosenNoise",
    "DualSolution",
    "LeftOut",
    "NetworkEnsemble",
    "Posterior",
    "choose_noise_variance",
    "gp_posterior",
    "left_out",
    "log_marginal_likelihood",
    "network_ensemble",
    "solve_by_products",
]
