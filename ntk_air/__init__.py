"""ntk_air: see whether a claim about neural tangent kernels holds.

Importing this package changes no JAX setting and does not import neural-tangents.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ntk-air")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
