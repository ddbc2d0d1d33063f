"""Data sets of what is at hand: arrays, tables, folders of images, sets of Hugging Face."""

import dataclasses
import os
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import numpy as np

from ntk_air._base.arrays import real_array
from ntk_air._base.checks import check_flag, check_seed, check_whole_number, listed, shown
from ntk_air.data.raw import RawSet, Sample, standardised
from ntk_air.data.readers.columns import ColumnRoles, raw_set
from ntk_air.data.readers.frames import frame_of
from ntk_air.data.readers.hugging_face import hugging_face
from ntk_air.data.readers.image_folder import image_folder
from ntk_air.data.readers.own_files import raw_arrays
from ntk_air.data.splits import assemble

Given = TypeVar("Given", bound="GivenData")

_SIZES = ("n_train", "n_test", "seed")
_OF_TABLES = ("noisy_label_column", "leave_out", "one_hot", "standardise")


class GivenData(eqx.Module):
    """The ways to a ``Dataset`` from what is at hand; ``load_dataset`` is the one from a name.

    All take ``n_train``, ``n_test`` and ``seed`` as ``load_dataset`` does: without an official test
    part a fifth is held out, whole classes alike.
    """

    @classmethod
    def from_arrays(
        cls: type[Given],
        inputs: Any,
        labels: Any,
        *,
        test: Any = None,
        name: str = "arrays",
        **options: Any,
    ) -> Given:
        """A data set of arrays, with labels of any kind.

        Args:
            inputs: inputs, (n, *features), as arrays, lists or a table of numbers; of type uint8
                they are pixels, which are divided by 255.
            labels: labels, (n,): whole numbers, truth values or texts, whose sorted values are the
                classes: −1 and 1, 1 … C, ``"cat"`` and ``"dog"``.
            test: official test part as a pair of inputs and labels; ``None`` holds out a fifth.
            name: name in tables and of run folders.
            options: ``n_train``, ``n_test``, ``seed``.

        Raises:
            ValueError: inputs that are no finite numbers, labels that are absent or no classes.

        >>> import numpy as np
        >>> import ntk_air as na
        >>> data = na.Dataset.from_arrays(np.eye(10), ["cat", "dog"] * 5, n_test=4)
        >>> data.class_names, data.n_train, data.n_test
        (('cat', 'dog'), 6, 4)
        """
        _check_options(options, _SIZES)
        arrays = {"inputs": _inputs("inputs", inputs), "labels": _labels("labels", labels)}
        if test is not None:
            if not isinstance(test, tuple | list) or len(test) != 2:
                raise ValueError(f"test must be a pair, inputs and labels; got {shown(test)}")
            arrays["test_inputs"] = _inputs("test inputs", test[0])
            arrays["test_labels"] = _labels("test labels", test[1])
        return _assembled(cls, name, raw_arrays(name, arrays, source=name), options)

    @classmethod
    def from_table(
        cls: type[Given],
        table: Any,
        label_column: str = "label",
        *,
        name: str = "table",
        **options: Any,
    ) -> Given:
        """A data set of a table of pandas, polars or another library, or a Bunch of scikit-learn.

        Args:
            table: table; every column but the named ones is an input and must hold numbers. A Bunch
                has its own labels and inputs.
            label_column: name of the column of labels: whole numbers, truth values, texts or
                categories.
            name: name in tables and of run folders.
            options: ``noisy_label_column``; ``leave_out``, names of columns that are no inputs;
                ``one_hot``, names of columns of categories; ``standardise``, whether columns of
                numbers are scaled by the training part; ``n_train``, ``n_test``, ``seed``.

        Raises:
            ValueError: no such column, absent values, inputs that are no numbers, labels that are
                no classes.

        >>> import pandas
        >>> import ntk_air as na
        >>> table = pandas.DataFrame({"height": [1.0, 2.0, 3.0, 4.0], "kind": ["a", "b", "a", "b"]})
        >>> na.Dataset.from_table(table, "kind", n_test=0).clean_labels.tolist()
        [0, 1, 0, 1]
        """
        _check_options(options, (*_SIZES, *_OF_TABLES))
        for each in ("leave_out", "one_hot"):
            options[each] = listed(each)(options.get(each, ()))
        standardise = options.get("standardise", False)
        check_flag("standardise", standardise)
        if isinstance(table, Mapping) and {"data", "target"} <= set(table):
            return _assembled(cls, name, _bunch(name, table, options), options)
        noisy = options.get("noisy_label_column")
        roles = ColumnRoles(
            label_column, noisy, options["leave_out"], options["one_hot"], standardise
        )
        return _assembled(cls, name, raw_set(frame_of(table, name), roles), options)

    @classmethod
    def from_image_folder(
        cls: type[Given],
        path: str | os.PathLike[str],
        *,
        image_size: int | None = None,
        **options: Any,
    ) -> Given:
        """A data set of a folder with a subfolder of images for each class.

        Args:
            path: folder.
            image_size: side of a square that each image is resized to; ``None`` takes them as they
                are, all of one size.
            options: ``n_train``, ``n_test``, ``seed``.

        Raises:
            DatasetNotFoundError: no such folder.
            DataFileError: no subfolders with images, files that are no images, images of several
                sizes without ``image_size``.
        """
        _check_options(options, _SIZES)
        return _assembled(cls, "images", image_folder(path, image_size), options)

    @classmethod
    def from_huggingface(cls: type[Given], path: str | os.PathLike[str], **options: Any) -> Given:
        """A data set of Hugging Face's package datasets (extra ``hf``).

        Args:
            path: folder that ``save_to_disk`` has written, or a name.
            options: ``label_column``, ``leave_out``, ``one_hot``, ``standardise`` as for tables;
                ``image_size``; ``n_train``, ``n_test``, ``seed``.

        Raises:
            ModuleNotFoundError: the package is not installed.
            DataFileError: no such set, or one that is no data set of classes.
        """
        known = ("label_column", "leave_out", "one_hot", "standardise", "image_size")
        _check_options(options, (*_SIZES, *known))
        own = {key: options[key] for key in known if key in options}
        for each in {"leave_out", "one_hot"} & set(own):
            own[each] = listed(each)(own[each])
        return _assembled(cls, "hf", hugging_face(path, **own), options)


