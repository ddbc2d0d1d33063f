"""What a kernel's products alone tell of it: the measure of labels over its spectrum."""

from ntk_air.spectrum.krylov.checkpoint import Checkpoint
from ntk_air.spectrum.krylov.enclosure import Enclosure
from ntk_air.spectrum.krylov.measure import SpectralMeasure
from ntk_air.spectrum.krylov.quadrature import LabelQuadrature, label_quadrature

__all__ = ["Checkpoint", "Enclosure", "LabelQuadrature", "SpectralMeasure", "label_quadrature"]
