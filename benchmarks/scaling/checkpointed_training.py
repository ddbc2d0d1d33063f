"""A network trained from checkpoint to checkpoint, for ``kill_and_resume``: what it ends with.

``python benchmarks/scaling/checkpointed_training.py --out FOLDER``
"""

import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
import tyro

import ntk_air as na
from ntk_air._base import files


@dataclasses.dataclass(frozen=True)
class Config:
    """Options."""

    out: Path = Path("runs/checkpointed_training")
    """Folder for checkpoints, arrays.npz and results.json."""
    steps: int = 6000
    """Steps of gradient descent."""
    every: int = 50
    """Steps from one checkpoint to the next."""


def main(config: Config) -> None:
    """Train, or go on training; then save the curves."""
    jax.config.update("jax_enable_x64", True)
    data = na.load_dataset("digits", n_train=200, n_test=100).normalised()
    data = data.with_label_noise(na.SymmetricNoise(0.4), seed=0)
    network = na.networks.DenseNetwork((64,), n_out=10)
    params = network.init(jax.random.key(0), 64)
    problem = na.networks.NetworkProblem(
        network.apply, params, data.inputs, na.Labels(data.noisy_targets(), data.clean_targets())
    )
    taught = na.Supervision(na.label_functions.Hard(), na.weights.Power(1.5, scale=500.0))
    method = na.networks.Minibatches(
        50,
        jax.random.key(1),
        checkpoints=na.networks.Checkpoints(config.out / "kept", config.every),
        progress=lambda what, done, total: print(f"[{done}] training", file=sys.stderr, flush=True),
    )
    times = np.linspace(0, config.steps, 61)
    run = na.networks.train(problem, taught, times, na.networks.Adam(1e-3), method=method)
    files.write_arrays(config.out / "arrays.npz", run.curves())
    files.write_json(config.out / "results.json", {"steps": config.steps})


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
