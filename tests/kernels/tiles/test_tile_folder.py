"""Folders of tiles: of one matrix, in one format, begun and finished with one JAX, or refused."""

import json

import numpy as np
import pytest

from ntk_air.kernels.tiles.identity import array_identity
from ntk_air.kernels.tiles.tiled import TileOptions, tiled_kernel
from tests.kernels.matrix_kernel import MatrixKernel, numbered
from tests.kernels.tiles.builds import MATRIX, VECTORS, build, content


def test_whole_tiles_are_read_with_any_jax_but_finished_with_their_own(tmp_path, monkeypatch):
    folder = tmp_path / "tiles"
    expected = build(folder).matvec(VECTORS)
    before = content(folder)
    monkeypatch.setattr("ntk_air.kernels.tiles.tile_folder.computed_with", lambda: "jax 99")
    np.testing.assert_array_equal(build(folder).matvec(VECTORS), expected)
    lost = folder / "000001" / "000003.tile"
    lost.unlink()
    with pytest.raises(
        ValueError, match=r"lacks 1 tiles, .* jax 0\..*, and here is jax 99: finish"
    ):
        build(folder)
    assert content(folder) == {path: held for path, held in before.items() if folder / path != lost}
    monkeypatch.undo()
    build(folder)
    assert content(folder) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kernel_id": "another"}, "kernel: 'matrix' there, 'another' asked for"),
        ({"inputs": numbered(MATRIX)[::-1]}, "inputs_sha256: "),
        ({"inputs": numbered(MATRIX).astype(np.float32)}, "inputs_sha256: "),
    ],
)
def test_a_folder_of_another_matrix_is_refused_and_kept(tmp_path, change, named):
    build(tmp_path)
    before = content(tmp_path)
    arguments = {"inputs": numbered(MATRIX), "kernel_id": "matrix"} | change
    with pytest.raises(ValueError, match=f"holds those of another matrix .{named}"):
        tiled_kernel(
            MatrixKernel(MATRIX),
            arguments["inputs"],
            tmp_path,
            options=TileOptions(kernel_id=arguments["kernel_id"]),
        )
    assert content(tmp_path) == before


# As ntk_air 0.1 wrote it for DenseNTK(), which it knew as
# ntk_air.kernels.infinite_width.DenseArchitecture.
MANIFEST_OF_0_1 = {
    "format": "ntk_air tiles 1",
    "content": {
        "kernel": "6f1f6d1ce0b4ab1b2e4ab7c1d3a2b0e85b7b5c0f1f6d1ce0b4ab1b2e4ab7c1d3",
        "inputs_sha256": array_identity(numbered(MATRIX)),
        "ntk_air": "0.1.0",
    },
    "n": 60,
    "tile": 15,
    "n_tiles": 10,
    "dtype": "float64",
}


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (MANIFEST_OF_0_1, "tiles written by ntk_air 0.1, which knew kernels by the paths of its"),
        (
            MANIFEST_OF_0_1 | {"content": MANIFEST_OF_0_1["content"] | {"kernel": "matrix"}},
            r"computed anew$",
        ),
        (MANIFEST_OF_0_1 | {"format": "ntk_air tiles 9"}, "the format 'ntk_air tiles 9', which"),
    ],
)
def test_a_folder_of_another_format_is_refused_and_kept(tmp_path, manifest, reason):
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "000000").mkdir()
    (tmp_path / "000000" / "000000.tile").write_bytes(b"NTKTILE1")
    with pytest.raises(ValueError, match=reason):
        build(tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    assert (tmp_path / "000000" / "000000.tile").read_bytes() == b"NTKTILE1"


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"folder must be new, empty or .* holds 'notes\.txt'"):
        build(tmp_path)
