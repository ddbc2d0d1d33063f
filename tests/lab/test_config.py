"""Configurations: what they build, refuse and call the same."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ntk_air.kernels.empirical import EmpiricalNTK
from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.lab.config import DataConfig, ExperimentConfig, KernelConfig, NoiseConfig, RunConfig
from ntk_air.networks.models.convolutional import ConvolutionalNetwork
from ntk_air.networks.models.residual import ResidualNetwork


def test_options_of_a_data_set_are_read_as_numbers_and_words():
    config = DataConfig(
        dataset="clusters", n_train=30, dataset_option=("n_clusters=3", "spread=0.5", "n-classes=3")
    )
    dataset = config.load(seed=0)
    assert dataset.n_classes == 3
    assert len(np.unique(np.asarray(dataset.groups))) == 3


def test_columns_and_files_may_be_called_by_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i}.5,{3 * i},{i % 2}\n" for i in range(10))
    Path("2024").write_text("0,1,2\n" + rows)
    for column, inputs in (("2", [0.5, 0]), ("1", None)):
        options = ("path=2024", f"label_column={column}")
        dataset = DataConfig("csv", dataset_option=options, n_test=0).load(seed=0)
        assert dataset.n_classes == (2 if column == "2" else 10)
        assert inputs is None or dataset.inputs[0].tolist() == inputs


@pytest.mark.parametrize(("word", "is_done"), [("no", False), ("0", False), ("yes", True)])
def test_whether_something_is_done_is_said_in_words(tmp_path, word, is_done):
    path = tmp_path / "t.csv"
    path.write_text("a,label\n" + "".join(f"{i}.5,{i % 2}\n" for i in range(10)))
    options = (f"path={path}", f"standardise={word}")
    dataset = DataConfig("csv", dataset_option=options, n_test=0).load(seed=0)
    assert dataset.inputs.mean() == pytest.approx(0 if is_done else 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoiseConfig(noise=1.5), r"noise must lie in \[0, 1\]; got 1.5"),
        (lambda: NoiseConfig(noise_kind="instance_dependent", exact=True), "exact must be off"),
        (lambda: KernelConfig(kernel="gauss"), "kernel must be one of 'dense'.*got 'gauss'"),
        (lambda: KernelConfig(width=16), "width belongs to kernel='empirical'; got 16 for 'dense'"),
        (
            lambda: KernelConfig(kernel="stax:conv", activation="erf"),
            "activation must be 'relu' for stax architectures; got 'erf'",
        ),
        (
            lambda: KernelConfig(blocks=(2, 1)),
            r"blocks belong to kernel='convolutional'; got \(2, 1\) for 'dense'",
        ),
        (
            lambda: KernelConfig(kernel="myrtle5", depth=3),
            "depth must be left out for convolutional kernels.*got 3 for 'myrtle5'",
        ),
        (
            lambda: KernelConfig(kernel="convolutional").prepare(
                DataConfig(dataset="circle", n_train=8).load(seed=0)
            ),
            "dataset must hold images .* for kernel='convolutional'; got 'circle' with inputs",
        ),
        (lambda: KernelConfig(depth=0), "depth must be a whole number, at least 1; got 0"),
        (lambda: KernelConfig("convolutional", blocks=(2, 0)), "blocks must be a whole number"),
        (lambda: KernelConfig(weight_variance=-1.0), "weight_variance must be a finite number"),
        (lambda: KernelConfig(bias_variance=float("nan")), "bias_variance must be a finite"),
        (lambda: KernelConfig.from_text("dense:erf:relu"), "name its activation once; got 'dense"),
        (lambda: KernelConfig.from_text("dense:3:2"), "name its depth once; got 'dense:3:2'"),
        (
            lambda: KernelConfig(parametrisation="standard"),
            "parametrisation must be 'ntk' at infinite width; got 'standard' for 'dense'",
        ),
        (
            lambda: KernelConfig().network(DataConfig(n_train=20).load(seed=0)),
            "kernel must be one of empirical, .* to have a network; got 'dense'",
        ),
        (lambda: RunConfig(seeds=0), "seeds must be a whole number, at least 1; got 0"),
        (lambda: RunConfig(seed=-1), "seed must be a whole number, from 0 to .*; got -1"),
        (lambda: DataConfig(dataset_option=("spread",)).load(seed=0), "must be NAME=VALUE"),
        (
            lambda: DataConfig("clusters", dataset_option=("spread=no",)).load(seed=0),
            "dataset_option spread must be a number; got 'no'",
        ),
        (
            lambda: DataConfig("clusters", dataset_option=("n_train=3",)).load(seed=0),
            r"dataset_option must be among \['n_clusters', .*; got 'n_train=3'",
        ),
        (lambda: DataConfig("nothing").load(seed=0), "name must be one of 'digits', .*'nothing'"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_folder_is_for_the_sets_that_are_looked_for():
    assert DataConfig("digits", data_dir=Path("nowhere"), n_train=9).load(seed=0).n_train == 9
    with pytest.raises(FileNotFoundError, match="data_dir must be a folder; got 'nowhere'"):
        DataConfig("mnist", data_dir=Path("nowhere")).load(seed=0)


def test_kernels_are_built_as_named():
    dataset = DataConfig(n_train=20, n_test=2).load(seed=0)
    for kernel in ("dense", "nngp", "empirical"):
        config = KernelConfig(kernel=kernel, width=16 if kernel == "empirical" else None)
        prepared = config.prepare(dataset)
        built, name = config.build(prepared, seed=0, precision="float64")
        matrix = np.asarray(built(prepared.inputs))
        assert matrix.shape == (20, 20)
        assert matrix.dtype == np.float64
        assert "depth 3" in name
    nngp, _ = KernelConfig(kernel="nngp").build(prepared, seed=0, precision="float64")
    expected = DenseNTK(depth=3).nngp(prepared.inputs)
    np.testing.assert_array_equal(nngp(prepared.inputs), expected)


def test_convolutional_kernels_take_images_as_they_are():
    dataset = DataConfig(n_train=6, n_test=2).load(seed=0)
    config = KernelConfig(kernel="convolutional", blocks=(1, 1), bias_variance=0.1)
    prepared = config.prepare(dataset)
    built, name = config.build(prepared, seed=0, precision="float64")
    assert prepared.inputs.shape == (6, 8, 8, 1)
    assert built == ConvolutionalNTK((1, 1), bias_variance=0.1)
    assert "blocks (1, 1)" in name
    assert config.run_name() == "convolutional-relu-blocks1-1"
    myrtle, _ = KernelConfig(kernel="myrtle7").build(prepared, seed=0, precision="float64")
    assert myrtle == ConvolutionalNTK.myrtle(7)


def test_networks_on_images_have_kernels_of_their_own():
    dataset = DataConfig(n_train=6, n_test=2).load(seed=0)
    texts = ("empirical_convolutional:erf", "empirical_residual:2:standard")
    convolutional, residual = (
        dataclasses.replace(KernelConfig.from_text(text), width=4) for text in texts
    )
    assert convolutional.prepare(dataset).inputs.shape == (6, 8, 8, 1)
    network = convolutional.network(dataset)
    assert isinstance(network, ConvolutionalNetwork)
    assert network == ConvolutionalNetwork(4, (2,), n_out=10, activation="erf")
    network = ResidualNetwork(4, 2, n_out=10, parametrisation="standard")
    assert residual.network(dataset) == network
    built, name = residual.build(dataset, seed=3, precision="float64")
    assert isinstance(built, EmpiricalNTK)
    assert built.params[0]["weight"].shape == (3, 3, 1, 4)
    assert name == "residual relu, channels 4, standard parametrisation"
    assert residual.run_name() == "empirical_residual-relu-depth2-width4-standard"


def test_kernels_are_read_from_text():
    assert KernelConfig.from_text("dense:erf:3") == KernelConfig(activation="erf", depth=3)
    assert KernelConfig.from_text("stax:resnet") == KernelConfig("stax:resnet")
    assert KernelConfig.from_text("myrtle5:gelu") == KernelConfig("myrtle5", activation="gelu")
    assert KernelConfig.from_text("empirical:standard") == KernelConfig(
        "empirical", parametrisation="standard"
    )


def test_labels_of_ones_own_are_the_only_draw():
    dataset = DataConfig(n_train=20).load(seed=0)
    noise = NoiseConfig(noise=0.5)
    draws = noise.draws(dataset, seeds=[0, 1])
    assert len(draws) == 2
    assert not np.array_equal(draws[0].noisy_labels, draws[1].noisy_labels)
    assert noise.draws(draws[0], seeds=[0, 1]) == [draws[0]]


def test_what_makes_two_runs_the_same():
    base = ExperimentConfig()
    same = (
        ExperimentConfig(data=DataConfig(data_dir=Path("elsewhere"))),
        ExperimentConfig(run=RunConfig(out=Path("there"), force=True, max_memory="1GiB")),
    )
    others = (
        ExperimentConfig(data=DataConfig(n_train=3)),
        ExperimentConfig(noise=NoiseConfig(noise=0.1)),
        ExperimentConfig(kernel=KernelConfig(depth=2)),
        ExperimentConfig(run=RunConfig(seed=1)),
    )
    assert all(config.identity() == base.identity() for config in same)
    assert all(config.identity() != base.identity() for config in others)
    assert "data_dir" not in base.identity()["data"]
    assert {field.name for field in dataclasses.fields(base)} == set(base.identity())


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """A table, arrays and a folder of images, in the folder where the command runs."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"p{i},{i}.5,{'ab'[i % 3 == 0]},{['no', 'yes'][i % 2]}\n" for i in range(20))
    Path("mine.csv").write_text("id,x,kind,y\n" + rows)
    np.savez("arrays.npz", inputs=np.arange(40.0).reshape(20, 2), labels=np.arange(20) % 2)
    for i in range(20):
        Path(f"pictures/{'ab'[i % 2]}").mkdir(parents=True, exist_ok=True)
        picture = np.full((9, 9 + i % 2), 10 * i, np.uint8)
        Image.fromarray(picture).save(f"pictures/{'ab'[i % 2]}/{i}.png")


