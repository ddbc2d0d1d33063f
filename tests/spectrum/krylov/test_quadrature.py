"""Decays and energies by label quadrature, against a dense decomposition at every time."""

import dataclasses
import functools
import json

import numpy as np
import pytest

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.data import load_dataset
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.spectrum.decomposition import DecompositionError
from ntk_air.spectrum.krylov import Checkpoint, label_quadrature
from ntk_air.spectrum.krylov.quadrature import spectral_norm
from ntk_air.spectrum.krylov.space import KrylovSpace
from tests.helpers.problems import SPECTRA, spectral_problem
from tests.spectrum.krylov.reference import (
    FLOW_TIMES,
    TIMES,
    decay_of,
    energy_shares,
    first_decays,
    spectrum_of,
)
from tests.spectrum.operators import ProductOnly


def labels_of(n, *, seed=0):
    """Centred one-hot labels of three classes, which have rank two, and noise of one column."""
    rng = np.random.default_rng(seed)
    signal = np.eye(3)[np.arange(n) * 3 // n] - 1 / 3
    return {"signal": signal, "noise": rng.standard_normal((n, 1))}


@functools.cache
def matrix_of(name):
    """A kernel of the table, or a real one, with eigenvalues over five decades."""
    if name != "digits":
        return spectral_problem(name).matrix
    data = load_dataset("digits", n_train=150, n_test=0).normalised()
    return np.asarray(DenseNTK(depth=3)(data.inputs.astype(np.float64)))


def check_contained(matrix, labels, n_products, *, share_of_rate=1.0):
    """Every enclosure of every measure holds the truth; returns the widest up to 1,000 steps."""
    values, vectors = spectrum_of(matrix)
    rate = share_of_rate / values[-1]
    quadrature = label_quadrature(ProductOnly(matrix), labels, max(n_products))
    first = {
        name: first_decays(matrix, columns, rate=rate)
        for name, columns in labels.items()
        if columns.shape[1] == 1
    }
    widths = np.zeros(len(n_products))
    for index, m in enumerate(n_products):
        measures = quadrature.measures(n_products=min(m, quadrature.n_products))
        for name, measure in measures.items():
            shares = energy_shares(vectors, labels[name])
            for dynamics, steps in (("descent", TIMES), ("flow", FLOW_TIMES)):
                found = measure.decay(steps, learning_rate=rate, dynamics=dynamics)
                truth = decay_of(values, shares, steps, rate=rate, dynamics=dynamics)
                if dynamics == "descent" and name in first:
                    truth[1:3] = first[name]
                assert found.contains(truth), (name, m, dynamics, found.lower, truth, found.upper)
                assert np.all((found.lower <= found.estimate) & (found.estimate <= found.upper))
                finite = np.isfinite(steps)
                error = measure.estimate_error(steps[finite], learning_rate=rate, dynamics=dynamics)
                assert np.all(np.abs(found.estimate - truth)[finite] <= error)
                widths[index] = max(widths[index], found.width[steps <= 1e3].max())
    return widths


# Widths after 1, 2, 4, 8 and 16 products, in float64: exact after as many as there are distinct
# eigenvalues, or as fill the dimensions.
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "at_most"),
    [
        ("power_law", [0.95, 0.85, 0.44, 1e-4, 1e-10]),
        ("step", [0.81, 1e-10, 1e-10, 1e-10, 1e-10]),
        ("repeated", [0.6, 0.4, 0.15, 1e-10, 1e-10]),
        ("rank_deficient", [0.59, 0.52, 0.43, 6e-3, 1e-10]),
        ("digits", [0.99, 0.78, 0.27, 2e-3, 1e-10]),
    ],
)
def test_enclosures_hold_the_truth_and_close(name, at_most, precision):
    matrix = matrix_of(name).astype(precision)
    found = check_contained(matrix, labels_of(len(matrix)), (1, 2, 4, 8, 16))
    single = precision == "float32"
    assert np.all(found <= np.array(at_most) + (2e-3 if single else 0)), found
    # Narrower with each product, down to what rounding allows for.
    assert np.all(np.diff(found) < (2e-3 if single else 1e-10)), found


@pytest.mark.parametrize("name", ["power_law", "digits"])
def test_one_vector_alone(name):
    # The recurrence is then the projection itself, and its last coupling leads out of the space.
    matrix = matrix_of(name)
    labels = {"noise": labels_of(len(matrix))["noise"]}
    found = check_contained(matrix, labels, (1, 2, 4, 8, 16, 32), share_of_rate=0.3)
    assert np.all(np.diff(found[:5]) < 0)
    assert found[-1] < 1e-10


