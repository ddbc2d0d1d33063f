"""How well a student ranks documents: recall among the first, and rank agreement."""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau

from ntk_air._base.checks import check_finite, check_floating, check_whole_number
from ntk_air._base.typing import AnyArray


def scores(queries: AnyArray, documents: AnyArray) -> Float[np.ndarray, "n_query n_document"]:
    """The inner products of query and document embeddings.

    Args:
        queries: query embeddings, (n_query, n_out).
        documents: document embeddings, (n_document, n_out).

    Raises:
        ValueError: embeddings that are not finite floating-point, or of two dimensions.
    """
    for name, array in (("queries", queries), ("documents", documents)):
        check_floating(name, array)
        check_finite(name, array)
    if queries.ndim != 2 or documents.ndim != 2 or queries.shape[1] != documents.shape[1]:
        raise ValueError(
            "queries and documents must have shapes (n_query, n_out) and (n_document, n_out); got "
            f"{queries.shape} and {documents.shape}"
        )
    return np.asarray(queries) @ np.asarray(documents).T


def recall_at(k: int, student: AnyArray, teacher: AnyArray) -> float:
    """The share of the teacher's first k documents that are among the student's, over queries.

    Args:
        k: number of documents retrieved, from 1 to n_document.
        student: student's scores, (n_query, n_document); of equal scores the first counts more.
        teacher: teacher's scores, of the same shape.

    Raises:
        ValueError: scores that are not finite or of two shapes, a k out of range.

    >>> import numpy as np
    >>> from ntk_air.dynamics.embedding import recall_at
    >>> recall_at(2, np.array([[3.0, 2.0, 1.0]]), np.array([[3.0, 1.0, 2.0]]))
    0.5
    """
    _check_scores(student, teacher)
    check_whole_number("k", k, minimum=1, maximum=student.shape[1])
    found, wanted = (
        np.argsort(-np.asarray(each), axis=1, kind="stable")[:, :k] for each in (student, teacher)
    )
    shared = [len(np.intersect1d(*rows)) for rows in zip(found, wanted, strict=True)]
    return float(np.mean(shared)) / k


def kendall_agreement(student: AnyArray, teacher: AnyArray) -> float:
    """Kendall's τ_b of the two rankings of the documents, averaged over queries.

    Args:
        student: student's scores, (n_query, n_document).
        teacher: teacher's scores, of the same shape.

    Raises:
        ValueError: scores that are not finite or of two shapes; a query all of whose documents
            score alike, for which no ranking exists.

    >>> import numpy as np
    >>> from ntk_air.dynamics.embedding import kendall_agreement
    >>> kendall_agreement(np.array([[3.0, 2.0, 1.0]]), np.array([[1.0, 2.0, 3.0]]))
    -1.0
    """
    _check_scores(student, teacher)
    for name, array in (("student", student), ("teacher", teacher)):
        flat = np.flatnonzero(np.ptp(np.asarray(array), axis=1) == 0)
        if len(flat):
            raise ValueError(
                f"{name} must rank the documents of every query; got equal scores throughout for "
                f"query {flat[0]}"
            )
    pairs = zip(np.asarray(student), np.asarray(teacher), strict=True)
    agreements: Any = [kendalltau(*rows).statistic for rows in pairs]  # pyright: ignore
    return float(np.mean(agreements))


def _check_scores(student: AnyArray, teacher: AnyArray) -> None:
    for name, array in (("student", student), ("teacher", teacher)):
        check_floating(name, array)
        check_finite(name, array)
    if student.ndim != 2 or student.shape != teacher.shape or not student.size:
        raise ValueError(
            "student and teacher must have the same shape (n_query, n_document), not empty; got "
            f"{student.shape} and {teacher.shape}"
        )
