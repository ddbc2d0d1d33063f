"""Kernels and models of one's own: functions, matrices in files, networks, as options."""

import dataclasses
import re
import sys
from typing import Any

import jax
import numpy as np
import pytest

import ntk_air as na
from ntk_air.lab.catalogue import experiments, load_experiment
from ntk_air.lab.config import DataConfig, KernelConfig
from ntk_air.lab.labels.config import LabelsConfig

MODULE = """
import jax
import numpy as np
import flax.linen as nn
from flax import nnx
import equinox as eqx
import ntk_air as na

def product(x1, x2=None):
    x2 = x1 if x2 is None else x2
    return 1 + x1.reshape(len(x1), -1) @ x2.reshape(len(x2), -1).T

def of_two(x1, x2):
    return product(x1, x2)

def single(x1, x2=None):
    return product(x1, x2).astype(np.float32)

class Network(nn.Module):
    n_out: int
    @nn.compact
    def __call__(self, x, train=False):
        h = nn.BatchNorm(use_running_average=not train)(nn.Dense(5)(x.reshape(len(x), -1)))
        return nn.Dense(self.n_out)(nn.tanh(h))

def linen(inputs, n_out, seed):
    module = Network(n_out)
    return module, module.init(jax.random.key(seed), inputs)

def with_options(inputs, n_out):
    return na.adapters.from_flax_linen(*linen(inputs, n_out, 0), train=False)

def of_nnx(seed):
    return nnx.Linear(30, 2, rngs=nnx.Rngs(seed))

def of_equinox(seed):
    return eqx.nn.MLP(30, 2, width_size=4, depth=1, key=jax.random.key(seed))

def plain(inputs, n_out=3):
    return (lambda w, x: x.reshape(len(x), -1) @ w, np.ones((inputs.size, n_out)))

def of_names(width):
    return width

def nothing():
    return 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of a user's in the folder where the command runs."""
    (tmp_path / "users_kernels.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("users_kernels", None)


def table(**options):
    return DataConfig("breast_cancer", **({"n_train": 12, "n_test": 3} | options)).load(seed=0)


def built(config, dataset, **options) -> Any:
    return config.build(dataset, **({"seed": 0, "precision": "float64"} | options))[0]


@pytest.mark.parametrize("name", ["product", "of_two"])
def test_a_function_is_the_kernel_of_a_problem_with_held_out_inputs(own, name):
    dataset = table()
    config = KernelConfig(f"users_kernels:{name}")
    problem = na.make_problem(config.prepare(dataset), built(config, dataset))
    x, test = dataset.inputs, dataset.test_inputs
    np.testing.assert_allclose(problem.theta, 1 + x @ x.T, rtol=1e-14)
    np.testing.assert_allclose(problem.held_out.cross_kernel, 1 + test @ x.T, rtol=1e-14)


def test_functions_of_libraries_take_images_as_vectors():
    from sklearn.metrics.pairwise import rbf_kernel

    dataset = DataConfig(n_train=10, n_test=2).load(seed=0)
    config = KernelConfig("sklearn.metrics.pairwise:rbf_kernel", flat=True)
    prepared = config.prepare(dataset)
    matrix = na.gram_matrix(built(config, prepared), prepared.inputs)
    np.testing.assert_allclose(matrix, rbf_kernel(dataset.inputs.reshape(10, -1)), rtol=1e-14)
    assert config.run_name() == "sklearn.metrics.pairwise_rbf_kernel"


def test_another_precision_is_refused_with_the_remedy_or_converted(own):
    dataset, config = table(), KernelConfig("users_kernels:single")
    message = "precision of its inputs, float64; got float32: --cast .*, --precision float32 com"
    with pytest.raises(ValueError, match=message):
        na.gram_matrix(built(config, dataset), dataset.inputs)
    cast = dataclasses.replace(config, cast=True)
    matrix = na.gram_matrix(built(cast, dataset), dataset.inputs)
    np.testing.assert_allclose(matrix, 1 + dataset.inputs @ dataset.inputs.T, rtol=1e-5)


def test_a_kernel_s_identity_changes_with_the_code_and_the_numbers(own, tmp_path):
    function = KernelConfig("users_kernels:product")
    before = function.identity()
    assert before == function.identity()
    path = tmp_path / "users_kernels.py"
    path.write_text(path.read_text().replace("return 1 +", "return 2 +"))
    assert function.identity() != before
    file = tmp_path / "K.npy"
    np.save(file, np.eye(3))
    matrix = KernelConfig(kernel_file=file)
    before = matrix.identity()
    np.save(tmp_path / "elsewhere.npy", np.eye(3))
    assert KernelConfig(kernel_file=tmp_path / "elsewhere.npy").identity() == before
    np.save(file, 2 * np.eye(3))
    assert matrix.identity() != before
    assert "model" not in KernelConfig().identity()  # runs of kernels of this package stay theirs


def symmetric(n, seed=0):
    factor = np.random.default_rng(seed).normal(size=(n, n + 2))
    return factor @ factor.T


def test_a_matrix_of_all_rows_serves_whatever_rows_are_chosen(tmp_path):
    """A matrix that says which pair of rows it is of, and labels that say which row."""
    n = 40
    inputs, labels = np.random.default_rng(1).normal(size=(n, 3)), np.arange(n) % 4
    path, file, kernel = tmp_path / "data.npz", tmp_path / "K.npy", symmetric(n)
    np.savez(path, inputs=inputs, labels=labels)
    np.save(file, kernel)
    dataset = DataConfig("npz", n_train=20, n_test=8, dataset_option=(f"path={path}",)).load(seed=3)
    chosen = [int(np.flatnonzero((inputs == x).all(axis=1))[0]) for x in dataset.inputs]
    held_out = [int(np.flatnonzero((inputs == x).all(axis=1))[0]) for x in dataset.test_inputs]
    config = KernelConfig(kernel_file=file)
    problem = na.make_problem(dataset, built(config, dataset))
    np.testing.assert_array_equal(problem.theta, kernel[np.ix_(chosen, chosen)])
    np.testing.assert_array_equal(problem.held_out.cross_kernel, kernel[np.ix_(held_out, chosen)])
    some = dataset.subset(n_train=12, n_test=4, seed=1)
    parts = built(config, some)
    assert parts.theta[0, 1] == kernel[some.rows.train[0], some.rows.train[1]]
    with pytest.raises(ValueError, match="its own inputs alone; got others"):
        na.gram_matrix(built(config, dataset), dataset.inputs[::-1])


def test_an_official_test_part_has_its_cross_kernel(tmp_path):
    inputs, labels, path = symmetric(14), np.arange(14) % 2, tmp_path / "data.npz"
    parts = {"test_inputs": inputs[10:], "test_labels": labels[10:]}
    np.savez(path, inputs=inputs[:10], labels=labels[:10], **parts)
    kernel, option = symmetric(14, seed=2), (f"path={path}",)
    dataset = DataConfig("npz", n_train=6, n_test=2, dataset_option=option).load(seed=0)
    train, test = dataset.rows.train, dataset.rows.test
    assert (inputs[test] == dataset.test_inputs).all() and (inputs[train] == dataset.inputs).all()
    np.savez(tmp_path / "K.npz", kernel=kernel[:10, :10], cross_kernel=kernel[10:, :10])
    np.save(tmp_path / "whole.npy", kernel)
    for name in ("K.npz", "whole.npy"):
        found = built(KernelConfig(kernel_file=tmp_path / name), dataset)
        np.testing.assert_array_equal(found.theta, kernel[np.ix_(train, train)])
        np.testing.assert_array_equal(found.cross, kernel[np.ix_(test, train)])


@pytest.mark.parametrize(
    ("save", "message"),
    [
        ({"kernel": np.eye(4)}, r"kernel must have shape \(569, 569\), a row and a column"),
        ({"kernel": np.eye(569, dtype="f4")}, "run, float64; got float32: --cast converts"),
        ({"kernel": np.triu(np.ones((569, 569)))}, "theta must be symmetric"),
        ({"kernel": np.full((569, 569), np.nan)}, "theta must be finite"),
        ({"K": np.eye(4)}, r"must hold kernel, and cross_kernel .*; got \['K'\]"),
        ({"kernel": np.eye(569), "cross_kernel": np.ones((2, 569))}, r"\(567, 567\).*behind the 2"),
        ({"kernel": np.eye(2), "cross_kernel": np.ones((567, 2))}, "all rows that are trained on"),
    ],
)
def test_a_file_that_is_no_kernel_of_these_rows_is_refused(tmp_path, save, message):
    np.savez(tmp_path / "K.npz", **save)
    with pytest.raises(ValueError, match=message):
        built(KernelConfig(kernel_file=tmp_path / "K.npz"), table())
    (tmp_path / "K.npz").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"K\.npz is no readable \.npy or \.npz"):
        built(KernelConfig(kernel_file=tmp_path / "K.npz"), table())