TABLE = {"label_column": "y", "leave_out": ("id",), "one_hot": ("kind",)}


@pytest.mark.usefixtures("own_files")
def test_options_are_a_shorter_way_to_say_what_options_of_data_sets_say():
    short = DataConfig(csv=Path("mine.csv"), standardise=True, **TABLE)
    long = ("path=mine.csv", "label_column=y", "leave_out=id", "one_hot=kind", "standardise=yes")
    by_name = DataConfig("csv", dataset_option=long)
    dataset = short.load(seed=0)
    assert dataset.content_hash == by_name.load(seed=0).content_hash
    assert (dataset.name, dataset.inputs.shape, short.run_name()) == ("mine", (16, 3), "mine")
    assert DataConfig("hf:nowhere/none", label_column="y").options() == {
        "label_column": "y",
        "path": "nowhere/none",
    }
    assert DataConfig(npz=Path("arrays.npz"), n_test=5).load(seed=0).n_test == 5
    assert "path=mine.csv" not in by_name.identity()["dataset_option"]
    moved = dataclasses.replace(short, csv=Path("elsewhere/other.csv"))
    assert moved.identity() == short.identity() != dataclasses.replace(short, leave_out=())


@pytest.mark.usefixtures("own_files")
def test_images_of_any_set_are_resized():
    config = DataConfig(images=Path("pictures"), resize=4, n_test=4)
    dataset = config.load(seed=0)
    assert (dataset.inputs.shape, config.run_name()) == ((16, 4, 4, 1), "pictures-4x4")
    assert DataConfig(n_train=12, n_test=3, resize=4).load(seed=0).inputs.shape == (12, 4, 4, 1)
    assert DataConfig(resize=4).identity() != DataConfig().identity()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataConfig(csv=Path("a"), npz=Path("b")), "npz must be left out beside csv"),
        (lambda: DataConfig(resize=0), "resize must be a whole number, at least 1; got 0"),
        (
            lambda: DataConfig(label_column="y").load(seed=0),
            "label_column must be left out for the data set 'digits', which has the options",
        ),
        (
            lambda: DataConfig(csv=Path("a"), **TABLE, dataset_option=("one_hot=x",)).load(seed=0),
            "one_hot must be given once; got it as dataset_option too",
        ),
        (
            lambda: DataConfig("wine", csv=Path("mine.csv")).check_own(DataConfig()),
            "dataset must be left out beside csv; got 'wine'",
        ),
        (
            lambda: DataConfig(csv=Path("mine.csv"), label_column="z").load(seed=0),
            r"mine\.csv has no column 'z'; its columns are",
        ),
        (
            lambda: DataConfig(csv=Path("mine.csv"), label_column="y").load(seed=0),
            "row 2, column 'id' must hold a number; got 'p0': one_hot makes .*, leave_out leaves",
        ),
        (lambda: DataConfig("wine", resize=4).load(seed=0), "inputs must be images"),
    ],
)
@pytest.mark.usefixtures("own_files")
def test_bad_options_of_data_of_one_s_own_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
