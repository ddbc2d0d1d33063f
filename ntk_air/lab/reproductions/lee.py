"""Networks of infinite width as Gaussian processes, on MNIST and CIFAR-10."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.linalg

import ntk_air as na
from ntk_air.lab.reproductions.published import Reproduction, Row, share_tolerance

RIDGE = 1e-10
N_TEST = 10_000

MNIST = {
    # n_train: (activation, hidden layers, σ_w², σ_b², accuracy)
    1_000: (("relu", 20, 1.45, 0.28, 0.9279),),
    10_000: (("relu", 7, 0.61, 0.07, 0.9765),),
}
CIFAR10 = ("relu", 7, 1.28, 0.00, 0.3608)


def accuracies(data_dir: Path | None) -> Iterator[Row]:
    """NNGP regression on centred one-hot labels, with the hyperparameters that they chose.

    The paper does not say how inputs were scaled; here they are divided by 255.
    """
    for n_train, models in MNIST.items():
        for activation, depth, weight, bias, published in models:
            draws = 3 if n_train <= 1_000 else 1
            kernel = network(activation, depth, weight, bias)
            found = tuple(
                accuracy("mnist", kernel, n_train, N_TEST, seed=seed, data_dir=data_dir)
                for seed in range(draws)
            )
            yield Row(
                f"MNIST, {n_train} images, {activation}, hidden layers: {depth}: test accuracy",
                published,
                found,
                share_tolerance(published, N_TEST),
                "3 standard errors of two accuracies of 10,000 images; other training images",
            )
    activation, depth, weight, bias, published = CIFAR10
    kernel = network(activation, depth, weight, bias)
    found = tuple(
        accuracy("cifar10", kernel, 1_000, 3_000, seed=seed, data_dir=data_dir) for seed in range(2)
    )
    yield Row(
        f"CIFAR-10, 1000 images, {activation}, hidden layers: {depth}: test accuracy",
        published,
        found,
        share_tolerance(published, 3_000),
        "3 standard errors of two accuracies of 3,000 images; theirs are of 10,000, and the scale "
        "of their inputs is not known",
    )


def network(activation: str, depth: int, weight: float, bias: float) -> na.DenseNTK:
    """Their network: as many hidden layers as its depth says."""
    return na.DenseNTK(
        depth=depth + 1, activation=activation, weight_variance=weight, bias_variance=bias
    )


def accuracy(
    name: str, kernel: na.DenseNTK, n_train: int, n_test: int, *, seed: int, data_dir: Path | None
) -> float:
    """The share of test images that the posterior mean names, solved in float64."""
    options = {} if data_dir is None else {"data_dir": data_dir}
    data = na.load_dataset(name, n_train=n_train, n_test=n_test, seed=seed, **options).flattened()
    inputs = np.asarray(data.inputs, np.float64)
    theta = na.gram_matrix(kernel.nngp, inputs)
    theta[np.diag_indices(n_train)] += RIDGE
    targets = np.asarray(data.clean_targets(), np.float64)
    dual = scipy.linalg.solve(theta, targets, assume_a="pos", overwrite_a=True)
    tests = np.asarray(data.test_inputs, np.float64)
    outputs = [
        np.asarray(kernel.nngp(rows, inputs)) @ dual
        for rows in np.array_split(tests, max(1, len(tests) // 1000))
    ]
    return float(np.mean(np.argmax(np.concatenate(outputs), axis=1) == data.test_labels))


LEE = Reproduction(
    "NNGP regression: test accuracy",
    "Lee et al. 2018, Deep neural networks as Gaussian processes, table 1",
    accuracies,
)
