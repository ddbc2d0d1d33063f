"""Builds tiles in a process of its own: ``builder.py FOLDER MATRIX.npy TILE LARGEST_FILE``.

Says "ready", waits for a line, and ends with the number of tiles it computed, or with the error.
"""

import resource
import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np

from ntk_air.kernels.tiles.tile_folder import DiskSpaceError
from ntk_air.kernels.tiles.tiled import TileOptions, tiled_kernel

jax.config.update("jax_enable_x64", True)
folder, matrix, tile, largest_file = sys.argv[1:]
MATRIX = np.load(matrix)
computed = 0


def slow_kernel(x1, x2=None):
    global computed
    computed += 1
    time.sleep(0.02)
    rows = x1[:, 0].astype(int)
    columns = rows if x2 is None else x2[:, 0].astype(int)
    return MATRIX[np.ix_(rows, columns)]


print("ready", flush=True)  # noqa: T201
sys.stdin.readline()
if int(largest_file):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file),) * 2)
inputs = np.arange(len(MATRIX), dtype=MATRIX.dtype)[:, None]
try:
    options = TileOptions(kernel_id="matrix", largest_tile=int(tile))
    tiled_kernel(slow_kernel, inputs, Path(folder), options=options)
    print(computed)  # noqa: T201
except DiskSpaceError as error:
    print(error)  # noqa: T201