@pytest.mark.parametrize("name", ["power_law", "digits"])
def test_the_uncertainty_covers_the_rounding_of_products(name):
    matrix = matrix_of(name).astype(np.float32)
    labels = labels_of(len(matrix))["noise"]
    measure = label_quadrature(ProductOnly(matrix), {"noise": labels}, 9).measures()["noise"]
    space = KrylovSpace(len(matrix), 10)
    space.append_pending(labels / np.linalg.norm(labels))
    for _ in range(9):
        space.advance(ProductOnly(matrix))
    image = space.basis @ np.vstack([space.projection, space.coupling])
    rounding = np.linalg.norm(image - matrix.astype(np.float64) @ space.basis[:, :9], 2)
    assert rounding < measure.uncertainty < 10 * rounding
    assert rounding > 1e-8 * measure.largest_eigenvalue


def test_even_powers_are_the_training_curve():
    matrix = matrix_of("power_law")
    labels = labels_of(60)["signal"]
    measure = label_quadrature(ProductOnly(matrix), {"signal": labels}, 6).measures()["signal"]
    rate = measure.default_learning_rate
    residual, curve = labels, []
    for _ in range(6):
        curve.append(np.sum(residual**2) / np.sum(labels**2))
        residual = residual - rate * matrix @ residual
    found = measure.decay(2 * np.arange(6.0))
    assert found.contains(np.minimum(curve, 1))
    assert found.width.max() < 0.01


@pytest.mark.parametrize("name", [*SPECTRA, "digits"])
def test_energies_by_eigenvalue(name):
    matrix, labels = matrix_of(name), labels_of(len(matrix_of(name)))
    values, vectors = spectrum_of(matrix)
    distinct = values[np.append(True, np.diff(values) > 1e-6 * values[-1])]
    # Amidst the gaps, and beyond both ends.
    thresholds = np.concatenate(
        [[1e-7 * values[-1]], (distinct[1:] + distinct[:-1]) / 2, [2 * values[-1]]]
    )
    quadrature = label_quadrature(ProductOnly(matrix), labels, 24)
    widths = []
    for m in (1, 2, 6, 24):
        measures = quadrature.measures(n_products=min(m, quadrature.n_products))
        for key, measure in measures.items():
            shares = energy_shares(vectors, labels[key])
            truth = np.array([shares[values >= threshold].sum() for threshold in thresholds])
            found = measure.energy_from(thresholds)
            # Rounding turns eigenvectors by its size over the gap between eigenvalues.
            assert np.all(found.lower - 1e-11 <= truth)
            assert np.all(truth <= found.upper + 1e-11)
        widths.append(found.width.mean())
    assert np.all(np.diff(widths) < 1e-12)
    assert widths[-1] < (0.2 if name == "digits" else 1e-10)


def test_fewer_products_are_those_of_a_shorter_run():
    operator, labels = ProductOnly(matrix_of("power_law")), labels_of(60)
    longer = label_quadrature(operator, labels, 7).measures(n_products=4)["signal"]
    shorter = label_quadrature(operator, labels, 4).measures()["signal"]
    np.testing.assert_array_equal(longer.decay(TIMES).lower, shorter.decay(TIMES).lower)
    np.testing.assert_array_equal(longer.decay(TIMES).upper, shorter.decay(TIMES).upper)
    assert longer.n_products == shorter.n_products == 4


def test_dependent_columns_cost_no_products():
    labels = labels_of(60)
    labels["both"] = labels["signal"] + labels["noise"]
    with_nothing = np.append(labels["noise"], np.zeros((60, 1)), axis=1)
    quadrature = label_quadrature(
        ProductOnly(matrix_of("digits")[:60, :60]), labels | {"half": with_nothing}, 3
    )
    assert quadrature.block_ends == (3, 6, 9, 12)
    measures = quadrature.measures()
    assert len(measures["half"].columns) == 1
    np.testing.assert_allclose(
        measures["half"].decay(TIMES).estimate, measures["noise"].decay(TIMES).estimate, rtol=1e-12
    )


class InterruptedRunError(Exception):
    pass


def interrupting(after):
    def progress(stage, done, total):
        if done == after:
            raise InterruptedRunError

    return progress


def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path):
    operator, labels = ProductOnly(matrix_of("digits").astype(np.float32)), labels_of(150)

    def run(n_products, **options):
        checkpoint = Checkpoint(tmp_path, belongs_to="digits")
        return label_quadrature(operator, labels, n_products, checkpoint=checkpoint, **options)

    for passes in (0, 1, 4):
        with pytest.raises(InterruptedRunError):
            run(9, progress=interrupting(passes))
    whole = label_quadrature(operator, labels, 9)
    # The longer run's passes serve the shorter one, and the other way round.
    for n_products in (9, 5, 12):
        resumed, afresh = run(n_products), label_quadrature(operator, labels, n_products)
        np.testing.assert_array_equal(resumed.projection, afresh.projection, strict=True)
        assert resumed.block_ends == afresh.block_ends
    np.testing.assert_array_equal(run(9).projection, whole.projection, strict=True)
    computation = {"what": "label_quadrature", "shape": [150, 150], "dtype": "float32"}
    identity = json.loads((tmp_path / "identity.json").read_text())
    assert identity["computation"] == computation  # as 0.1 wrote it
    other = Checkpoint(tmp_path, belongs_to="digits")
    with pytest.raises(ValueError, match="differs in start"):
        label_quadrature(operator, labels_of(150, seed=1), 9, checkpoint=other)