@pytest.mark.parametrize("name", ["linen", "with_options", "of_nnx", "of_equinox", "plain"])
@pytest.mark.usefixtures("own", "standard_promotion")
def test_a_model_of_any_library_has_its_empirical_kernel(name):
    dataset = table()
    config = KernelConfig(model=f"users_kernels:{name}", cast=name != "plain")
    kernel = built(config, config.prepare(dataset))
    x = jax.numpy.asarray(dataset.inputs)
    jacobian = jax.jacrev(kernel.apply_fn)(kernel.params, x)
    flat = np.concatenate(
        [np.asarray(leaf).reshape(12, -1, leaf[0, 0].size) for leaf in jax.tree.leaves(jacobian)],
        axis=2,
    )
    expected = np.einsum("iop,jop->ij", flat, flat) / flat.shape[1]
    np.testing.assert_allclose(na.gram_matrix(kernel, dataset.inputs), expected, rtol=1e-9)


@pytest.mark.usefixtures("own", "standard_promotion")
def test_seeds_of_models_differ_and_precisions_are_minded():
    dataset = table()
    config = KernelConfig(model="users_kernels:of_equinox", cast=True)
    one, other = (built(config, dataset, seed=seed)(dataset.inputs) for seed in (0, 1))
    assert np.abs(one - other).max() > 0.1
    config = KernelConfig(model="users_kernels:of_nnx")
    message = "precision, float64; got float32: --cast converts it, --precision float32 computes"
    with pytest.raises(ValueError, match=message):
        built(config, dataset)
    assert built(config, dataset, precision="float32")(np.float32(dataset.inputs)).shape == (12, 12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "users_kernels:of_names"}, r"inputs, n_out or seed by .*; got \['width'\]"),
        ({"model": "users_kernels:nothing"}, "what model 'users_kernels:nothing' returns: model"),
        ({"model": "users_kernels"}, "model must be MODULE:FUNCTION; got 'users_kernels'"),
        ({"kernel": "users_kernels:none"}, "kernel 'users_kernels:none' must name a function"),
        ({"kernel": "no_such_module:k"}, "kernel 'no_such_module:k' must name a module that can"),
    ],
)
def test_what_names_no_kernel_and_no_model_is_refused(own, options, message):
    with pytest.raises(ValueError, match=message):
        built(KernelConfig(**options), table())


