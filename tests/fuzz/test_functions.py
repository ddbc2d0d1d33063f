"""Odd values for each argument of what is exported: an answer in finite numbers, or a refusal.

A refusal is a ``ValueError`` or ``TypeError``, or of a class that is documented, and names the
argument. Annotations are not checked here, as they are not for a user.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntk_air as na
from tests.fuzz.effort import FUZZ
from tests.fuzz.odd_values import odd_for
from tests.helpers.type_checks import without_type_checks

N = 12
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(N, 3))
TEST_INPUTS = RNG.normal(size=(4, 3))
CLASSES = np.arange(N) % 2
LABELS = 2.0 * CLASSES[:, None] - 1
NOISY = LABELS * np.where(np.arange(N) % 5 == 0, -1.0, 1.0)[:, None]
MATRIX = np.asarray(na.DenseNTK()(INPUTS))
SPECTRUM = na.decompose(MATRIX)
CROSS, PRIOR = (np.asarray(na.DenseNTK()(TEST_INPUTS, x)) for x in (INPUTS, None))
DATA = na.Dataset(INPUTS, CLASSES, test=(TEST_INPUTS, np.array([0, 1, 0, 1])))
NOISY_DATA = DATA.with_label_noise(na.SymmetricNoise(0.25, exact=True), seed=0)
PROBLEM = na.make_problem(NOISY_DATA, na.DenseNTK())
TAUGHT = na.Supervision(na.label_functions.Hard(), na.weights.Power(1.5), warm_up=5)
BY_EPOCH = na.Supervision(
    na.label_functions.Hard(), na.weights.Constant(0.5), na.teachers.Restart(3)
)
RUN = na.solve(PROBLEM, TAUGHT, [20], store_at=[20])
OPERATOR = na.recomputed_kernel(na.DenseNTK(), INPUTS)
WEIGHTS = {"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)}


def network(params, x):
    return jax.numpy.tanh(x @ params["w"] + params["b"])


def with_noise(noise):
    return DATA.with_label_noise(noise, seed=0)


def cleaned(kernel, labels, cross_kernel, seed):
    found = na.clean_labels(kernel, labels, cross_kernel=cross_kernel, seed=seed)
    return [found.posterior, found.transition, found.rate_interval, found.predictions]


CALLS: dict[str, tuple[Callable[..., Any], Mapping[str, Any]]] = {
    "Dataset": (na.Dataset, {"inputs": INPUTS, "labels": CLASSES, "name": "x", "groups": CLASSES}),
    "ClassLabels": (
        na.ClassLabels,
        {"clean": CLASSES, "noisy": CLASSES[::-1].copy(), "class_names": ("a", "b")},
    ),
    "load_dataset": (na.load_dataset, {"name": "clusters", "n_train": 40, "n_test": 8, "seed": 0}),
    "SymmetricNoise": (na.SymmetricNoise, {"rate": 0.2, "exact": True}),
    "PairFlipNoise": (na.PairFlipNoise, {"rate": 0.2, "exact": False}),
    "TransitionNoise": (na.TransitionNoise, {"matrix": np.array([[0.9, 0.1], [0.2, 0.8]])}),
    "InstanceDependentNoise": (na.InstanceDependentNoise, {"rate": 0.2, "spread": 0.1}),
    "with_label_noise": (DATA.with_label_noise, {"noise": na.SymmetricNoise(0.2), "seed": 3}),
    "subset": (DATA.subset, {"n_train": 8, "n_test": 2, "seed": 0}),
    "DenseNTK": (
        na.DenseNTK,
        {"depth": 3, "activation": "relu", "weight_variance": 2.0, "bias_variance": 0.1},
    ),
    "DenseNTK()": (na.DenseNTK(depth=3, activation="erf"), {"x1": INPUTS, "x2": TEST_INPUTS}),
    "ConvolutionalNTK": (na.ConvolutionalNTK, {"blocks": (1,), "weight_variance": 2.0}),
    "EmpiricalNTK": (na.EmpiricalNTK, {"apply_fn": network, "params": WEIGHTS, "outputs": "mean"}),
    "empirical_ntk": (
        na.empirical_ntk,
        {"apply_fn": network, "params": WEIGHTS, "x1": INPUTS, "x2": TEST_INPUTS},
    ),
    "gram_matrix": (
        na.gram_matrix,
        {"kernel": na.DenseNTK(), "x1": INPUTS, "max_memory_bytes": 10**8},
    ),
    "recomputed_kernel": (
        na.recomputed_kernel,
        {"kernel": na.DenseNTK(), "x": INPUTS, "largest_tile": 5},
    ),
    "matrix_free_kernel": (
        na.matrix_free_kernel,
        {"apply_fn": network, "params": WEIGHTS, "x": INPUTS},
    ),
    "sharded_kernel": (na.sharded_kernel, {"kernel": na.DenseNTK(), "x": INPUTS}),
    "TileOptions": (na.TileOptions, {"precision": "float64", "largest_tile": 5}),
    "decompose": (na.decompose, {"kernel": MATRIX, "top_k": 3, "method": "dense"}),
    "DecompositionOptions": (na.DecompositionOptions, {"symmetry_tolerance": 1e-5, "seed": 0}),
    "top_modes": (na.top_modes, {"operator": OPERATOR, "top_k": 2}),
    "TopModesOptions": (na.TopModesOptions, {"block": 2, "accuracy": 1e-6, "max_products": 9}),
    "label_quadrature": (
        na.label_quadrature,
        {"operator": OPERATOR, "labels": {"y": LABELS}, "n_products": 3},
    ),
    "make_problem": (
        na.make_problem,
        {"dataset": NOISY_DATA, "kernel": na.DenseNTK(), "precision": "float64"},
    ),
    "Labels": (na.Labels, {"noisy": NOISY, "clean": LABELS}),
    "Problem": (na.Problem, {"labels": na.Labels(NOISY, LABELS), "operator": MATRIX}),
    "air_curve": (
        na.air_curve,
        {"spectrum": SPECTRUM, "signal": LABELS, "noise": NOISY - LABELS, "learning_rate": 0.01},
    ),
    "air_summary": (na.air_summary, {"problem": PROBLEM, "delta": 0.1, "learning_rate": 0.01}),
    "energy_in_top": (na.energy_in_top, {"spectrum": SPECTRUM, "labels": LABELS}),
    "kernel_target_alignment": (
        na.kernel_target_alignment,
        {"spectrum": SPECTRUM, "labels": LABELS},
    ),
    "Descent": (na.Descent, {"rate": 0.01, "momentum": 0.5}),
    "Flow": (na.Flow, {"rate": 0.01}),
    "RelativeRate": (na.RelativeRate, {"fraction": 0.5}),
    "Supervision": (
        na.Supervision,
        {
            "label_function": na.label_functions.Hard(),
            "schedule": na.weights.Power(1.5),
            "warm_up": 3,
        },
    ),
    "Rounds": (na.Rounds, {"supervision": BY_EPOCH, "n_rounds": 2}),
    "solve": (
        na.solve,
        {"problem": PROBLEM, "rule": na.Descent(), "times": np.array([0.0, 3.0]), "store_at": [3]},
    ),
    "default_schedule": (na.default_schedule, {"problem": PROBLEM, "folds": 3, "seed": 0}),
    "clean_labels": (
        cleaned,
        {"kernel": MATRIX, "labels": CLASSES, "cross_kernel": MATRIX[:4], "seed": 0},
    ),
    "CleaningOptions": (
        na.CleaningOptions,
        {"n_modes": 9, "folds": 2, "n_rounds": 2, "temperature": 0.5, "n_bootstrap": 20},
    ),
    "FoldedLearner": (
        na.FoldedLearner,
        {"fit_predict": lambda shown, targets, asked: targets, "n_train": N, "folds": 3},
    ),
    "certify": (na.certify, {"problem": PROBLEM, "supervision": TAUGHT, "run": RUN}),
    "verify": (na.verify, {"problem": PROBLEM, "claims": ["1a"]}),
    "Constant": (na.weights.Constant, {"weight": 0.3}),
    "Power": (na.weights.Power, {"exponent": 1.5, "scale": 2.0}),
    "Geometric": (na.weights.Geometric, {"decay": 0.9, "start": 0.5}),
    "Sharpened": (na.label_functions.Sharpened, {"temperature": 0.5}),
    "Restart": (na.teachers.Restart, {"epoch_length": 3}),
    "ExponentialMovingAverage": (na.teachers.ExponentialMovingAverage, {"decay": 0.5}),
    "GradientDescent": (na.filters.GradientDescent, {"learning_rate": 0.1}),
    "DenseNetwork": (na.networks.DenseNetwork, {"widths": (4,), "n_out": 2}),
    "Adam": (na.networks.Adam, {"rate": 0.1}),
    "FlowTimeSchedule": (na.networks.FlowTimeSchedule, {"batch_size": 2, "momentum": 0.5}),
    "gp_posterior": (
        na.inference.gp_posterior,
        {"kernel": MATRIX, "targets": NOISY, "cross_kernel": CROSS, "prior": PRIOR}
        | {"noise_variance": 0.1},
    ),
    "log_marginal_likelihood": (
        na.inference.log_marginal_likelihood,
        {"kernel": SPECTRUM, "targets": NOISY, "noise_variance": 0.1},
    ),
    "left_out": (
        na.inference.left_out,
        {"kernel": MATRIX, "targets": NOISY, "noise_variance": 0.1},
    ),
    "choose_noise_variance": (
        na.inference.choose_noise_variance,
        {"spectrum": SPECTRUM, "targets": NOISY, "criterion": "gcv"},
    ),
    "solve_by_products": (
        na.inference.solve_by_products,
        {"kernel": OPERATOR, "targets": NOISY, "noise_variance": 0.1, "top": SPECTRUM}
        | {"tolerance": 1e-6, "max_products": 9},
    ),
    "network_ensemble": (
        na.inference.network_ensemble,
        {"kernel": na.DenseNTK(), "x_train": INPUTS, "x_test": TEST_INPUTS},
    ),
    "taylor_model": (
        na.networks.taylor_model,
        {"apply_fn": network, "params": WEIGHTS, "order": 2},
    ),
}

ONE_VALUE = st.sampled_from(sorted(CALLS))


def call(name, changed):
    """The result, or the error that refuses it, with one argument changed."""
    function, valid = CALLS[name]
    with warnings.catch_warnings(), without_type_checks(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(**{**valid, **changed})


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_calls_are_valid_as_they_stand(name):
    call(name, {})
    assert set(CALLS[name][1]) <= set(inspect.signature(CALLS[name][0]).parameters)


CHECKED_IN_USE = {
    ("ClassLabels", None),  # a record, which Dataset checks
    ("EmpiricalNTK", None),
    ("TileOptions", None),
    ("GradientDescent", "learning_rate"),
    ("Dataset", "name"),
    ("Dataset", "source"),
}
"""What takes anything until it is used: of a class all, or an argument."""


@pytest.mark.parametrize("name", sorted(CALLS))
def test_what_is_of_no_use_is_refused_by_name(name):
    """An object that is neither a number, nor a text, nor an array, nor callable, for each."""
    parameters = inspect.signature(CALLS[name][0]).parameters.values()
    for each in parameters:
        in_use = {(name, None), (name, each.name)} & CHECKED_IN_USE
        if each.kind is not each.VAR_KEYWORD and not in_use:
            with pytest.raises(ValueError, match=each.name):
                call(name, {each.name: object()})


@FUZZ
@given(data=st.data(), name=ONE_VALUE)
def test_an_odd_value_is_answered_or_refused_by_name(data, name):
    valid = CALLS[name][1]
    argument = data.draw(st.sampled_from(sorted(valid)))
    value = data.draw(odd_for(valid[argument]))
    refused = ""
    try:
        found = call(name, {argument: value})
    except (ValueError, TypeError) as error:
        refused = str(error)
    else:
        assert_finite(found)
        return
    assert any(word in refused for word in words_for(name, argument, value)), refused


HANDED_ON = "<lambda>() takes", "string indexing", "contracting dimensions"
"""What the caller's own network says of arguments that are handed on to it."""


