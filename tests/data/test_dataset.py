"""The Dataset value: checks at construction, targets, parts, hash."""

import jax
import numpy as np
import pytest

import ntk_air as na
from ntk_air.data import (
    ClassLabels,
    Dataset,
    HumanNoise,
    InstanceDependentNoise,
    PairFlipNoise,
    SymmetricNoise,
    TransitionNoise,
)
from ntk_air.data.draws import generator
from tests.helpers.type_checks import without_type_checks


def _fields(n=30, n_test=9, n_classes=3):
    rng = generator(4, "test data set")
    return {
        "name": "made up",
        "inputs": rng.random((n, 2, 2, 1)) - 0.5,
        "clean_labels": np.arange(n) % n_classes,
        "test_inputs": rng.random((n_test, 2, 2, 1)) - 0.5,
        "test_labels": np.arange(n_test) % n_classes,
    }


def _made(*, inputs, clean_labels, test_inputs, test_labels, **further):
    """A data set of arrays by the names of its attributes."""
    names = {"noisy_labels": "noisy", "label_noise": "noise", "class_names": "class_names"}
    names["noise_probabilities"] = "probabilities"
    given = {names[key]: further.pop(key) for key in names if key in further}
    labels = ClassLabels(clean_labels, **given) if given else clean_labels
    return Dataset(inputs, labels, test=(test_inputs, test_labels), **further)


def test_sizes_and_defaults():
    data = _made(**_fields())
    assert (data.n_train, data.n_test, data.n_classes, data.n_out) == (30, 9, 3, 3)
    assert data.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(data.noisy_labels, data.clean_labels)
    assert data.noise_fraction == 0
    assert data.inputs.dtype == np.float64
    assert data.clean_labels.dtype == np.int64


def test_two_classes_have_one_output():
    data = _made(**_fields(n_classes=2))
    assert data.n_out == 1
    np.testing.assert_array_equal(data.clean_targets()[:2], [[-1.0], [1.0]])


def test_without_a_held_out_part_there_are_zero_test_examples():
    fields = _fields()
    data = Dataset(fields["inputs"], fields["clean_labels"])
    assert data.name == "data"
    assert data.n_test == 0
    assert data.test_targets().shape == (0, 3)
    assert data.flattened().test_inputs.shape == (0, 4)
    assert data.normalised().n_test == 0


def test_targets_are_those_of_the_labels():
    noisy = np.roll(np.arange(30) % 3, 1)
    noise = TransitionNoise(np.roll(np.eye(3), -1, axis=1))
    data = _made(**_fields(), noisy_labels=noisy, label_noise=noise)
    np.testing.assert_allclose(data.clean_targets()[1], [-1 / 3, 2 / 3, -1 / 3])
    np.testing.assert_allclose(data.noisy_targets()[1], [2 / 3, -1 / 3, -1 / 3])
    np.testing.assert_allclose(data.test_targets()[2], [-1 / 3, -1 / 3, 2 / 3])
    np.testing.assert_allclose(data.expected_noisy_targets(), data.noisy_targets(), atol=1e-15)
    assert data.noise_fraction == 1


def test_noise_is_drawn_from_the_clean_labels_each_time():
    data = _made(**_fields())
    once = data.with_label_noise(PairFlipNoise(1.0), seed=1)
    again = once.with_label_noise(PairFlipNoise(1.0), seed=1)
    for noisy in (once, again):
        np.testing.assert_array_equal(noisy.noisy_labels, (data.clean_labels + 1) % 3)
        np.testing.assert_array_equal(noisy.clean_labels, data.clean_labels)
        assert noisy.label_noise == PairFlipNoise(1.0)


