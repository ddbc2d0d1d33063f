"""The methods that ``empirical_ntk`` chooses from."""

from ntk_air.kernels.empirical.jacobian import JACOBIAN
from ntk_air.kernels.empirical.method import Method

METHODS: dict[str, Method] = {method.name: method for method in (JACOBIAN,)}
