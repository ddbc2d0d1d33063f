"""Make ``neural_tangents.npz``: values of neural-tangents on the JAX that it was written for.

Needs an environment of its own; README.md beside this file says which, and how to run this.
"""

import platform
import sys
import types
import warnings
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
JAX_VERSION = "0.4.23"


def main():
    """Compute every value in both precisions and write the file."""
    if version("jax") != JAX_VERSION:
        raise SystemExit(f"golden values come from JAX {JAX_VERSION}; got {version('jax')}")
    # The real one imports TensorFlow.
    experimental = "neural_tangents.experimental"
    sys.modules[experimental] = types.ModuleType(experimental)

    import jax
    import neural_tangents_cases as cases
    from jax.experimental import enable_x64

    warnings.simplefilter("ignore")  # neural-tangents' advice on its numerical activations
    import neural_tangents as nt

    values = {}
    for dtype in cases.DTYPES:
        with enable_x64(dtype == "float64"):
            values[dtype] = cases.all_values(nt, dtype)
    metadata = {
        "command": f"python {Path(__file__).name}",
        "python": platform.python_version(),
        "platform": jax.default_backend(),
        "threefry_partitionable": jax.config.jax_threefry_partitionable,
        **{
            name: version(name)
            for name in ("jax", "jaxlib", "neural-tangents", "numpy", "scipy", "frozendict")
        },
    }
    cases.save(HERE / "neural_tangents.npz", values, metadata)


if __name__ == "__main__":
    main()