def test_options_of_other_kernels_are_refused_beside_one_s_own(own, tmp_path):
    both = {"model": "a:b", "kernel_file": tmp_path / "K.npy"}
    with pytest.raises(ValueError, match="model must be left out beside kernel_file"):
        KernelConfig(**both)
    with pytest.raises(ValueError, match="cast must be left out but for a kernel or model of you"):
        KernelConfig(cast=True)
    with pytest.raises(ValueError, match=r"depth must be left out beside model='a:b'.*; got 5"):
        load_experiment("convergence").parse(["--model", "a:b", "--depth", "5"], program="")
    with pytest.raises(ValueError, match="kernel must be left out beside model='a:b'"):
        load_experiment("eigen_spectrum").parse(["--model", "a:b", "--kernel", "nngp"], program="")
    LabelsConfig(tmp_path, kernel=KernelConfig("a:b"))


REFUSALS = {
    "architectures": "kernel options must be left out: name kernels by architectures",
    "finite_width": "the limit of dense networks as their width grows",
    "noisy_networks": "the limit of the dense networks that every method here trains",
    "pretrained": "for what is trained here is a network",
    "pretrained_features": "takes the kernel on other inputs too",
}


@pytest.mark.parametrize("name", [name.replace("-", "_") for name in experiments()])
@pytest.mark.parametrize("option", ["kernel", "kernel_file", "model"])
def test_every_experiment_takes_a_kernel_of_one_s_own_or_says_why_not(name, option, capsys):
    takes = name not in REFUSALS or (name, option) in {
        ("pretrained", "model"),
        ("pretrained_features", "kernel"),
    }
    arguments = [f"--{option.replace('_', '-')}", "users_kernels:product"]
    arguments += ["--operator", "dense"] if name == "full_dataset" else []
    if takes:
        assert load_experiment(name).parse(arguments, program=name).kernel.is_own
        return
    with pytest.raises(SystemExit) as ended:
        load_experiment(name).parse(arguments, program=name)
    said = re.sub(r"[\s│]+", " ", capsys.readouterr().err)
    assert ended.value.code == 2
    assert REFUSALS[name] in said


def test_architectures_names_functions_and_models():
    chosen = ("dense:erf:2", "users_kernels:product", "model:users_kernels:plain")
    configs = [KernelConfig.from_text(text) for text in chosen]
    assert [config.is_own for config in configs] == [False, True, True]
    assert configs[2].model == "users_kernels:plain"


@pytest.mark.usefixtures("own", "standard_promotion")
def test_an_experiment_runs_on_a_model_of_one_s_own_and_is_reused(tmp_path, capsys):
    arguments = ["--smoke", "--dataset", "wine", "--n-train", "40", "--out", str(tmp_path / "run")]
    arguments += ["--model", "users_kernels:with_options", "--cast"]
    experiment = load_experiment("eigen_spectrum")
    for says in ("empirical NTK of users_kernels:with_options", "reused, computed before"):
        assert experiment.main(arguments, program="eigen_spectrum") == 0, capsys.readouterr().err
        assert says in capsys.readouterr().out
