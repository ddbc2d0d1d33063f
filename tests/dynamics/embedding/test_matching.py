"""Embedding students: closed form against plain steps, and what is refused."""

import numpy as np
import pytest

from ntk_air.dynamics.embedding import match_teacher
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.learning_rate import RelativeRate
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.problem import HeldOut, Labels, Problem
from ntk_air.spectrum.decomposition import decompose

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(9, 4))
THETA = POINTS @ POINTS.T + np.eye(9)
TEACHER, START = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3))
QUERIES = Problem(
    Labels(TEACHER, initial=START),
    THETA[:6, :6],
    decompose(THETA[:6, :6]),
    held_out=HeldOut(THETA[6:, :6], RNG.normal(size=(3, 3)), initial=RNG.normal(size=(3, 3))),
)


def stepped(documents, rate, n_steps):
    """Embeddings of all queries after plain steps on ½‖(F − Z)Dᵀ‖²."""
    dual = np.zeros_like(TEACHER)
    for _ in range(n_steps):
        error = (START + THETA[:6, :6] @ dual - TEACHER) @ documents.T
        dual = dual - rate * error @ documents
    held_out = QUERIES.held_out.initial + THETA[6:, :6] @ dual
    return START + THETA[:6, :6] @ dual, np.asarray(held_out)


@pytest.mark.parametrize("n_documents", [1, 2, 7])
def test_scores_are_matched_as_plain_steps_match_them(n_documents):
    documents = RNG.normal(size=(n_documents, 3))
    run = match_teacher(QUERIES, [0, 1, 40], documents, rate=RelativeRate(0.7))
    largest = np.linalg.eigvalsh(THETA[:6, :6])[-1] * np.linalg.norm(documents, 2) ** 2
    assert run.learning_rate == pytest.approx(0.7 / largest, rel=1e-12)
    for index, n_steps in enumerate(run.times):
        train, held_out = stepped(documents, run.learning_rate, int(n_steps))
        np.testing.assert_allclose(run.train[index], train, rtol=0, atol=1e-12)
        np.testing.assert_allclose(run.held_out[index], held_out, rtol=0, atol=1e-12)


def test_embeddings_are_matched_by_plain_descent():
    run = match_teacher(QUERIES, [3, 50])
    plain = solve(QUERIES, Descent(), [3, 50], Stepwise(), store_at=[3, 50]).kept()
    np.testing.assert_allclose(run.train, plain.train, rtol=0, atol=1e-12)
    assert run.held_out is not None
    assert plain.held_out is not None
    np.testing.assert_allclose(run.held_out, plain.held_out, rtol=0, atol=1e-12)


def test_without_held_out_queries_there_are_no_embeddings_of_them():
    assert match_teacher(QUERIES.replace(held_out=None), [1]).held_out is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"documents": np.zeros((2, 3))}, "documents must not all be zero"),
        ({"documents": np.ones((2, 4))}, r"documents must have shape \(n_document, 3\).*\(2, 4\)"),
        ({"documents": np.ones((2, 3), int)}, "documents must be a floating-point array"),
        ({"documents": np.full((2, 3), np.nan)}, "documents must be finite"),
        ({"rate": 1e6}, "learning_rate"),
        ({"times": [2, 1]}, "times must be ascending"),
        ({"problem": QUERIES.replace(spectrum=None)}, "spectrum must be given"),
        (
            {"problem": QUERIES.replace(spectrum=decompose(THETA[:6, :6], top_k=2))},
            "spectrum must hold all modes; got 2 of 6",
        ),
    ],
)
def test_bad_input_is_refused(given, message):
    arguments = {"problem": QUERIES, "times": [1]} | given
    with pytest.raises(ValueError, match=message):
        match_teacher(arguments.pop("problem"), arguments.pop("times"), **arguments)