def test_exact_noise_holds_within_the_groups_of_the_data_set():
    data = _made(**_fields(), groups=np.arange(30) // 10)
    noisy = data.with_label_noise(SymmetricNoise(1.0, exact=True), seed=0)
    assert noisy.noise_fraction == 1
    half = data.with_label_noise(SymmetricNoise(0.5, exact=True), seed=0)
    cells = (data.groups * 3 + data.clean_labels)[half.noisy_labels != half.clean_labels]
    # Cells of 4, 3, 3 examples: round(2) = 2, round(1.5) = 2.
    np.testing.assert_array_equal(np.bincount(cells, minlength=9), [2] * 9)


@pytest.mark.parametrize("noise", [SymmetricNoise(0.4, exact=True), InstanceDependentNoise(0.4)])
def test_a_part_keeps_the_noise_of_its_examples(noise):
    fields = _fields(n=31)
    fields["inputs"][:, 0, 0, 0] = np.arange(31)
    data = _made(**fields).with_label_noise(noise, seed=3)
    part = data.subset(n_train=14, n_test=4, seed=5)
    assert (part.n_train, part.n_test) == (14, 4)
    index = part.inputs[:, 0, 0, 0].astype(int)
    np.testing.assert_array_equal(part.noisy_labels, data.noisy_labels[index])
    np.testing.assert_array_equal(part.clean_labels, data.clean_labels[index])
    np.testing.assert_array_equal(
        part.expected_noisy_targets(), data.expected_noisy_targets()[index]
    )
    assert (np.bincount(part.clean_labels) >= 4).all()


def test_parts_are_stratified_by_group_and_differ_between_seeds():
    data = _made(**_fields(), groups=np.arange(30) // 5)
    part = data.subset(n_train=12, seed=0)
    np.testing.assert_array_equal(np.bincount(part.groups), [2] * 6)
    assert part.content_hash == data.subset(n_train=12, seed=0).content_hash
    assert part.content_hash != data.subset(n_train=12, seed=1).content_hash
    assert data.subset().content_hash == data.content_hash


def test_the_average_transition_matrix_is_the_noise_s_own():
    data = _made(**_fields()).with_label_noise(SymmetricNoise(0.3), seed=0)
    np.testing.assert_allclose(
        data.transition_matrix(), SymmetricNoise(0.3).transition_matrix(3), atol=1e-14
    )
    np.testing.assert_array_equal(_made(**_fields()).transition_matrix(), np.eye(3))
    with pytest.raises(ValueError, match="got none of class 3"):
        _made(**_fields(), class_names=list("abcd")).transition_matrix()


def test_flattening_and_normalising():
    data = _made(**_fields())
    flat = data.flattened()
    np.testing.assert_array_equal(flat.inputs, data.inputs.reshape(30, 4))
    unit = data.normalised()
    np.testing.assert_allclose(np.linalg.norm(unit.inputs, axis=1), 1, atol=1e-15)
    np.testing.assert_allclose(np.linalg.norm(unit.test_inputs, axis=1), 1, atol=1e-15)
    cosines = np.sum(unit.inputs * flat.inputs, axis=1) / np.linalg.norm(flat.inputs, axis=1)
    np.testing.assert_allclose(cosines, 1, atol=1e-14)
    fields = _fields()
    fields["inputs"][7] = 0
    with pytest.raises(ValueError, match=r"inputs must have no row of norm zero .* got row 7"):
        _made(**fields).normalised()


def test_arrays_are_frozen_and_do_not_follow_the_caller_s():
    fields = _fields()
    data = _made(**fields)
    before = data.content_hash
    fields["inputs"][0] = 99
    fields["clean_labels"][0] = 2
    assert data.content_hash == before
    arrays = [data.inputs, data.clean_labels, data.test_inputs, data.noise_probabilities]
    for part in (data.subset(n_train=9, n_test=3), data.normalised(), data.resized(1, 1)):
        arrays += [part.inputs, part.test_inputs, part.clean_labels]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        data.name = "other"


def test_jax_arrays_are_taken_too():
    fields = _fields()
    fields["inputs"] = jax.numpy.asarray(fields["inputs"])
    assert _made(**fields).content_hash == _made(**_fields()).content_hash


# Fixed once and for all: run folders of different machines are compared by it.
GOLDEN_HASH = "e0bd5c447b75e150c1a0e5c572bd45ff3b5230b22641626e36993eca0013a738"


def test_the_content_hash_is_stable_over_byte_orders_and_number_types():
    fields = _fields()
    fields["inputs"] = (np.arange(120) / 64 - 1).reshape(30, 2, 2, 1)
    fields["test_inputs"] = (np.arange(36) / 64).reshape(9, 2, 2, 1)
    assert _made(**fields).content_hash == GOLDEN_HASH
    swapped = fields | {
        "inputs": fields["inputs"].astype(">f8"),
        "clean_labels": fields["clean_labels"].astype(">i2"),
        "test_labels": fields["test_labels"].astype(np.uint8),
    }
    assert _made(**swapped).content_hash == GOLDEN_HASH
    assert _made(**(fields | {"name": "x", "source": "y"})).content_hash == GOLDEN_HASH


def _changed_array(key, index, value):
    def change(fields):
        fields[key] = fields[key].copy()
        fields[key][index] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _changed_array("inputs", (0, 0, 0, 0), 0.123),
        _changed_array("clean_labels", 0, 1),
        _changed_array("test_inputs", (0, 0, 0, 0), 0.123),
        _changed_array("test_labels", 0, 1),
        lambda fields: fields.update(class_names=["a", "b", "c"]),
        lambda fields: fields.update(groups=np.zeros(30, np.int64)),
        lambda fields: (
            fields.update(inputs=fields["inputs"].reshape(30, 4, 1, 1))
            or fields.update(test_inputs=fields["test_inputs"].reshape(9, 4, 1, 1))
        ),
        lambda fields: fields.update(label_noise=SymmetricNoise(0.1)),
        lambda fields: fields.update(
            label_noise=SymmetricNoise(0.0), noisy_labels=(np.arange(30) + 1) % 3
        ),
    ],
)
def test_the_content_hash_sees_everything_that_matters(change):
    fields = _fields()
    change(fields)
    assert _made(**fields).content_hash != _made(**_fields()).content_hash


