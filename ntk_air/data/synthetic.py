"""Data sets on spheres whose kernels have known spectra (theory.md, sections 4 and 8)."""

import math

import numpy as np
from jaxtyping import Float, Int

from ntk_air._base.checks import check_at_least, check_choice
from ntk_air.data.dataset import Dataset
from ntk_air.data.draws import generator, normal_numbers


def clusters(
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
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
        n_train: a multiple of ``n_clusters``; 50 points for each cluster by default.
        n_test: held-out points of the same clusters, a multiple too; as many by default.
        seed: of centres and points.
        n_clusters: K, at least ``n_classes``.
        dimension: of the space around the sphere, at least 2.
        spread: root mean square distance to the centre before the projection.
        n_classes: at least 2.

    Raises:
        ValueError: sizes that are not multiples of K, or arguments out of range.
    """
    check_at_least("n_classes", n_classes, 2)
    check_at_least("n_clusters", n_clusters, n_classes)
    check_at_least("dimension", dimension, 2)
    check_at_least("spread", spread, 0)
    sizes = {}
    for name, size, minimum in (("n_train", n_train, 1), ("n_test", n_test, 0)):
        sizes[name] = 50 * n_clusters if size is None else size
        check_at_least(name, sizes[name], minimum)
        if sizes[name] % n_clusters:
            raise ValueError(
                f"{name} must be a multiple of n_clusters, {n_clusters}; got {sizes[name]}"
            )
    rng = generator(seed, "clusters")
    centres = _uniform_on_sphere(rng, n_clusters, dimension)

    scale = spread / math.sqrt(dimension)

    def points(size: int) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]]:
        cluster_of = np.repeat(np.arange(n_clusters), size // n_clusters)
        moved = centres[cluster_of] + scale * normal_numbers(rng, (size, dimension))
        return moved / np.linalg.norm(moved, axis=1, keepdims=True), cluster_of

    inputs, cluster_of = points(sizes["n_train"])
    test_inputs, test_cluster_of = points(sizes["n_test"])
    return Dataset(
        name="clusters",
        inputs=inputs,
        clean_labels=cluster_of % n_classes,
        test_inputs=test_inputs,
        test_labels=test_cluster_of % n_classes,
        class_names=[str(index) for index in range(n_classes)],
        groups=cluster_of,
        source=f"{n_clusters} clusters on the unit sphere in {dimension} dimensions, "
        f"spread {spread}, seed {seed}",
    )


def circle(
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    frequency: int = 1,
    spacing: str = "equispaced",
) -> Dataset:
    """Points on the unit circle, labelled by the sign of sin(kθ) (Basri et al. 2019).

    Equispaced points, θ_i = 2π(i + ½)/n, make the kernel of any dense network circulant.

    Args:
        n_train: 256 by default.
        n_test: held-out points at uniformly random angles, 256 by default.
        seed: of the random angles.
        frequency: k; below n_train/2, above which equispaced points show another frequency.
        spacing: ``"equispaced"`` or ``"random"``.

    Raises:
        ValueError: a frequency outside 1 … n_train/2, an unknown spacing.
    """
    n_train = 256 if n_train is None else n_train
    n_test = 256 if n_test is None else n_test
    check_at_least("n_train", n_train, 3)
    check_at_least("n_test", n_test, 0)
    check_choice("spacing", spacing, ("equispaced", "random"))
    if not 1 <= frequency < n_train / 2:
        raise ValueError(
            f"frequency must be at least 1 and below n_train / 2 = {n_train / 2}; got {frequency}"
        )
    rng = generator(seed, "circle")
    turns, test_turns = rng.random(n_train), rng.random(n_test)
    labels = _half_turns(frequency * turns)
    if spacing == "equispaced":
        odd = 2 * np.arange(n_train) + 1
        turns = odd / (2 * n_train)
        # In whole numbers: a point may lie where the sine is 0, and rounding must not decide.
        labels = (frequency * odd % (2 * n_train) < n_train).astype(np.int64)
    return Dataset(
        name="circle",
        inputs=_on_circle(turns),
        clean_labels=labels,
        test_inputs=_on_circle(test_turns),
        test_labels=_half_turns(frequency * test_turns),
        class_names=["sin < 0", "sin ≥ 0"],
        source=f"{spacing} points on the unit circle, frequency {frequency}, seed {seed}",
    )


def sphere(
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    dimension: int = 3,
    degree: int = 1,
) -> Dataset:
    """Uniform points on the unit sphere, labelled by the sign of x₁x₂…x_ℓ.

    The product of ℓ different coordinates is a harmonic polynomial of degree ℓ, and both signs
    are equally likely.

    Args:
        n_train: 512 by default.
        n_test: 512 by default.
        seed: of the points.
        dimension: of the space around the sphere, at least 2.
        degree: ℓ, from 1 to ``dimension``.

    Raises:
        ValueError: arguments out of range.
    """
    n_train = 512 if n_train is None else n_train
    n_test = 512 if n_test is None else n_test
    check_at_least("n_train", n_train, 1)
    check_at_least("n_test", n_test, 0)
    check_at_least("dimension", dimension, 2)
    if not 1 <= degree <= dimension:
        raise ValueError(f"degree must lie in 1 … dimension = {dimension}; got {degree}")
    rng = generator(seed, "sphere")
    inputs = _uniform_on_sphere(rng, n_train, dimension)
    test_inputs = _uniform_on_sphere(rng, n_test, dimension)
    return Dataset(
        name="sphere",
        inputs=inputs,
        clean_labels=(inputs[:, :degree].prod(axis=1) >= 0).astype(np.int64),
        test_inputs=test_inputs,
        test_labels=(test_inputs[:, :degree].prod(axis=1) >= 0).astype(np.int64),
        class_names=["product < 0", "product ≥ 0"],
        source=f"uniform on the unit sphere in {dimension} dimensions, degree {degree}, "
        f"seed {seed}",
    )


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
