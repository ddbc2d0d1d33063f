"""A name for each data set: ``load_dataset("digits")``."""

import inspect
from collections.abc import Callable
from typing import Any

from ntk_air.checks import check_choice
from ntk_air.data import embedded, synthetic
from ntk_air.data.dataset import Dataset
from ntk_air.data.splits import RawSet, assemble

_READERS: dict[str, Callable[..., RawSet]] = {
    "digits": embedded.digits,
    "mnist5k": embedded.mnist5k,
    "breast_cancer": embedded.breast_cancer,
    "wine": embedded.wine,
}
_GENERATORS: dict[str, Callable[..., Dataset]] = {
    "clusters": synthetic.clusters,
    "circle": synthetic.circle,
    "sphere": synthetic.sphere,
}


def dataset_names() -> dict[str, str]:
    """Each name that ``load_dataset`` knows, with a line that describes it."""
    entries = _READERS | _GENERATORS
    return {name: (inspect.getdoc(entry) or "").splitlines()[0] for name, entry in entries.items()}


def load_dataset(
    name: str,
    *,
    data_dir: Any = None,
    n_train: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Dataset:
    """Load a data set by its name."""
    check_choice("name", name, dataset_names())
    sizes = {"n_train": n_train, "n_test": n_test, "seed": seed}
    if name in _GENERATORS:
        return _GENERATORS[name](**sizes, **options)
    return assemble(name, _READERS[name](**options), **sizes)
