"""Empirical NTKs against peers: python -m benchmarks.empirical_ntk."""
