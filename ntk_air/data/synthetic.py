"""Data sets on spheres whose kernels have known spectra (theory.md, sections 4 and 8)."""

import math

import numpy as np
from jaxtyping import Float, Int

from ntk_air._base.checks import check_at_least, check_choice, check_whole_number
from ntk_air.data.class_labels import ClassLabels
from ntk_air.data.dataset import Dataset
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.data.raw import Sample

DEFAULT = Sample()

_MOST_POINTS = 10**8
"""More would be tens of gigabytes: a mistake, not a data set."""


def clusters(
    sample: Sample = DEFAULT,
    *,
    n_clusters: int = 8,
    dimension: int = 20,
    spread: float = 0.05,
    n_classes: int = 2,
) -> Dataset:
    """Clusters on the unit sphere, labels constant on each (theory.md, section 4).

    Centres u_k are uniform on the sphere; a point is (u_k + spread·g/√d)/‖…‖ with g ~ N(0, I), so
    that the spread is the distance to the centre whatever the dimension d.
    Cluster k has the class k mod ``n_classes``. The clusters are the data set's groups: an exact
    noise flips the same share in each.

    Args:
        sample: sizes, multiples of ``n_clusters``, by default 50 training and 50 held-out points
            for each cluster, and the seed of centres and points.
        n_clusters: number of clusters K, at least ``n_classes``.
        dimension: dimension d of the space around the sphere, at least 2.
        spread: root mean square distance to the centre before the projection, at least 0.
        n_classes: number of classes, at least 2.

    Raises:
        ValueError: sizes that are not multiples of K, or arguments out of range.
    """
    check_whole_number("n_classes", n_classes, minimum=2)
    check_whole_number("n_clusters", n_clusters, minimum=n_classes)
    check_whole_number("dimension", dimension, minimum=2)
    check_at_least("spread", spread, 0)
    n_train, n_test, seed = _sizes(sample, 50 * n_clusters)
    for name, size, minimum in (("n_train", n_train, 1), ("n_test", n_test, 0)):
        check_whole_number(name, size, minimum=minimum)
        if size % n_clusters:
            raise ValueError(f"{name} must be a multiple of n_clusters, {n_clusters}; got {size}")
    rng = generator(seed, "clusters")
    centres = _uniform_on_sphere(rng, n_clusters, dimension)

    scale = spread / math.sqrt(dimension)

    def points(size: int) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]]:
        cluster_of = np.repeat(np.arange(n_clusters), size // n_clusters)
        moved = centres[cluster_of] + scale * normal_numbers(rng, (size, dimension))
        return moved / np.linalg.norm(moved, axis=1, keepdims=True), cluster_of

    inputs, cluster_of = points(n_train)
    test_inputs, test_cluster_of = points(n_test)
    names = [str(index) for index in range(n_classes)]
    return Dataset(
        inputs,
        ClassLabels(cluster_of % n_classes, class_names=names),
        test=(test_inputs, test_cluster_of % n_classes),
        name="clusters",
        groups=cluster_of,
        source=f"{n_clusters} clusters on the unit sphere in {dimension} dimensions, "
        f"spread {spread}, seed {seed}",
    )


def circle(
    sample: Sample = DEFAULT,
    *,
    frequency: int = 1,
    spacing: str = "equispaced",
) -> Dataset:
    """Points on the unit circle, labelled by the sign of sin(kθ) (Basri et al. 2019).

    Equispaced points, θ_i = 2π(i + ½)/n, make the kernel of any dense network circulant.

    Args:
        sample: sizes, by default 256 training and 256 held-out points, these at uniformly random
            angles, and the seed of the random angles.
        frequency: frequency k, below n_train/2, above which equispaced points show another one.
        spacing: way to place the training points, ``"equispaced"`` or ``"random"``.

    Raises:
        ValueError: a frequency outside 1 … n_train/2, an unknown spacing.
    """
    n_train, n_test, seed = _sizes(sample, 256)
    check_whole_number("n_train", n_train, minimum=3)
    check_whole_number("n_test", n_test, minimum=0)
    check_choice("spacing", spacing, ("equispaced", "random"))
    check_whole_number("frequency", frequency, minimum=1)
    if not frequency < n_train / 2:
        raise ValueError(f"frequency must be below n_train / 2 = {n_train / 2}; got {frequency}")
    rng = generator(seed, "circle")
    turns, test_turns = rng.random(n_train), rng.random(n_test)
    labels = _half_turns(frequency * turns)
    if spacing == "equispaced":
        odd = 2 * np.arange(n_train) + 1
        turns = odd / (2 * n_train)
        # In whole numbers: a point may lie where the sine is 0, and rounding must not decide.
        labels = (frequency * odd % (2 * n_train) < n_train).astype(np.int64)
    return Dataset(
        _on_circle(turns),
        ClassLabels(labels, class_names=["sin < 0", "sin ≥ 0"]),
        test=(_on_circle(test_turns), _half_turns(frequency * test_turns)),
        name="circle",
        source=f"{spacing} points on the unit circle, frequency {frequency}, seed {seed}",
    )


def sphere(
    sample: Sample = DEFAULT,
    *,
    dimension: int = 3,
    degree: int = 1,
) -> Dataset:
    """Uniform points on the unit sphere, labelled by the sign of x₁x₂…x_ℓ.

    The product of ℓ different coordinates is a harmonic polynomial of degree ℓ, and both signs
    are equally likely.

    Args:
        sample: sizes, by default 512 training and 512 held-out points, and the seed of the points.
        dimension: dimension of the space around the sphere, at least 2.
        degree: degree ℓ, from 1 to ``dimension``.

    Raises:
        ValueError: arguments out of range.
    """
    n_train, n_test, seed = _sizes(sample, 512)
    check_whole_number("n_train", n_train, minimum=1)
    check_whole_number("n_test", n_test, minimum=0)
    check_whole_number("dimension", dimension, minimum=2)
    check_whole_number("degree", degree, minimum=1)
    if degree > dimension:
        raise ValueError(f"degree must lie in 1 … dimension = {dimension}; got {degree}")
    rng = generator(seed, "sphere")
    inputs = _uniform_on_sphere(rng, n_train, dimension)
    test_inputs = _uniform_on_sphere(rng, n_test, dimension)
    labels, test_labels = (
        (points[:, :degree].prod(axis=1) >= 0).astype(np.int64) for points in (inputs, test_inputs)
    )
    return Dataset(
        inputs,
        ClassLabels(labels, class_names=["product < 0", "product ≥ 0"]),
        test=(test_inputs, test_labels),
        name="sphere",
        source=f"uniform on the unit sphere in {dimension} dimensions, degree {degree}, "
        f"seed {seed}",
    )


def _sizes(sample: Sample, default: int) -> tuple[int, int, int]:
    """n_train, n_test and the seed."""
    sizes = {"n_train": sample.n_train, "n_test": sample.n_test}
    n_train, n_test = (
        check_whole_number(name, default if size is None else size, maximum=_MOST_POINTS)
        for name, size in sizes.items()
    )
    return n_train, n_test, sample.seed


def _uniform_on_sphere(
    rng: np.random.Generator, size: int, dimension: int
) -> Float[np.ndarray, "n d"]:
    normal = normal_numbers(rng, (size, dimension))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _on_circle(turns: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    return np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=1)


def _half_turns(turns: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """1 in the first half of each turn, where the sine is not negative, else 0."""
    return (turns % 1 < 0.5).astype(np.int64)
