"""Tiles on disk: resumed, mended, refused; nothing finished is lost and nothing foreign is used."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.kernels.tiles import tile_folder
from ntk_air.kernels.tiles.read_ahead import BUFFERS
from ntk_air.kernels.tiles.tile_files import HEADER_BYTES, TileError
from ntk_air.kernels.tiles.tile_folder import DiskSpaceError
from tests.helpers.peak_memory import peak_bytes
from tests.kernels.matrix_kernel import MatrixKernel
from tests.kernels.tiles.builds import MATRIX, TILE_BYTES, VECTORS, build, content, tile_files


class InterruptedBuildError(Exception):
    pass


class Stopping(MatrixKernel):
    """Fails at a tile, as an interruption would."""

    def __init__(self, matrix, after):
        super().__init__(matrix)
        self.after = after

    def __call__(self, x1, x2=None):
        if len(self.asked) == self.after:
            raise InterruptedBuildError
        return super().__call__(x1, x2)


def test_half_of_the_matrix_is_computed_and_kept(tmp_path):
    kernel = MatrixKernel(MATRIX)
    operator = build(tmp_path, kernel)
    assert operator.grid == (60, 15)
    assert len(kernel.asked) == len(tile_files(tmp_path)) == 10
    assert sum(path.stat().st_size for path in tile_files(tmp_path)) == 10 * TILE_BYTES


def test_a_product_reads_each_tile_once_in_one_order(tmp_path, monkeypatch):
    operator = build(tmp_path)
    read, seen = operator.files.read, []
    monkeypatch.setattr(
        operator.files, "read", lambda pair, buffer: seen.append(pair) or read(pair, buffer)
    )
    operator.matvec(VECTORS)
    assert seen == list(operator.grid.pairs)


def test_a_folder_is_found_ready(tmp_path):
    first = build(tmp_path).matvec(VECTORS)
    kernel, before = MatrixKernel(MATRIX), content(tmp_path)
    stages = set()
    operator = build(tmp_path, kernel, progress=lambda stage, done, total: stages.add(stage))
    assert not kernel.asked
    assert stages == {"checking tiles"}
    assert content(tmp_path) == before
    np.testing.assert_array_equal(operator.matvec(VECTORS), first)


def test_a_folder_keeps_the_length_of_its_tiles(tmp_path):
    build(tmp_path)
    kernel = MatrixKernel(MATRIX)
    assert build(tmp_path, kernel, largest_tile=40).grid.tile == 15
    assert not kernel.asked


@pytest.mark.parametrize("after", [0, 1, 6, 9])
def test_an_interrupted_build_goes_on(tmp_path, after):
    with pytest.raises(InterruptedBuildError):
        build(tmp_path / "one", Stopping(MATRIX, after))
    assert len(tile_files(tmp_path / "one")) == after
    kernel = MatrixKernel(MATRIX)
    operator = build(tmp_path / "one", kernel)
    assert len(kernel.asked) == 10 - after
    whole = build(tmp_path / "two")
    np.testing.assert_array_equal(operator.matvec(VECTORS), whole.matvec(VECTORS))
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_what_another_process_has_finished_meanwhile_is_kept(tmp_path):
    build(tmp_path / "other")

    class Overtaken(MatrixKernel):
        def __call__(self, x1, x2=None):
            shutil.copytree(tmp_path / "other", tmp_path / "one", dirs_exist_ok=True)
            return super().__call__(x1, x2)

    kernel = Overtaken(MATRIX)
    build(tmp_path / "one", kernel)
    assert len(kernel.asked) == 1
    assert content(tmp_path / "one") == content(tmp_path / "other")


def flip_a_bit(path):
    damaged = bytearray(path.read_bytes())
    damaged[HEADER_BYTES + 400] ^= 1
    path.write_bytes(damaged)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-8])


def make_longer(path):
    path.write_bytes(path.read_bytes() + b"\0")


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


def take_a_neighbour(path):
    shutil.copy(path.with_name("000002.tile"), path)


def take_another_kernels(path):
    other = path.parents[2] / "other"
    if not other.exists():
        build(other, MatrixKernel(2 * MATRIX), kernel_id="twice the matrix")
    shutil.copy(other / path.parent.name / path.name, path)


DAMAGES = {
    flip_a_bit: "is damaged: its checksum differs",
    cut_short: f"must hold {TILE_BYTES} bytes; got {TILE_BYTES - 8}",
    make_longer: f"must hold {TILE_BYTES} bytes; got more",
    empty: f"must hold {TILE_BYTES} bytes; got 0",
    remove: "is missing: build the kernel again",
    take_a_neighbour: "is a tile of something else",
    take_another_kernels: "is a tile of something else",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_seen_by_products_and_mended_by_a_build(tmp_path, damage):
    folder = tmp_path / "tiles"
    operator = build(folder)
    expected, before = operator.matvec(VECTORS), content(folder)
    damage(folder / "000001" / "000003.tile")
    with pytest.raises(TileError, match=DAMAGES[damage]):
        operator.matvec(VECTORS)
    kernel = MatrixKernel(MATRIX)
    mended = build(folder, kernel)
    assert kernel.asked == [(15, 45)]
    np.testing.assert_array_equal(mended.matvec(VECTORS), expected)
    assert content(folder) == before


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    build(tmp_path)
    leftover = tmp_path / "000001" / ".000003-abc.tile"
    leftover.write_bytes(b"half")
    build(tmp_path)
    assert not leftover.exists()


def start_builder(folder, *, tile, largest_file=0):
    np.save(folder.with_suffix(".npy"), MATRIX)
    return subprocess.Popen(
        [
            *(sys.executable, Path(__file__).with_name("builder.py"), folder),
            *(folder.with_suffix(".npy"), str(tile), str(largest_file)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_share_a_build_and_a_kill_loses_nothing_finished(tmp_path):
    builders = [start_builder(tmp_path / "shared", tile=8) for _ in range(3)]
    for builder in builders:
        assert builder.stdout.readline() == "ready\n"
    killed, *others = builders
    for builder in builders:
        builder.stdin.write("go\n")
        builder.stdin.flush()
    while len(tile_files(tmp_path / "shared")) < 5:
        pass
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    asked = [int(builder.communicate()[0]) for builder in others]
    assert [builder.returncode for builder in others] == [0, 0]
    # 36 tiles: neither did all of the work alone.
    assert 0 < min(asked) <= max(asked) < 36
    kernel = MatrixKernel(MATRIX)
    shared = build(tmp_path / "shared", kernel, largest_tile=8)
    assert not kernel.asked
    alone = build(tmp_path / "alone", largest_tile=8)
    assert content(tmp_path / "shared") == content(tmp_path / "alone")
    np.testing.assert_array_equal(shared.matvec(VECTORS), alone.matvec(VECTORS))
    assert not list((tmp_path / "shared").glob("*/.*.tile"))


# --- disk and memory --------------------------------------------------------------------------


def test_what_does_not_fit_on_the_disk_is_refused_before_the_first_tile(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    for free, fits in ((10 * TILE_BYTES - 1, False), (10 * TILE_BYTES, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        kernel = MatrixKernel(MATRIX)
        if fits:
            build(tmp_path, kernel)
        else:
            with pytest.raises(DiskSpaceError, match=r"10 tiles .* need 18.20 KiB on disk and .*"):
                build(tmp_path, kernel)
            assert not kernel.asked


def test_a_disk_that_fills_up_is_reported_and_nothing_is_lost(tmp_path):
    folder = tmp_path / "tiles"
    with pytest.raises(InterruptedBuildError):
        build(folder, Stopping(MATRIX, 4))
    before = content(folder)
    # No file may be larger than this: the fifth tile's write fails half way.
    message, _ = start_builder(folder, tile=17, largest_file=1000).communicate("go\n")
    assert "has no room for more tiles" in message
    assert f"all that were written are kept; free {6 * TILE_BYTES / 1024:.2f} KiB" in message
    assert content(folder) == before
    assert not list(folder.glob("*/.*.tile"))
    kernel = MatrixKernel(MATRIX)
    build(folder, kernel)
    assert len(kernel.asked) == 6


def test_other_errors_of_writing_are_not_taken_for_a_full_disk(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(tile_folder.TileFiles, "write", broken)
    with pytest.raises(OSError, match="Input/output error") as error:
        build(tmp_path)
    assert not isinstance(error.value, DiskSpaceError)


def test_a_bound_on_memory_makes_tiles_small_or_is_refused(tmp_path):
    with pytest.raises(MemoryBudgetError, match="the kernel by tiles of 60 × 60") as refusal:
        build(tmp_path, max_memory_bytes=10_000, largest_tile=1024)
    least = int(str(refusal.value).split("max_memory_bytes=")[1].split(";")[0])
    operator = build(tmp_path, max_memory_bytes=least, largest_tile=1024)
    assert operator.grid.tile == 30  # two blocks of at most 32, the smallest tile
    with pytest.raises(MemoryBudgetError, match="the whole kernel of 60 inputs"):
        build(tmp_path, max_memory_bytes=60**2 * 8 - 1, largest_tile=4).to_dense()


SETUP = """
import numpy as np
from pathlib import Path
from tempfile import mkdtemp
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.tiles.recomputed import recomputed_kernel
from ntk_air.kernels.tiles.tiled import TileOptions, tiled_kernel
random = np.random.default_rng(0)
x, vectors = random.standard_normal((2500, 5), np.float32), random.standard_normal((2500, 4))
options = dict(options=TileOptions(precision="float64"), max_memory_bytes={bound})
kernel = DenseNTK(depth=2)
folder = Path(mkdtemp(dir="{folder}"))
tiled = tiled_kernel(kernel, x, folder, **options)
recomputed = recomputed_kernel(kernel, x, precision="float64", max_memory_bytes={bound})

def rebuild():
    for tile in folder.glob("*/*.tile"):
        tile.unlink()
    return tiled_kernel(kernel, x, folder, **options)
"""


@pytest.mark.slow
def test_measured_peak_memory_stays_under_the_bound(tmp_path):
    bound = 6_000_000  # the matrix has 25 MB, the tiles on disk 12.5 MB
    peaks = peak_bytes(
        SETUP.format(bound=bound, folder=tmp_path),
        "tiled.matvec(vectors).block_until_ready()",
        "recomputed.matvec(vectors).block_until_ready()",
        "rebuild()",
    )
    assert max(peaks) <= bound


def test_buffers_are_few(tmp_path):
    operator = build(tmp_path)
    tiles = operator.tiles(operator.grid.pairs)
    starts = {tile.ctypes.data for _, tile in tiles}
    assert len(starts) <= BUFFERS < operator.grid.n_tiles


def test_products_given_up_half_way_stop_reading(tmp_path):
    operator = build(tmp_path)
    tiles = operator.tiles(operator.grid.pairs)
    next(tiles)
    tiles.close()
    with pytest.raises(StopIteration):
        next(tiles)