def words_for(name, argument, value):
    """The argument, or what else the refusal may speak of: what was made of it."""
    return argument, *{
        ("empirical_ntk", "apply_fn"): HANDED_ON,
        ("empirical_ntk", "params"): HANDED_ON,
        ("matrix_free_kernel", "apply_fn"): HANDED_ON,
        ("matrix_free_kernel", "params"): HANDED_ON,
        ("matrix_free_kernel", "x"): (*HANDED_ON, "params['b'] must have the precision"),
        ("empirical_ntk", "x1"): HANDED_ON,
        ("network_ensemble", "x_train"): ("x1",),  # the kernel's own arguments
        ("network_ensemble", "x_test"): ("x1",),
        ("empirical_ntk", "x2"): (*HANDED_ON, "kernel must return finite values"),
        ("make_problem", "dataset"): ("x1",),
        ("FoldedLearner", "n_train"): ("folds",),
        ("with_label_noise", "noise"): ("label",),
        ("solve", "store_at"): ("times must be whole numbers",),
    }.get((name, argument), ())


def assert_finite(found):
    """No NaN and no infinity in what is answered, where it is numbers."""
    if isinstance(found, jax.Array | np.ndarray):
        leaves = [found]
    else:
        leaves = [leaf for leaf in jax.tree.leaves(found) if hasattr(leaf, "dtype")]
    for leaf in leaves:
        if np.issubdtype(leaf.dtype, np.floating):
            assert np.isfinite(np.asarray(leaf)).all(), found
