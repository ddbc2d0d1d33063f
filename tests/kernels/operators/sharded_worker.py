"""One process of a sharded kernel: builds it on meshes, multiplies, and saves what it got.

``sharded_worker.py FOLDER N_DEVICES PROCESS N_PROCESSES PORT``; with one process the devices are
virtual, and meshes of 1, 2, 4 … of them are made.
"""

import os
import sys
from pathlib import Path

folder, n_devices, process, n_processes, port = Path(sys.argv[1]), *map(int, sys.argv[2:])
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={n_devices}"
)

import jax  # noqa: E402
import numpy as np  # noqa: E402
from jax.sharding import Mesh  # noqa: E402

jax.config.update("jax_enable_x64", True)
if n_processes > 1:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", n_processes, process)

from ntk_air.kernels.infinite.dense import DenseNTK  # noqa: E402
from ntk_air.kernels.operators.sharded import (  # noqa: E402
    AXIS,
    sharded_kernel,
    sharded_product,
)

inputs, vectors = (np.load(folder / f"{name}.npy") for name in ("inputs", "vectors"))
sizes = [jax.device_count()] if n_processes > 1 else [2**i for i in range(n_devices.bit_length())]
for size in sizes:
    mesh = Mesh(np.asarray(jax.devices()[:size]), (AXIS,))
    operator = sharded_kernel(DenseNTK(), inputs, mesh=mesh, largest_tile=5)
    compiled = sharded_product.lower(operator.rows, vectors, mesh=mesh).compile()
    np.savez(
        folder / f"devices{size}_process{process}.npz",
        product=operator.matvec(vectors),
        dense=operator.to_dense(),
        diagonal=operator.diagonal(),
        rows_held=[len(shard.data) for shard in operator.rows.addressable_shards],
        operations=compiled.cost_analysis()["flops"],
    )
