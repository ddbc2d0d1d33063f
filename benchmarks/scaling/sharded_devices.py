"""Work and memory per device of a kernel sharded over 1, 2, 4 and 8 virtual devices.

What falls with the number of devices is counted, not timed: rows held, operations of a product as
the compiler counts them, numbers sent between devices. All devices are those of one processor, so
that seconds would say nothing. AIR enclosures and top eigenvalues are computed on each mesh and
compared with those of one device.
"""

import os

N_DEVICES = 8
# JAX reads it when it starts, so that all that imports JAX comes after (E402).
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={N_DEVICES}"

import dataclasses  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import jax  # noqa: E402
import numpy as np  # noqa: E402
import tyro  # noqa: E402
from jax.sharding import Mesh  # noqa: E402

from benchmarks.scaling.full_dataset_figures import save_device_figure  # noqa: E402
from ntk_air._base import files  # noqa: E402
from ntk_air.air import air_curve_enclosure  # noqa: E402
from ntk_air.data import SymmetricNoise, load_dataset  # noqa: E402
from ntk_air.kernels.infinite.dense import DenseNTK  # noqa: E402
from ntk_air.kernels.operators.sharded import (  # noqa: E402
    AXIS,
    sharded_kernel,
    sharded_product,
)
from ntk_air.lab.jobs.job import label_matrices  # noqa: E402
from ntk_air.lab.provenance import device_state, package_versions, source_state  # noqa: E402
from ntk_air.spectrum.krylov import label_quadrature  # noqa: E402
from ntk_air.spectrum.krylov.top_modes import TopModesOptions, top_modes  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    dataset: str = "digits"
    """Data set."""
    n_train: int = 1600
    """Training inputs."""
    n_products: int = 12
    """Of the label quadrature."""
    top_k: int = 20
    """Eigenvalues to compare."""
    out: Path = Path("runs/sharded_devices")
    """Folder for results.json and the figure."""


def main(config: Config) -> None:
    """Measure on each mesh, print the table, save rows and figure."""
    dataset = load_dataset(config.dataset, n_train=config.n_train, n_test=0).normalised()
    dataset = dataset.with_label_noise(SymmetricNoise(rate=0.4), seed=0)
    labels = {
        name: np.asarray(matrix, np.float64) for name, matrix in label_matrices(dataset).items()
    }
    rows: list[dict[str, Any]] = []
    first: dict[str, np.ndarray] = {}
    for size in (1, 2, 4, 8):
        row, found = on_devices(size, dataset.inputs, labels, config)
        first = first or found
        row["largest_difference"] = {
            name: float(np.max(np.abs(found[name] - first[name])) / np.max(np.abs(first[name])))
            for name in found
        }
        rows.append(row)
        print(
            f"{size} devices: {row['rows_held']:>5} rows, {row['bytes_held']:>10} bytes, "
            f"{row['operations']:.3g} operations a product, {row['numbers_received']} numbers "
            f"received, differences {row['largest_difference']}"
        )
    config.out.mkdir(parents=True, exist_ok=True)
    results = {
        "rows": rows,
        "config": dataclasses.asdict(config) | {"out": None},
        "virtual_devices": True,
        "device": device_state(),
        "package": source_state(),
        "versions": package_versions(),
    }
    files.write_json(config.out / "results.json", results)
    save_device_figure(results, config.out)


def on_devices(
    size: int, inputs: np.ndarray, labels: dict[str, np.ndarray], config: Config
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What one device of so many holds and does; and what all of them find."""
    mesh = Mesh(np.asarray(jax.devices()[:size]), (AXIS,))
    operator = sharded_kernel(DenseNTK(depth=3), inputs, mesh=mesh)
    vectors = np.ones((len(inputs), 18))
    compiled = sharded_product.lower(operator.rows, vectors, mesh=mesh).compile()
    analysis: Any = compiled.cost_analysis()
    measures = label_quadrature(operator, labels, config.n_products).measures()
    curve = air_curve_enclosure(measures["signal"], measures["noise"])
    modes = top_modes(operator, config.top_k, options=TopModesOptions(block=8))
    shard = operator.rows.addressable_shards[0].data
    row = {
        "devices": size,
        "rows_held": len(shard),
        "bytes_held": shard.nbytes,
        "vectors": vectors.shape[1],
        "operations": float(analysis["flops"]),
        # Of the images, what other devices have computed.
        "numbers_received": (operator.rows.shape[0] - len(shard)) * vectors.shape[1],
    }
    found = {
        "retrieved_signal": curve.signal.estimate,
        "retrieved_noise": curve.noise.estimate,
        "eigenvalues": modes.eigenvalues,
    }
    return row, found


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(tyro.cli(Config, description=__doc__))
