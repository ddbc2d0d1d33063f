"""Retrieval metrics against counts by hand."""

import itertools

import numpy as np
import pytest

from ntk_air.dynamics.embedding import kendall_agreement, recall_at, scores

RNG = np.random.default_rng(1)
STUDENT, TEACHER = RNG.normal(size=(4, 6)), RNG.normal(size=(4, 6))


def test_scores_are_inner_products():
    queries, documents = RNG.normal(size=(2, 3)), RNG.normal(size=(4, 3))
    assert scores(queries, documents)[1, 2] == pytest.approx(sum(queries[1] * documents[2]))


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_recall_counts_the_shared_documents(k):
    counts = []
    for student, teacher in zip(STUDENT, TEACHER, strict=True):
        first = [set(sorted(range(6), key=lambda d, s=s: -s[d])[:k]) for s in (student, teacher)]
        counts.append(len(first[0] & first[1]) / k)
    assert recall_at(k, STUDENT, TEACHER) == pytest.approx(np.mean(counts), rel=1e-15)


def test_kendalls_tau_counts_pairs_in_the_same_order():
    pairs = list(itertools.combinations(range(6), 2))
    signs = [
        np.sign((student[a] - student[b]) * (teacher[a] - teacher[b]))
        for student, teacher in zip(STUDENT, TEACHER, strict=True)
        for a, b in pairs
    ]
    assert kendall_agreement(STUDENT, TEACHER) == pytest.approx(np.mean(signs), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recall_at(0, STUDENT, TEACHER), "k must be a whole number, from 1 to 6; got 0"),
        (lambda: recall_at(7, STUDENT, TEACHER), "k must be a whole number, from 1 to 6; got 7"),
        (lambda: recall_at(1, STUDENT, TEACHER[:2]), "student and teacher must have the same sha"),
        (lambda: recall_at(1, STUDENT * np.nan, TEACHER), "student must be finite"),
        (
            lambda: kendall_agreement(np.ones((4, 6)), TEACHER),
            "student must rank the documents of every query; got equal scores .* query 0",
        ),
        (lambda: scores(STUDENT, TEACHER[:, :3]), "queries and documents must have shapes"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