def test_negative_zero_is_the_same_input():
    fields, other = _fields(), _fields()
    fields["inputs"][0], other["inputs"][0] = 0.0, -0.0
    assert _made(**fields).content_hash == _made(**other).content_hash


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": np.zeros((0, 2))}, r"inputs must not be empty; got shape \(0, 2\)"),
        ({"inputs": np.zeros(30)}, r"inputs must have shape \(n, \*features\)"),
        ({"inputs": np.array([["a"]] * 30)}, "inputs must hold real numbers; got dtype <U1"),
        ({"inputs": np.full((30, 2, 2, 1), np.nan)}, "inputs must be finite; .* in 30 rows"),
        ({"test_inputs": np.full((9, 2, 2, 1), np.inf)}, "test_inputs must be finite"),
        ({"test_inputs": np.zeros((9, 3))}, "inputs and test_inputs must have the same features"),
        ({"test_inputs": None}, "test_inputs must be an array of numbers; got NoneType"),
        ({"test_labels": None}, "test_labels must be an array of numbers; got NoneType"),
        ({"clean_labels": np.zeros(29, int)}, "clean_labels .* each of the 30 inputs; got 29"),
        ({"clean_labels": np.zeros(30)}, "clean_labels must be a vector of integer .* float64"),
        ({"test_labels": np.zeros(8, int)}, "test_labels .* each of the 9 test_inputs; got 8"),
        ({"noisy_labels": np.zeros(31, int)}, "noisy_labels .* each of the 30 inputs; got 31"),
        ({"groups": np.zeros(31, int)}, "groups must have one entry for each of the 30 inputs"),
        ({"clean_labels": np.full(30, -1)}, "every class from 0 on.* got the classes -1, 0, 1, 2"),
        (
            {"clean_labels": np.full(30, -1), "class_names": list("abc")},
            "clean_labels must lie in 0 … 2; got -1",
        ),
        ({"noisy_labels": np.full(30, 3)}, "noisy_labels must lie in 0 … 2; got 3"),
        ({"test_labels": np.full(9, 3), "class_names": list("abc")}, "test_labels must lie in"),
        ({"class_names": ["only"]}, "class_names where they are given, must be of at least two"),
        ({"class_names": ["a", "a", "b"]}, "class_names must be distinct"),
        ({"noisy_labels": np.zeros(30, int)}, "labels must have a noise that says what made the"),
        (
            {"noise_probabilities": np.ones((29, 3))},
            r"the labels' probabilities must have shape \(30, 3",
        ),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        _made(**(_fields() | changes))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n_train": 31}, "n_train must be at most 30, what there is; got 31"),
        ({"n_train": 0}, "n_train must be a whole number, at least 1; got 0"),
        ({"n_test": 10}, "n_test must be at most 9"),
        ({"n_train": 3, "seed": -1}, "seed must be a whole number, at least 0; got -1"),
    ],
)
def test_bad_parts_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        _made(**_fields()).subset(**sizes)


def test_given_labels_with_measured_noise_are_a_data_set():
    clean = np.arange(30) % 3
    noisy = np.where(np.arange(30) < 10, (clean + 1) % 3, clean)
    noise = HumanNoise.measure(clean, noisy, 3)
    data = _made(**_fields(), noisy_labels=noisy, label_noise=noise)
    np.testing.assert_allclose(data.transition_matrix(), noise.matrix, atol=1e-15)
    assert data.noise_fraction == pytest.approx(1 / 3)


