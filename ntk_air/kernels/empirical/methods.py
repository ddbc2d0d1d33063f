"""The methods that ``empirical_ntk`` chooses from."""

from ntk_air.kernels.empirical.jacobian import JACOBIAN
from ntk_air.kernels.empirical.layerwise.tile import LAYERWISE
from ntk_air.kernels.empirical.method import Method
from ntk_air.kernels.empirical.ntk_vector_products import NTK_VECTOR_PRODUCTS

METHODS: dict[str, Method] = {
    method.name: method for method in (LAYERWISE, JACOBIAN, NTK_VECTOR_PRODUCTS)
}
