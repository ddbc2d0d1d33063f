"""Options of data sets: read as they are declared, never by their look."""

import os
from typing import Literal

import numpy as np
import pytest

from ntk_air.data import load_dataset
from ntk_air.data.options import check_option, options_from_text
from tests.helpers.type_checks import without_type_checks

DECLARED = {
    "count": int,
    "spread": float,
    "standardise": bool,
    "column": str,
    "path": str | os.PathLike[str],
    "other": str | None,
    "tokens": Literal["words", "letters"],
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("count=3", 3),
        ("count=-3", -3),
        ("spread=3", 3.0),
        ("spread=.5e-3", 0.0005),
        *((f"standardise={word}", False) for word in ("no", "off", "False", "0", "NO")),
        *((f"standardise={word}", True) for word in ("yes", "on", "true", "1")),
        ("column=2", "2"),
        ("column=1.0", "1.0"),
        ("column=true", "true"),
        ("column=a=b", "a=b"),
        ("column=", ""),
        ("path=2024", "2024"),
        ("other=7", "7"),
        ("tokens=words", "words"),
    ],
)
def test_texts_are_read_as_declared(text, value):
    options = options_from_text("option", [text], DECLARED)
    assert options == {text.partition("=")[0]: value}
    assert type(next(iter(options.values()))) is type(value)
    check_option("option", value, DECLARED[next(iter(options))])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["count=3.0"], "option count must be a whole number; got '3.0'"),
        (["count=1_0"], "option count must be a whole number; got '1_0'"),
        (["count=true"], "option count must be a whole number; got 'true'"),
        (["spread=nan"], "option spread must be a number; got 'nan'"),
        (["spread=wide"], "option spread must be a number; got 'wide'"),
        (["standardise=maybe"], "option standardise must be true or false; got 'maybe'"),
        (["standardise=2"], "option standardise must be true or false; got '2'"),
        (["standardise"], "option must be NAME=VALUE; got 'standardise'"),
        (["=3"], "option must be NAME=VALUE; got '=3'"),
        (["colum=3"], r"option must be among \['count', .*; got 'colum=3'"),
        (["count=3", "count=4"], "option must name each option once; got 'count' twice"),
    ],
)
def test_texts_that_say_nothing_are_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        options_from_text("option", texts, DECLARED)


def test_dashes_in_names_are_underscores():
    declared = {"n_clusters": int}
    assert options_from_text("option", ["n-clusters=3"], declared) == {"n_clusters": 3}
    with pytest.raises(ValueError, match="got 'n_clusters' twice"):
        options_from_text("option", ["n-clusters=3", "n_clusters=3"], declared)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("csv", {"path": 2024}, "path must be text or a path; got 2024"),
        ("csv", {"path": "t", "standardise": "no"}, "standardise must be True or False; got 'no'"),
        ("csv", {"path": "t", "label_column": 2}, "label_column must be text; got 2"),
        ("csv", {"path": "t", "noisy_label_column": 2}, "must be text or None; got 2"),
        ("clusters", {"n_clusters": 2.0}, "n_clusters must be a whole number; got 2.0"),
        ("clusters", {"n_clusters": True}, "n_clusters must be a whole number; got True"),
        ("clusters", {"spread": "0.1"}, "spread must be a number; got '0.1'"),
        ("clusters", {"spread": np.True_}, "spread must be a number; got"),
        ("clusters", {"spread": float("nan")}, "spread must be a finite number"),
        ("sms_spam", {"tokens": 1}, "tokens must be text; got 1"),
        ("digits", {"n_train": 2.5}, "n_train must be a whole number, at least 1; got 2.5"),
        ("digits", {"n_train": "5"}, "n_train must be a whole number, at least 1; got '5'"),
        ("digits", {"n_test": True}, "n_test must be a whole number, at least 0; got True"),
        ("digits", {"seed": 0.5}, "seed must be a whole number, at least 0; got 0.5"),
        ("digits", {"data_dir": "x"}, "data_dir must be left out for 'digits', .* got 'x'"),
    ],
)
def test_options_of_another_type_are_refused(name, options, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        load_dataset(name, **options)


def test_numbers_of_numpy_are_numbers():
    sizes = {"n_train": np.int32(16), "n_clusters": np.int64(8), "spread": np.float32(0.5)}
    with without_type_checks():
        assert load_dataset("clusters", **sizes).n_train == 16
