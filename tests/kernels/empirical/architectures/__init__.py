"""Tiny networks of many kinds: what every method of the empirical NTK is tested on."""

from tests.kernels.empirical.architectures.convolutional import CONVOLUTIONAL
from tests.kernels.empirical.architectures.dense import DENSE
from tests.kernels.empirical.architectures.sequences import SEQUENCES
from tests.kernels.empirical.architectures.table import N_EXAMPLES, N_OUT, Architecture

ARCHITECTURES: dict[str, Architecture] = {
    each.name: each for each in (*DENSE, *CONVOLUTIONAL, *SEQUENCES)
}

__all__ = ["ARCHITECTURES", "N_EXAMPLES", "N_OUT", "Architecture"]
