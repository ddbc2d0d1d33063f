"""Texts with labels: read from a file, and made into numbers by what the training part says."""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from ntk_air._base.checks import check_choice, check_whole_number
from ntk_air.data.raw import RawSet, Scaling
from ntk_air.data.readers.files import (
    DataFileError,
    find,
    opened,
    read_bounded,
    search_roots,
    short,
)

Tokens = Literal["words", "characters"]

_CLASS_NAMES = ("ham", "spam")
_FILE_NAME = "SMSSpamCollection"
_MAX_BYTES = 2**24
_HOW_TO_GET = (
    f"It is the file {_FILE_NAME}, as published in the UCI Machine Learning Repository (SMS Spam "
    "Collection, CC BY 4.0): a line for each message, its label, a tab, its text."
)

# Words, and runs of signs such as "!!" or "£": a text that is not blank has at least one.
_WORDS: dict[str, Any] = {"token_pattern": r"\w+|[^\w\s]+"}
_CHARACTERS: dict[str, Any] = {"analyzer": "char_wb", "ngram_range": (1, 3)}


def sms_spam(
    data_dir: str | os.PathLike[str] | None = None,
    tokens: Tokens = "words",
    n_tokens: int = 1000,
    balanced: bool = False,
) -> RawSet:
    """The distinct messages of the SMS Spam Collection from a folder, as weighted counts of tokens.

    Almeida, Gómez Hidalgo, Yamakami 2011: 4,518 ham and 642 spam. Repeated messages are left out,
    since a copy in the held-out part would be known by heart. Inputs are those of
    ``counts_of_tokens``, (n_tokens + 1,).

    Args:
        data_dir: folder of the file; ``None`` looks in the usual places.
        tokens: kind of token, ``"words"`` or ``"characters"``, 1 to 3 neighbours within a word.
        n_tokens: largest size of the vocabulary.
        balanced: whether only as many ham as spam are taken, the first in the file; otherwise a
            classifier that knows nothing is right on 88 %.

    Raises:
        ValueError: an unknown kind of token, a vocabulary without tokens.
        DatasetNotFoundError: no file found.
        DataFileError: a line that is no label, tab and text, or bytes that are no text.
    """
    scaling = counts_of_tokens(tokens, n_tokens)
    path = find(
        "sms_spam",
        roots=search_roots(data_dir),
        subfolders=["[sS][mM][sS]*[sS][pP][aA][mM]*"],
        probe=lambda folder: _existing(folder / _FILE_NAME),
        how_to_get=_HOW_TO_GET,
    )
    messages = list(dict.fromkeys(_read(path)))
    labels = np.array([_CLASS_NAMES.index(label) for label, _ in messages], np.int64)
    texts = np.array([text for _, text in messages], object)
    if balanced:
        kept = np.sort(_first_of_each(labels))
        labels, texts = labels[kept], texts[kept]
    return RawSet(
        inputs=texts,
        labels=labels,
        class_names=_CLASS_NAMES,
        source=f"{short(path)} (SMS Spam Collection, {len(texts)} distinct messages)",
        scaling=scaling,
    )


def counts_of_tokens(tokens: Tokens = "words", n_tokens: int = 1000) -> Scaling:
    """A scaling that makes texts into weighted counts of tokens, (n, n_known + 1).

    The vocabulary is that of the training part, its n_tokens most frequent tokens. Token j of a
    text counts log(1 + count) · (1 + log((1 + n)/(1 + n_j))), n_j of n training texts having it
    (Salton, Buckley 1988, tf-idf); the last column is all tokens outside the vocabulary together,
    so that no text with a token is all zeros.

    Args:
        tokens: kind of token, ``"words"`` or ``"characters"``.
        n_tokens: largest size of the vocabulary.

    Raises:
        ValueError: an unknown kind of token, a vocabulary without tokens.
    """
    check_choice("tokens", tokens, ("words", "characters"))
    check_whole_number("n_tokens", n_tokens, minimum=1)
    options = _WORDS if tokens == "words" else _CHARACTERS

    def scaling(part: np.ndarray, training_part: np.ndarray) -> np.ndarray:
        # Importing scikit-learn takes a second or more, and most data sets do not need it.
        text = importlib.import_module("sklearn.feature_extraction.text")
        vectoriser = text.CountVectorizer(max_features=n_tokens, **options).fit(training_part)
        training = _counts(vectoriser, training_part)
        weights = 1 + np.log((1 + len(training)) / (1 + (training > 0).sum(axis=0)))
        return np.log1p(_counts(vectoriser, part)) * weights

    return scaling


def _counts(
    vectoriser: Any, texts: Shaped[np.ndarray, " n"]
) -> Float[np.ndarray, "n n_known_and_rest"]:
    """Counts of each token of the vocabulary, then of all others together."""
    if len(texts) == 0:
        return np.zeros((0, len(vectoriser.vocabulary_) + 1))
    known = vectoriser.transform(texts).toarray().astype(np.float64)
    analyse = vectoriser.build_analyzer()
    all_tokens = np.array([len(analyse(text)) for text in texts], np.float64)
    return np.column_stack([known, all_tokens - known.sum(axis=1)])


def _first_of_each(labels: np.ndarray) -> np.ndarray:
    """Indices of the first examples of each class, as many as the smallest class has."""
    groups = [np.flatnonzero(labels == label) for label in range(len(_CLASS_NAMES))]
    count = min(len(group) for group in groups)
    return np.concatenate([group[:count] for group in groups])


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _read(path: Path) -> Sequence[tuple[str, str]]:
    """Label and text of every line; a first line that names its columns is passed over."""
    with opened(path) as stream:
        content = read_bounded(stream, _MAX_BYTES, str(path))
    try:
        # Not splitlines, which also cuts at signs that messages hold.
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path} is not text in UTF-8: {error}") from error
    messages = []
    for number, line in enumerate(lines, start=1):
        label, _, text = (part.strip() for part in line.partition("\t"))
        if (number == 1 and label.lower() == "label") or not line.strip():
            continue
        if label not in _CLASS_NAMES or not text:
            raise DataFileError(
                f"{path}: line {number} must be 'ham' or 'spam', a tab and a text; "
                f"got {line[:40]!r}"
            )
        messages.append((label, text))
    if {label for label, _ in messages} != set(_CLASS_NAMES):
        raise DataFileError(f"{path} must hold messages of both classes, ham and spam")
    return messages
