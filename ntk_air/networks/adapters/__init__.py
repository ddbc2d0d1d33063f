"""Models of other libraries as ``apply_fn(params, x)``, in evaluation mode."""

from ntk_air.networks.adapters.adapted import AdaptedModel
from ntk_air.networks.adapters.any_model import adapt
from ntk_air.networks.adapters.equinox_modules import from_equinox
from ntk_air.networks.adapters.flax_linen import from_flax_linen
from ntk_air.networks.adapters.flax_nnx import from_flax_nnx

__all__ = ["AdaptedModel", "adapt", "from_equinox", "from_flax_linen", "from_flax_nnx"]
