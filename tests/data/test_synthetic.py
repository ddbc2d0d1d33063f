"""Generated data: the geometry, labels and spectra that their docstrings promise."""

import numpy as np
import pytest
from scipy import stats

from ntk_air.data import SymmetricNoise, load_dataset


def test_cluster_points_lie_on_the_sphere_at_the_spread_from_their_centre():
    data = load_dataset("clusters", spread=0.1, dimension=50, n_train=1600)
    np.testing.assert_allclose(np.linalg.norm(data.inputs, axis=1), 1, atol=1e-14)
    np.testing.assert_array_equal(np.bincount(data.groups), [200] * 8)
    for cluster in range(8):
        points = data.inputs[data.groups == cluster]
        # To first order the projection takes the radial part of the spread away: 49 of 50 stay.
        distance = np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1)))
        assert distance == pytest.approx(0.1 * np.sqrt(49 / 50), rel=0.03)


def test_held_out_points_come_from_the_same_clusters():
    data = load_dataset("clusters", n_test=80)
    nearest = (data.test_inputs @ data.inputs.T).argmax(axis=1)
    np.testing.assert_array_equal(data.clean_labels[nearest], data.test_labels)
    assert not np.isin(data.test_inputs, data.inputs).any()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_labels_are_constant_on_clusters_and_use_every_class(n_classes):
    data = load_dataset("clusters", n_clusters=6, n_train=60, n_classes=n_classes)
    assert data.n_classes == n_classes
    per_cluster = [np.unique(data.clean_labels[data.groups == k]) for k in range(6)]
    assert all(len(labels) == 1 for labels in per_cluster)
    assert set(np.concatenate(per_cluster)) == set(range(n_classes))


def test_exact_noise_flips_the_same_number_in_each_cluster():
    data = load_dataset("clusters").with_label_noise(SymmetricNoise(0.2, exact=True), seed=0)
    flipped = data.groups[data.noisy_labels != data.clean_labels]
    np.testing.assert_array_equal(np.bincount(flipped, minlength=8), [10] * 8)


def test_the_gram_matrix_of_equispaced_points_is_circulant():
    inputs = load_dataset("circle", n_train=24).inputs
    gram = inputs @ inputs.T
    for row in range(24):
        np.testing.assert_allclose(gram[row], np.roll(gram[0], row), atol=1e-14)


@pytest.mark.parametrize("spacing", ["equispaced", "random"])
@pytest.mark.parametrize("frequency", [1, 2, 3, 7])
def test_circle_labels_are_the_sign_of_the_harmonic(spacing, frequency):
    data = load_dataset("circle", n_train=100, frequency=frequency, spacing=spacing)
    for inputs, labels in (
        (data.inputs, data.clean_labels),
        (data.test_inputs, data.test_labels),
    ):
        angle = np.arctan2(inputs[:, 1], inputs[:, 0])
        harmonic = np.sin(frequency * angle)
        clear = np.abs(harmonic) > 1e-9
        np.testing.assert_array_equal(labels[clear], harmonic[clear] > 0)
        np.testing.assert_allclose(np.linalg.norm(inputs, axis=1), 1, atol=1e-15)


def test_points_where_the_sine_vanishes_are_labelled_by_whole_numbers():
    # θ_i = 2π(i + ½)/9 is π at i = 4: sin(3π) = 0 belongs to the second half of its turn.
    labels = load_dataset("circle", n_train=9, frequency=3).clean_labels
    np.testing.assert_array_equal(labels, [1, 0, 0, 1, 0, 0, 1, 0, 0])


def test_sphere_points_are_uniform():
    inputs = load_dataset("sphere", n_train=4000, dimension=3).inputs
    np.testing.assert_allclose(np.linalg.norm(inputs, axis=1), 1, atol=1e-14)
    # Archimedes: each coordinate of a uniform point on the 2-sphere is uniform on [−1, 1].
    for axis in range(3):
        assert stats.kstest(inputs[:, axis], "uniform", (-1, 2)).pvalue > 1e-3


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_sphere_labels_are_balanced_and_orthogonal_to_lower_harmonics(degree):
    data = load_dataset("sphere", n_train=6000, dimension=4, degree=degree)
    signs = data.clean_targets()[:, 0]
    np.testing.assert_array_equal(signs > 0, np.prod(data.inputs[:, :degree], axis=1) > 0)
    lower = [np.ones(6000)]
    if degree > 1:
        lower += list(data.inputs.T)
    if degree > 2:
        lower += [data.inputs[:, i] * data.inputs[:, j] for i in range(4) for j in range(i)]
    for harmonic in lower:
        products = signs * harmonic
        assert abs(products.mean()) < 4 * products.std() / np.sqrt(6000)


@pytest.mark.parametrize("name", ["clusters", "circle", "sphere"])
def test_the_seed_decides_the_points(name):
    assert load_dataset(name).content_hash == load_dataset(name, seed=0).content_hash
    assert load_dataset(name).content_hash != load_dataset(name, seed=1).content_hash


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("clusters", {"n_train": 401}, "n_train must be a multiple of n_clusters, 8; got 401"),
        ("clusters", {"n_test": 3}, "n_test must be a multiple of n_clusters, 8; got 3"),
        ("clusters", {"n_clusters": 1}, "n_clusters must be .* at least 2; got 1"),
        ("clusters", {"n_classes": 1}, "n_classes must be .* at least 2; got 1"),
        ("clusters", {"dimension": 1}, "dimension must be .* at least 2; got 1"),
        ("clusters", {"spread": -0.1}, "spread must be .* at least 0; got -0.1"),
        ("circle", {"frequency": 0}, r"frequency must be a whole number, at least 1; got 0"),
        ("circle", {"n_train": 10, "frequency": 5}, r"below n_train / 2 = 5.0; got 5"),
        ("circle", {"spacing": "even"}, "spacing must be one of 'equispaced', 'random'"),
        ("sphere", {"degree": 4}, r"degree must lie in 1 … dimension = 3; got 4"),
        ("sphere", {"dimension": 1}, "dimension must be .* at least 2; got 1"),
        ("sphere", {"n_train": 0}, "n_train must be .* at least 1; got 0"),
    ],
)
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        load_dataset(name, **options)
