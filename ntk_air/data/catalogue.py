"""A name for each data set: ``load_dataset("digits")``."""

import inspect
import os
from collections.abc import Callable
from typing import Any

from ntk_air._base.checks import check_choice, check_kind, check_whole_number
from ntk_air.data import synthetic
from ntk_air.data.dataset import Dataset
from ntk_air.data.option_help import OptionHelp, options_of
from ntk_air.data.options import check_option
from ntk_air.data.raw import RawSet, Sample
from ntk_air.data.readers import (
    cifar,
    embedded,
    hugging_face,
    idx,
    image_folder,
    own_files,
    text,
)
from ntk_air.data.splits import assemble

_READERS: dict[str, Callable[..., RawSet]] = {
    "digits": embedded.digits,
    "mnist5k": embedded.mnist5k,
    "breast_cancer": embedded.breast_cancer,
    "wine": embedded.wine,
    "mnist": idx.mnist,
    "fashion_mnist": idx.fashion_mnist,
    "kmnist": idx.kmnist,
    "cifar10": cifar.cifar10,
    "cifar10n": cifar.cifar10n,
    "sms_spam": text.sms_spam,
    "npz": own_files.npz,
    "csv": own_files.csv_table,
    "table": own_files.table_file,
    "hf": hugging_face.hugging_face,
    "images": image_folder.image_folder,
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
    name: str = "digits",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Dataset:
    """Load a data set by its name, with clean labels (human ones for ``cifar10n``).

    Images keep their shape (n, H, W, C), in [0, 1]: ``Dataset.flattened`` and
    ``Dataset.normalised`` make vectors of them. Choices among examples are stratified by class.

    Args:
        name: name in the catalogue: ``digits``, ``mnist5k``, ``breast_cancer``, ``wine`` (with
            installed packages), ``clusters``, ``circle``, ``sphere`` (generated), ``mnist``,
            ``fashion_mnist``, ``kmnist``, ``cifar10``, ``cifar10n``, ``sms_spam`` (from files),
            ``npz``, ``csv``, ``table``,
            ``images`` (your own), ``hf`` (of Hugging Face).
        data_dir: folder of files, for the sets that are read from one; ``None`` looks into the
            folder named by ``NTK_AIR_DATA``, then the usual places.
        n_train: number of training examples; ``None`` is all, or the generator's default.
        n_test: number of held-out examples; ``None`` is the official test part, or a fifth where
            there is none (at most what ``n_train`` leaves).
        seed: seed of the choice of examples or of the generated points, at least 0.
        options: further options of the set by name, such as ``path`` of your own files,
            ``annotation`` of ``cifar10n``, ``n_clusters`` of ``clusters``.

    Returns:
        The data set; its ``with_label_noise`` adds noise.

    Raises:
        ValueError: an unknown name or option, an option of another type, a folder for a set that
            is read from none, more examples than there are.
        DatasetNotFoundError: no file found; says where it looked and how to get it.
        DataFileError: a damaged file, or one that is not what its name says.
        ModuleNotFoundError: a set whose package is not installed; names the extra.

    >>> import ntk_air as na
    >>> data = na.load_dataset("digits", n_train=300)
    >>> data.inputs.shape, data.n_classes, data.n_test
    ((300, 8, 8, 1), 10, 359)
    >>> data.normalised().inputs.shape
    (300, 64)
    """
    check_choice("name", name, dataset_names())
    check_kind("data_dir", data_dir, str, os.PathLike, type(None))
    options = _checked_options(name, data_dir, options)
    for size, value, minimum in (("n_train", n_train, 1), ("n_test", n_test, 0)):
        if value is not None:
            check_whole_number(size, value, minimum=minimum)
    sample = Sample(n_train, n_test, seed)
    if name in _GENERATORS:
        return _GENERATORS[name](sample, **options)
    return assemble(name, _READERS[name](**options), sample, Dataset)


def _checked_options(
    name: str, data_dir: str | os.PathLike[str] | None, options: dict[str, Any]
) -> dict[str, Any]:
    """The options with the folder, for a set that is looked for in one."""
    known = option_types(name)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"options of the data set {name!r} must be among {list(known)}; got {unknown}"
        )
    for option, value in options.items():
        check_option(option, value, known[option])
    if "path" in known and "path" not in options:
        raise ValueError(f"path must name the file of the data set {name!r}; got none")
    if is_looked_for(name):
        return options | {"data_dir": data_dir}
    if data_dir is not None:
        raise ValueError(
            f"data_dir must be left out for {name!r}, which is not looked for in folders; "
            f"got {os.fspath(data_dir)!r}"
        )
    return options


def dataset_options(name: str) -> tuple[str, ...]:
    """The names of the options that a data set takes besides sizes, seed and folder."""
    return tuple(option_types(name))


def describe_dataset(name: str) -> tuple[str, list[OptionHelp]]:
    """What a data set is, in a paragraph, and its options with what they do.

    Raises ``ValueError`` for a name that is not in the catalogue.
    """
    check_choice("name", name, dataset_names())
    loader = (_READERS | _GENERATORS)[name]
    says = (inspect.getdoc(loader) or "").partition("\n\nArgs:")[0].partition("\n\nRaises")[0]
    return says.replace("``", ""), options_of(loader, ("sample", "data_dir"))


def is_looked_for(name: str) -> bool:
    """Whether a data set's files are looked for in folders, such as ``data_dir``."""
    return "data_dir" in inspect.signature((_READERS | _GENERATORS)[name]).parameters


def option_types(name: str) -> dict[str, Any]:
    """The annotations of the options that a data set takes, by name."""
    check_choice("name", name, dataset_names())
    parameters = inspect.signature((_READERS | _GENERATORS)[name]).parameters
    return {
        key: parameter.annotation
        for key, parameter in parameters.items()
        if key not in ("sample", "data_dir")
    }