def test_what_a_function_makes_of_the_inputs_takes_their_place():
    data = _made(**_fields()).with_label_noise(SymmetricNoise(0.4), seed=3)
    seen = []

    def rows(inputs):
        seen.append(inputs.shape)
        return inputs.sum(axis=1, dtype=np.float32)[..., 0]

    made = data.with_inputs(rows)
    assert seen == [data.inputs.shape, data.test_inputs.shape]
    np.testing.assert_array_equal(made.inputs, rows(data.inputs))
    np.testing.assert_array_equal(made.test_inputs, rows(data.test_inputs))
    assert made.inputs.dtype == np.float64
    for name in ("clean_labels", "noisy_labels", "test_labels", "noise_probabilities"):
        np.testing.assert_array_equal(getattr(made, name), getattr(data, name))
    assert Dataset(data.inputs, data.clean_labels).with_inputs(rows).test_inputs.shape == (0, 2)
    # No word on scales of columns, which are the function's: warnings are errors here.
    data.with_inputs(lambda inputs: inputs.reshape(len(inputs), -1) * 1e-5 ** np.arange(4))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("sum", "features must be callable; got 'sum'"),
        (lambda x: x[1:], r"what features returns must have shape .* each of 30 inputs; got shape"),
        (lambda x: x.sum(axis=(1, 2, 3)), r"a row for each of 30 inputs; got shape \(30,\)"),
        (lambda x: x[..., :0], r"got shape \(30, 2, 2, 0\)"),
        (lambda x: np.log(x - 1), "what features returns must be finite; got NaN"),
        (lambda x: x.astype(complex), "what features returns must hold real numbers"),
        (lambda x: None, "what features returns must be an array of numbers; got NoneType"),
        (lambda x: x[:, : 1 + len(x) % 2], "features of inputs and features of test_inputs must"),
        (lambda x: x * len(x) ** 9.0, "test_inputs must be on the scale of inputs"),
    ],
)
def test_a_function_that_makes_no_inputs_is_refused(features, message):
    with (
        np.errstate(all="ignore"),
        without_type_checks(),
        pytest.raises(ValueError, match=message),
    ):
        _made(**_fields()).with_inputs(features)


# --- given labels alone ---------------------------------------------------------------------------


def given_alone(n=6):
    inputs = np.random.default_rng(0).normal(size=(n, 2))
    return Dataset(inputs, ClassLabels(noisy=np.arange(n) % 2))


def test_given_labels_alone_are_neither_taken_for_clean_nor_flipped():
    data = given_alone()
    assert not data.has_clean_labels
    assert data.noisy_labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert data.n_classes == 2
    part = data.normalised().subset(n_train=4)
    assert not part.has_clean_labels
    assert part.noisy_labels.tolist() == [0, 1, 0, 1]
    assert data.content_hash != Dataset(data.inputs, data.noisy_labels).content_hash


@pytest.mark.parametrize(
    "ask",
    [
        lambda data: data.clean_labels,
        lambda data: data.noise_fraction,
        lambda data: data.clean_targets(),
        lambda data: data.expected_noisy_targets(),
        lambda data: data.transition_matrix(),
        lambda data: data.without_label_noise(),
        lambda data: data.with_label_noise(SymmetricNoise(0.4), seed=0),
    ],
)
def test_what_needs_clean_labels_says_so(ask):
    with pytest.raises(ValueError, match="dataset must have clean labels for this"):
        ask(given_alone())


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (ClassLabels(), "labels must have clean or noisy ones"),
        (ClassLabels(noisy=[0, 1], noise=SymmetricNoise(0.1)), "clean ones beside a noise"),
        (ClassLabels(noisy=[0, 2]), "labels must hold every class from 0 on"),
        (ClassLabels(noisy=[0, 0]), "at least two classes"),
    ],
)
def test_given_labels_that_are_none_are_refused(labels, says):
    with pytest.raises(ValueError, match=says):
        Dataset(np.eye(2), labels)


def test_a_data_set_knows_the_rows_that_its_inputs_were_taken_from():
    data = na.load_dataset("wine", n_train=50, n_test=20, seed=4)
    whole = na.load_dataset("wine", n_train=178, n_test=0)
    order = np.argsort(whole.rows.train)
    labels = whole.clean_labels[order]
    parts = data.subset(n_train=30, n_test=10, seed=1).normalised()
    for some, n_train in ((data, 50), (parts, 30)):
        assert (len(some.rows.train), some.rows.n_all) == (n_train, 178)
        assert not set(some.rows.train) & set(some.rows.test)
        np.testing.assert_array_equal(labels[some.rows.train], some.clean_labels)
        np.testing.assert_array_equal(labels[some.rows.test], some.test_labels)
    own = na.Dataset(np.eye(4), [0, 1, 0, 1], test=(np.eye(2, 4), [0, 1]))
    assert (own.rows.train.tolist(), own.rows.test.tolist()) == ([0, 1, 2, 3], [4, 5])
