"""Figures of what this package computes, in axes of yours or in new ones.

Matplotlib is imported when something is drawn. Colours are told apart with any colour vision.
"""

from ntk_air.plot.labels import suspects, transition
from ntk_air.plot.runs import convergence
from ntk_air.plot.spectra import air, energy, spectrum

__all__ = ["air", "convergence", "energy", "spectrum", "suspects", "transition"]
