"""Activations and the Gaussian expectations that kernels need of them."""
