"""Texts: the file, the vocabulary of the training part alone, weighted counts by hand."""

import numpy as np
import pytest

from ntk_air.data import DataFileError, DatasetNotFoundError, load_dataset
from ntk_air.data.readers.text import counts_of_tokens
from tests.helpers.type_checks import without_type_checks

HAM = ["Ok, see you!", "on my way", "see you at home", "ok ok ok", "call me at home", "hi"]
SPAM = ["WIN £100 now!!", "win a prize, call now", "free prize!! win win"]
LINES = [f"ham\t{text}" for text in HAM] + [f"spam\t{text}" for text in SPAM]


def write(folder, lines, *, end="\n", encoding="utf-8"):
    folder.mkdir(exist_ok=True)
    (folder / "SMSSpamCollection").write_bytes((end.join(lines) + end).encode(encoding))
    return folder


def by_hand(texts, training):
    """The formula of the docstring on words split by hand, with the whole training vocabulary."""
    vocabulary = sorted({word for words in training for word in words})
    n_with = [sum(word in words for words in training) for word in vocabulary]
    n = len(training)
    rows = []
    for words in texts:
        row = [
            np.log(1 + words.count(word)) * (1 + np.log((1 + n) / (1 + count)))
            for word, count in zip(vocabulary, n_with, strict=True)
        ]
        unknown = sum(word not in vocabulary for word in words)
        rows.append([*row, np.log(1 + unknown) * (1 + np.log(1 + n))])
    return np.array(rows)


def test_counts_are_weighted_by_the_training_part_alone():
    training = np.array(["Win now!! win", "see you now"], object)
    part = np.array(["WIN!! win win tomorrow, ok", "you"], object)
    split = [["win", "now", "!!", "win"], ["see", "you", "now"]]
    other = [["win", "!!", "win", "win", "tomorrow", ",", "ok"], ["you"]]
    scaling = counts_of_tokens("words", 100)
    np.testing.assert_allclose(scaling(part, training), by_hand(other, split), rtol=1e-12)
    np.testing.assert_allclose(scaling(training, training), by_hand(split, split), rtol=1e-12)


def test_a_small_vocabulary_keeps_the_most_frequent_tokens_and_counts_the_rest():
    training = np.array(["a a a b b c"], object)
    counts = np.expm1(counts_of_tokens("words", 2)(training, training) / [1, 1, 1])
    np.testing.assert_allclose(counts, [[3, 2, 1]], rtol=1e-12)


def test_neighbouring_characters_are_tokens():
    training, part = (np.array([text], object) for text in ("ab", "ab"))
    found = counts_of_tokens("characters", 100)(part, training)
    # " ", "a", "b", " a", "ab", "b ", " ab", "ab ": the blank is seen twice.
    wanted = [0, *sorted([np.log(2)] * 7 + [np.log(3)])]
    np.testing.assert_allclose(np.sort(found[0]), wanted, rtol=1e-12)


def test_the_file_is_read_with_and_without_a_header_and_repetitions(tmp_path):
    plain = load_dataset("sms_spam", data_dir=write(tmp_path / "a", LINES), n_test=0)
    lines = ["Label\tSMS", *LINES[:4], LINES[0], *LINES[4:], LINES[-1], ""]
    other = load_dataset("sms_spam", data_dir=write(tmp_path / "b", lines, end="\r\n"), n_test=0)
    assert plain.class_names == ("ham", "spam")
    np.testing.assert_array_equal(plain.clean_labels, [0] * 6 + [1] * 3)
    assert plain.content_hash == other.content_hash


def test_the_held_out_part_adds_nothing_to_the_vocabulary(tmp_path):
    folder = write(tmp_path / "sms-spam", LINES)
    data = load_dataset("sms_spam", data_dir=tmp_path, n_test=3)
    assert (data.n_train, data.n_test) == (6, 3)
    # Every column but the last is a token of some training message.
    assert (data.inputs[:, :-1] > 0).any(axis=0).all()
    assert not data.inputs[:, -1].any()
    assert data.test_inputs[:, -1].any()
    assert data.normalised().n_test == 3
    assert load_dataset("sms_spam", data_dir=folder, n_test=0, n_tokens=4).inputs.shape == (9, 5)


def test_classes_can_be_balanced(tmp_path):
    data = load_dataset(
        "sms_spam", data_dir=write(tmp_path / "a", LINES), n_test=0, balanced=True, n_tokens=2
    )
    np.testing.assert_array_equal(data.clean_labels, [0] * 3 + [1] * 3)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*LINES, "eggs\ttext"], "line 10 must be 'ham' or 'spam'.*got 'eggs"),
        ([*LINES, "ham no tab"], "line 10 must be .* a tab and a text; got 'ham no tab'"),
        ([*LINES, "ham\t "], "line 10 must be .* a tab and a text"),
        (LINES[:6], "must hold messages of both classes"),
    ],
)
def test_damaged_files_are_refused(tmp_path, lines, message):
    with pytest.raises(DataFileError, match=message):
        load_dataset("sms_spam", data_dir=write(tmp_path / "a", lines))


def test_other_bad_input_is_refused(tmp_path):
    folder = write(tmp_path / "a", ["ham\tWIN £1"], encoding="latin-1")
    with pytest.raises(DataFileError, match="is not text in UTF-8"):
        load_dataset("sms_spam", data_dir=folder)
    with pytest.raises(ValueError, match=r"n_tokens must be .* at least 1; got 0"):
        counts_of_tokens("words", 0)
    with (
        pytest.raises(ValueError, match="tokens must be one of 'words', 'characters'; got 'x'"),
        without_type_checks(),
    ):
        counts_of_tokens("x")
    (folder / "SMSSpamCollection").unlink()
    with pytest.raises(DatasetNotFoundError, match="published in the UCI"):
        load_dataset("sms_spam", data_dir=tmp_path)
