"""Odd command lines: what can be asked is loaded, all else ends with status 2 and one message."""

import contextlib
import dataclasses
import io
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from ntk_air import cli
from ntk_air.lab.catalogue import experiments, load_experiment
from ntk_air.lab.labels.config import LabelsConfig
from ntk_air.lab.verification.config import VerifyConfig
from tests.fuzz.effort import FUZZ

CLAIMS = "ntk_air.lab.verification.command.all_claims"
NUMBERS = ("1", "2", "40", "0.4", "0", "-1", "2.5", "nan", "inf", "-0.3", "1e400", "x", "")
ODD = {
    "dataset": ("digits", "clusters", "circle", "nothing", "", "csv", "npz", "mnist", "wine"),
    "dataset-option": ("x", "=", "a=b", "path=", "path=none.csv", "n_clusters=0", "n_clusters=no"),
    "data-dir": ("/nonexistent", "."),
    "activation": ("relu", "tanh", "reluu", "", "identity", "erf"),
    "kernel": ("dense", "convolutional", "empirical", "nothing", "math:sqrt", "a:b", ":", "math:"),
    "kernel-file": ("none.npy", ".", "/dev/null", ""),
    "model": ("math:sqrt", "numpy:ones", "x", "", "a:b"),
    "csv": ("none.csv", ".", "/dev/null", ""),
    "table": ("none.parquet", ".", "none.xlsx", ""),
    "npz": ("none.npz", ".", "/dev/null"),
    "images": ("none", ".", "/dev/null"),
    "label-column": ("label", "", "0"),
    "leave-out": ("x", ""),
    "one-hot": ("x", ""),
    "noise-kind": ("symmetric", "pair_flip", "instance_dependent", "none"),
    "precision": ("float32", "float64", "float16"),
    "max-memory": ("1GB", "-1", "0", "x", "1e999GB", "10 MiB", ""),
    "out": ("/dev/null/run", "/proc/run", ""),
    "claims": ("1a", "1", "9z", "", "nan"),
    "json": ("/dev/null/x", "/", ""),
    "format": ("text", "csv", "html", ""),
}
"""Values by the name of an option; others are given numbers."""


def options_of(config):
    """Names of all command-line options of a configuration."""
    for field in dataclasses.fields(config):
        if field.default is field.default_factory is dataclasses.MISSING:
            continue
        default = field.default_factory() if callable(field.default_factory) else field.default
        if dataclasses.is_dataclass(default):
            yield from options_of(type(default))
        else:
            yield field.name.replace("_", "-")


@st.composite
def odd_options(draw: st.DrawFn, names: list[str]) -> list[str]:
    """Up to four options with values that may fit or not."""
    chosen = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
    arguments = []
    for name in chosen:
        values = draw(st.lists(st.sampled_from(ODD.get(name, NUMBERS)), min_size=1, max_size=2))
        arguments += [f"--{name}", *values]
    return arguments


def ended(arguments):
    """The exit status of a command line and what it says on standard error."""
    said, printed = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(printed),
        pytest.raises(SystemExit) as end,
    ):
        cli.main(arguments)
    return end.value.code or 0, said.getvalue() + printed.getvalue()


@FUZZ
@given(data=st.data(), name=st.sampled_from(list(experiments())))
def test_an_experiment_is_refused_or_reaches_its_work(monkeypatch_module, data, name):
    experiment = load_experiment(name)
    reached = []

    def compute(*arguments):
        reached.append(True)
        raise ValueError("far enough")

    monkeypatch_module.setattr(
        cli, "load_experiment", lambda _: dataclasses.replace(experiment, compute=compute)
    )
    names = [each for each in options_of(experiment.config) if each not in ("smoke", "distributed")]
    arguments = data.draw(odd_options(names))
    monkeypatch_module.setattr(experiment.config, "begin", lambda self: None)
    code, said = ended(["run", name, "--n-train", "40", "--n-test", "8", *arguments])
    assert code == 2
    assert ("far enough" in said) == bool(reached)
    event("reached its work" if reached else "refused")
    assert "Traceback" not in said


@FUZZ
@given(data=st.data())
def test_a_verification_is_refused_or_reaches_its_work(monkeypatch_module, data):
    reached = []

    def make_problem(*arguments, **options):
        reached.append(True)
        raise ValueError("far enough")

    monkeypatch_module.setattr("ntk_air.problem.make_problem", make_problem)
    names = [each for each in options_of(VerifyConfig) if each not in ("list", "jobs")]
    small = ["verify", "--n-train", "40", "--n-test", "8", "--jobs", "1"]
    code, said = ended([*small, *data.draw(odd_options(names))])
    assert code == 2
    assert ("far enough" in said) == bool(reached)
    event("reached its work" if reached else "refused")
    assert "Traceback" not in said


@FUZZ
@given(data=st.data())
def test_labels_are_refused_or_reach_their_work(monkeypatch_module, tmp_path_factory, data):
    reached = []

    def work(*arguments, **options):
        reached.append(True)
        raise ValueError("far enough")

    table = tmp_path_factory.getbasetemp() / "odd_options.csv"
    table.write_text("x,y,label\n1,2,a\n2,1,b\n3,5,a\n0,1,b\n")
    monkeypatch_module.setattr("ntk_air.lab.labels.command.find_wrong_labels", work)
    names = [each for each in options_of(LabelsConfig) if each not in ("file", "features")]
    code, said = ended(["labels", str(table), *data.draw(odd_options(names))])
    assert code == 2
    assert ("far enough" in said) == bool(reached)
    event("reached its work" if reached else "refused")
    assert "Traceback" not in said


@FUZZ
@given(
    arguments=st.lists(
        st.one_of(
            st.sampled_from(
                ["run", "verify", "show", "figures", "version", "--help", "-h", "--list", "."]
            ),
            st.text(max_size=5),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_words_end_with_a_status(tmp_path_factory, monkeypatch_module, arguments):
    monkeypatch_module.chdir(tmp_path_factory.getbasetemp())
    monkeypatch_module.setattr(CLAIMS, lambda names, theories: [])
    if arguments[0] == "verify" and "--list" not in arguments and len(arguments) == 1:
        return  # a whole verification
    code, _ = ended(arguments)
    assert code in (0, 1, 2)


@pytest.fixture
def monkeypatch_module(monkeypatch, tmp_path):
    """Of a folder of its own, in which nothing may be left."""
    monkeypatch.chdir(tmp_path)
    yield monkeypatch
    monkeypatch.undo()
    assert not list(Path(tmp_path).rglob("*"))