def test_refusals():
    operator, labels = ProductOnly(matrix_of("power_law")), labels_of(60)
    for wrong, message in (
        (np.ones((59, 1)), r"labels\['u'\] must have shape \(n, n_column\) with n = 60 rows"),
        (np.ones(60), r"labels\['u'\] must have shape"),
        (np.ones((60, 1), int), r"labels\['u'\] must be a floating-point array"),
        (np.full((60, 1), np.nan), r"labels\['u'\] must be finite"),
        (np.zeros((60, 2)), r"labels\['u'\] must not be all zero"),
    ):
        with pytest.raises(ValueError, match=message):
            label_quadrature(operator, {"u": wrong}, 3)
    with pytest.raises(ValueError, match="labels must hold at least one matrix"):
        label_quadrature(operator, {}, 3)
    with pytest.raises(ValueError, match="n_products must be a whole number, at least 1"):
        label_quadrature(operator, labels, 0)
    with pytest.raises(MemoryBudgetError, match="ask for fewer products"):
        label_quadrature(operator, labels, 3, max_memory_bytes=1000)
    with pytest.raises(DecompositionError, match="finite"):
        label_quadrature(ProductOnly(np.full((60, 60), np.inf)), labels, 3)
    quadrature = label_quadrature(operator, labels, 3)
    with pytest.raises(ValueError, match="n_products must be a whole number, from 1 to 3; got 4"):
        quadrature.measures(n_products=4)
    measure = quadrature.measures()["signal"]
    for steps, options, message in (
        ([-1.0], {}, "steps must be at least 0; the smallest is -1"),
        ([np.nan], {}, "steps must be at least 0"),
        ([1.0, 2.5], {}, r"steps must be whole numbers for descent; got 2\.5"),
        ([1.0], {"learning_rate": 1.0}, r"learning_rate must be at most 1/λ₁ = 0\.33"),
        ([1.0], {"learning_rate": -1.0}, "learning_rate must be a finite number above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            measure.decay(np.array(steps), **options)
    with pytest.raises(ValueError, match="thresholds must be a finite number above 0"):
        measure.energy_from(np.array([0.0]))


def test_labels_in_the_null_space_never_move():
    matrix = np.diag([1.0, 0.5, 0.0, 0.0])
    measure = label_quadrature(ProductOnly(matrix), {"u": np.eye(4)[:, 2:]}, 3).measures()["u"]
    with pytest.raises(ValueError, match="learning_rate must be given: the labels lie in"):
        measure.decay(TIMES)
    found = measure.decay(TIMES, learning_rate=1.0)
    assert found.contains(np.ones(len(TIMES)))
    np.testing.assert_array_equal(found.estimate, 1)
    assert np.all(found.lower[np.isfinite(TIMES)] > 1 - 1e-12)


def test_the_spectral_norm_is_the_largest_singular_value():
    matrix = np.random.default_rng(0).standard_normal((7, 7))
    assert spectral_norm(matrix) == pytest.approx(np.linalg.norm(matrix, 2))


@pytest.mark.parametrize("dynamics", ["descent", "flow"])
def test_the_allowance_for_scaling_covers_what_scaling_moves(dynamics):
    """Eigenvalues divided by 1 + 2ηδ have decays that differ by up to 2ηδ·max x·e⁻ˣ."""
    matrix = matrix_of("step")
    values, _ = spectrum_of(matrix)
    measure = label_quadrature(ProductOnly(matrix), labels_of(60), 5).measures()["signal"]
    rate = 1 / values[-1]
    measure = dataclasses.replace(measure, uncertainty=0.01 / rate)
    scaled = values / (1 + 2 * rate * measure.uncertainty)
    steps = np.arange(1.0, 200)

    def decays(eigenvalues):
        share = rate * eigenvalues[None, :]
        per_step = np.exp(-share) if dynamics == "flow" else np.maximum(1 - share, 0)
        return per_step ** steps[:, None]

    moved = np.abs(decays(values) - decays(scaled)).max()
    assert moved > 0.001
    assert moved <= measure._rounding(rate)


def test_what_rank_deflation_left_out_is_added_to_the_uncertainty():
    labels = labels_of(60)
    found = label_quadrature(ProductOnly(matrix_of("power_law")), labels, 5)
    planted = dataclasses.replace(found, dropped=found.dropped + 1e-3)
    for name, measure in planted.measures().items():
        without = found.measures()[name].uncertainty
        assert measure.uncertainty - without == pytest.approx(1e-3, rel=1e-9)


def test_an_estimate_from_all_that_labels_see_is_off_by_rounding_alone():
    matrix = matrix_of("step")  # few eigenvalues: the space is soon invariant
    found = label_quadrature(ProductOnly(matrix), labels_of(60), 20)
    for measure in found.measures().values():
        assert measure.estimate_error(np.arange(50.0)).max() < 1e-9
