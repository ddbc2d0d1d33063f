"""Kernel-regime dynamics: spectral filters, exact trajectories, simulation, supervision."""
