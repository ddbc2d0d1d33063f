"""Eigendecompositions of kernels, with guards and residuals."""
