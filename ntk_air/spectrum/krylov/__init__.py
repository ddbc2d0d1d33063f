"""What a kernel's products alone tell of it: block Krylov spaces, and what is read from them."""

from ntk_air.spectrum.krylov.checkpoint import Checkpoint

__all__ = ["Checkpoint"]
