"""Make ``dense_networks.json``: dense kernels of neural-tangents 0.6.5 on its own JAX, in float64.

Run in the environment that README.md beside this file describes.
"""

import json
import sys
import types
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

TARGET = Path(__file__).with_name("dense_networks.json")
W_STD, B_STD, DEPTH = 1.3, 0.4, 3


def main():
    """Compute both kernels for each activation and write the file."""
    # The real one imports TensorFlow.
    sys.modules["neural_tangents.experimental"] = types.ModuleType("experimental")
    warnings.simplefilter("ignore")
    import jax

    jax.config.update("jax_enable_x64", True)
    from neural_tangents import stax

    activations = {
        "relu": stax.Relu(),
        "leaky_relu": stax.LeakyRelu(0.2),
        "erf": stax.Erf(),
        "sine": stax.Sin(),
        "gelu": stax.Gelu(),
    }
    x1 = np.random.RandomState(0).standard_normal((2, 5)) * [[1.0], [3.0]]
    x2 = np.random.RandomState(1).standard_normal((3, 5))
    kernels = {}
    for name, activation in activations.items():
        layers = [stax.Dense(1, W_STD, B_STD)]
        for _ in range(DEPTH - 1):
            layers += [activation, stax.Dense(1, W_STD, B_STD)]
        kernel = stax.serial(*layers)[2]
        kernels[name] = {
            kind: np.asarray(kernel(x1, x2, kind)).tolist() for kind in ("ntk", "nngp")
        }
    packages = ("jax", "jaxlib", "neural-tangents", "numpy")
    document = {
        "made_by": {"command": f"python {Path(__file__).name}"}
        | {package: version(package) for package in packages},
        "depth": DEPTH,
        "weight_variance": W_STD**2,
        "bias_variance": B_STD**2,
        "x1": x1.tolist(),
        "x2": x2.tolist(),
        "kernels": kernels,
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
