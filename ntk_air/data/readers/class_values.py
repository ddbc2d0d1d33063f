"""Labels as files write them: present, written in one way, and numbered."""

import re
import unicodedata
from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

import numpy as np
from jaxtyping import Int

from ntk_air.data.readers.files import DataFileError

Place = Callable[[str, int], str]
"""``place(key, index)``: where a label is, as errors name it."""

ABSENT = {
    "", "?", "nan", "-nan", "+nan", "na", "n/a", "#n/a", "#na", "<na>", "nat", "null", "none",
}  # fmt: skip
_TRUTH = {"false": "0", "true": "1"}
_WHOLE = re.compile(r"-?\d+", re.ASCII)


def class_indices(
    labels: Mapping[str, Sequence[str]], place: Place
) -> tuple[dict[str, Int[np.ndarray, " _"]], tuple[str, ...]]:
    """Labels as indices into the classes, which are all that are written.

    Args:
        labels: texts of labels by what they are labels of.
        place: function that names a label in errors.

    Returns:
        Indices, and the classes: sorted as numbers where all are whole numbers, else as text.

    Raises:
        DataFileError: an absent label (empty, or text such as ``nan``), a class written in two
            ways, such as ``1``, ``1.0`` and ``True``, or ``yes`` and ``Yes``.
    """
    written: dict[Hashable, str] = {}
    known: set[str] = set()
    for key, texts in labels.items():
        for index, text in enumerate(texts):
            if text in known:
                continue
            if text.strip().lower() in ABSENT:
                raise DataFileError(f"{place(key, index)} must hold a label; got {text!r}")
            other = written.setdefault(_meaning(text), text)
            if other != text:
                raise DataFileError(
                    f"{place(key, index)} must write its class as it is written before, "
                    f"{other!r}; got {text!r}"
                )
            known.add(text)
    whole = all(_WHOLE.fullmatch(text) for text in known)
    classes = sorted(known, key=Decimal) if whole else sorted(known)
    number = {text: index for index, text in enumerate(classes)}
    found = {
        key: np.array([number[text] for text in texts], np.int64) for key, texts in labels.items()
    }
    return found, tuple(classes)


def _meaning(text: str) -> Hashable:
    """The same for texts that mean one class: numbers by value, words by letters alone."""
    shown = "".join(
        letter
        for letter in unicodedata.normalize("NFKC", text)
        if unicodedata.category(letter) != "Cf"  # marks that no reader sees
    )
    words = " ".join(shown.casefold().split())
    try:
        number = Decimal(_TRUTH.get(words, words))
    except InvalidOperation:
        return words
    return number if number.is_finite() else words
