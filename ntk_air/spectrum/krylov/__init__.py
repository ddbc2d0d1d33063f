"""What a kernel's products alone tell of it: the measure of labels over its spectrum."""

from ntk_air.spectrum.krylov.bracket import Bracket
from ntk_air.spectrum.krylov.checkpoint import Checkpoint
from ntk_air.spectrum.krylov.measure import SpectralMeasure
from ntk_air.spectrum.krylov.quadrature import LabelQuadrature, label_quadrature

__all__ = ["Bracket", "Checkpoint", "LabelQuadrature", "SpectralMeasure", "label_quadrature"]