def _assembled(cls: Any, name: str, raw: RawSet, options: Mapping[str, Any]) -> Any:
    sizes = {key: options[key] for key in _SIZES if options.get(key) is not None}
    for key, minimum in (("n_train", 1), ("n_test", 0)):
        if key in sizes:
            check_whole_number(key, sizes[key], minimum=minimum)
    check_seed("seed", sizes.get("seed", 0))
    return assemble(name, raw, Sample(**sizes), cls)


def _check_options(options: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"options must be among {list(known)}; got {unknown}")


def _inputs(name: str, given: Any) -> np.ndarray:
    return np.asarray(real_array(name, given))


def _labels(name: str, given: Any) -> np.ndarray:
    """Labels of one type as an array; what is no text, truth value or number is refused."""
    if isinstance(given, list | tuple):
        kinds = {bool if isinstance(each, bool) else type(each) for each in given}
        if len(kinds) > 1:
            names = sorted(kind.__name__ for kind in kinds)
            raise ValueError(f"{name} must be of one type; got {', '.join(names)}")
    labels = np.asarray(given)
    if labels.dtype.kind not in "OT":
        return labels
    odd = [(row, each) for row, each in enumerate(labels) if not isinstance(each, str)]
    if odd:
        row, value = odd[0]
        raise ValueError(
            f"{name} must all be texts, or all numbers; got {shown(value)} in row {row}: fill what "
            "is absent, or drop its row"
        )
    return labels.astype(str)


def _bunch(name: str, bunch: Mapping[str, Any], options: Mapping[str, Any]) -> RawSet:
    """A Bunch of scikit-learn, with the names that it has for classes."""
    for each in ("leave_out", "one_hot", "noisy_label_column"):
        if options.get(each):
            raise ValueError(
                f"{each} must be left out for a Bunch; got {options[each]!r}: its frame, by "
                "as_frame=True, is a table with names"
            )
    target, names = np.asarray(bunch["target"]), bunch.get("target_names")
    names = () if names is None or target.dtype.kind not in "iu" else tuple(map(str, names))
    arrays = {"inputs": _inputs("data", bunch["data"]), "labels": target}
    raw = raw_arrays(name, arrays, names or None, source=name)
    if not options.get("standardise"):
        return raw
    return dataclasses.replace(raw, scaling=partial(standardised, columns=bunch["feature_names"]))
