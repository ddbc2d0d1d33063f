"""Tiles read by a thread while the one before is used, into few buffers that are used again."""

import itertools
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from ntk_air.kernels.tiles.grid import TilePair
from ntk_air.kernels.tiles.tile_files import TileFiles, aligned_bytes

BUFFERS = 3
"""Tiles in memory at once: one in use, one read, one being read."""


def read_ahead(
    files: TileFiles, pairs: Iterable[TilePair]
) -> Generator[tuple[TilePair, np.ndarray], None, None]:
    """The tiles in the order asked for; each is valid until the next one is asked for.

    Plain reads, not memory maps: pages of a map count as resident until the system takes them
    back, and a bound on memory would not hold.

    Raises:
        TileError: a tile that is missing, damaged, or of something else.
    """
    waiting = iter(pairs)
    free = deque(aligned_bytes(files.largest_bytes) for _ in range(BUFFERS))
    under_way: deque[tuple[TilePair, np.ndarray, Future[np.ndarray]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="tile-reader") as reader:
        try:
            while True:
                for pair in itertools.islice(waiting, len(free)):
                    buffer = free.popleft()
                    under_way.append((pair, buffer, reader.submit(files.read, pair, buffer)))
                if not under_way:
                    return
                pair, buffer, tile = under_way.popleft()
                yield pair, tile.result()
                free.append(buffer)
        finally:
            for _, _, tile in under_way:
                tile.cancel()
