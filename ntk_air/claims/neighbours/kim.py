"""EmbedDistill: matching a teacher's embeddings, or the scores of its documents."""

import dataclasses

import numpy as np

from ntk_air.claims.comparison import Measurement, agreement, array_agreement, claim
from ntk_air.claims.neighbours.premises import EXACT, Population, population, require_inverse
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.dynamics.embedding import match_teacher, scores
from ntk_air.problem import HeldOut, Labels, Problem
from ntk_air.spectrum.decomposition import decompose

SOURCE = "Kim et al. 2023; docs/theory.md, 11-kim"
N_ENTRIES, N_DOCUMENTS, RANK, STEPS = 6, 40, 3, 200
TIMES = (1, 10, 50, STEPS)


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """Queries with a teacher's embeddings, and its documents.

    The teacher's embeddings are functions in the kernel's space of all training inputs, of which
    half are queries to train on and half new queries. The student starts from another function.

    Attributes:
        queries: the queries to train on, the new ones held out; labels are the teacher's.
        documents: documents whose scores are known in training, (n_document, n_entry).
        new: documents that come later, from the whole space.
    """

    queries: Problem
    documents: np.ndarray
    new: np.ndarray


@claim(
    "11-kim",
    "Matching scores shrinks mode (i, k) by 1 − ηλ_iμ_k a step: AIR in queries and in documents",
    source=SOURCE,
    control=("one speed for all documents, as where embeddings are matched", {"one_speed": True}),
)
def two_speeds(problem: Problem, *, one_speed: bool = False) -> Measurement:
    """Closed form in both eigenbases against 200 plain steps of the query encoder.

    Loss ½‖(F − Z)Dᵀ‖² with the documents frozen at the teacher's, DᵀD = U diag(μ) Uᵀ.
    """
    task = retrieval(problem)
    predicted = match_teacher(task.queries, TIMES, None if one_speed else task.documents)
    return array_agreement(predicted.train, stepped(task, task.documents), tolerance=EXACT)


@claim(
    "11-kim-unseen",
    "Matching scores never moves what documents outside the span of D score; embeddings do",
    source=SOURCE,
    control=("embeddings matched instead of scores", {"embeddings": True}),
)
def unseen_documents(problem: Problem, *, embeddings: bool = False) -> Measurement:
    """(F_0 − Z)P_0d of new documents against plain steps, documents of rank 3 of 6."""
    task = retrieval(problem, rank=RANK)
    outside = np.linalg.svd(task.documents)[2][RANK:]
    unseen = task.new @ outside.T @ outside
    start = np.asarray(task.queries.labels.initial) - task.queries.noisy
    steps = stepped(task, np.eye(N_ENTRIES) if embeddings else task.documents)
    errors = (steps - np.asarray(task.queries.noisy)) @ unseen.T
    return array_agreement(np.broadcast_to(start @ unseen.T, errors.shape), errors, tolerance=EXACT)


@claim(
    "11-kim-certificate",
    "The order of any two documents stands where their margin exceeds ‖F − Z‖·‖d − d′‖",
    source=SOURCE,
    control=("scores matched, and the error of known scores over √μ_min", {"by_scores": True}),
)
def certificate(problem: Problem, *, by_scores: bool = False) -> Measurement:
    """Pairs of new documents that are certified and change order for new queries, against 0.

    The control's error bounds documents in the span of D alone, here of rank 3 of 6.
    """
    task = retrieval(problem, rank=RANK)
    assert task.queries.held_out is not None
    run = match_teacher(task.queries, TIMES, task.documents if by_scores else None)
    assert run.held_out is not None
    student, teacher = np.asarray(run.held_out[-1]), np.asarray(task.queries.held_out.targets)
    error = np.linalg.norm(student - teacher, axis=1)
    if by_scores:
        known = np.linalg.norm((student - teacher) @ task.documents.T, axis=1)
        error = known / np.linalg.svd(task.documents)[1][RANK - 1]
    first, second = np.triu_indices(N_DOCUMENTS, 1)
    apart = task.new[first] - task.new[second]
    margins, kept = (each @ apart.T for each in (teacher, student))
    certified = np.abs(margins) > error[:, None] * np.linalg.norm(apart, axis=1)
    return agreement(0.0, float(np.sum(certified & (margins * kept <= 0))), tolerance=0.0)


@claim(
    "11-kim-bound",
    "The error of any document's score is at most ‖F − Z‖·‖d‖, and no less for some document",
    source=SOURCE,
    control=("the bound of each document's mean error over queries", {"mean": True}),
)
def bound_is_attained(problem: Problem, *, mean: bool = False) -> Measurement:
    """Largest ratio of error to bound, over new documents and along each error, against 1."""
    task = retrieval(problem)
    assert task.queries.held_out is not None
    run = match_teacher(task.queries, TIMES)
    assert run.held_out is not None
    student, teacher = np.asarray(run.held_out[-1]), np.asarray(task.queries.held_out.targets)
    asked = np.concatenate([task.new, student - teacher])
    errors = np.abs(scores(student, asked) - scores(teacher, asked))
    bounds = np.linalg.norm(student - teacher, axis=1)[:, None] * np.linalg.norm(asked, axis=1)
    if mean:
        bounds = np.broadcast_to(bounds.mean(axis=0), bounds.shape)
    return agreement(1.0, float(np.max(errors / bounds)), tolerance=EXACT)


@claim(
    "11-kim-queries",
    "A new query's error is at most ‖δ‖_H σ(q), σ² = Θ(q, q) − Θ_qΘ⁻¹Θ_qᵀ, and attains it",
    source=SOURCE,
    control=("σ before any query was seen", {"prior": True}),
)
def generated_queries(problem: Problem, *, prior: bool = False) -> Measurement:
    """Largest ratio of error to bound over new queries and teachers, one of them the worst.

    The student has converged on queries with teacher's embeddings and no labels (generated ones,
    for instance), δ = Z − F as functions in the kernel's space, where the teacher must lie.
    """
    require_inverse(problem)
    world = population(problem)
    variances = left_unknown(world)
    # What is unknown of the kernel at the worst query is the teacher that attains the bound.
    at_worst = np.eye(len(world.theta))[:, world.others[np.argmax(variances)], None]
    teachers = np.concatenate([random_teacher(problem), at_worst], axis=1)
    outputs, away = world.theta @ teachers, teachers.copy()
    away[world.rows] -= np.linalg.solve(world.train, outputs[world.rows])
    errors, squares = world.theta[world.others] @ away, np.sum(away * (world.theta @ away), axis=0)
    spread = np.diag(world.theta)[world.others] if prior else variances
    return agreement(1.0, float(np.max(errors**2 / (squares * spread[:, None]))), tolerance=EXACT)


def left_unknown(world: Population) -> np.ndarray:
    """σ² at the new points, by the eigenbasis of the kernel on the known ones."""
    values, basis = np.linalg.eigh(world.train)
    seen = world.cross[world.others] @ basis
    return np.diag(world.theta)[world.others] - np.sum(seen**2 / values, axis=1)


def random_teacher(problem: Problem) -> np.ndarray:
    """Coefficients of a teacher's embeddings in the kernel's space, (M, n_entry)."""
    rng = generator(problem.seed, "teacher's embeddings")
    return normal_numbers(rng, (problem.n_train, N_ENTRIES)) / problem.n_train**0.5


def retrieval(problem: Problem, *, rank: int = N_ENTRIES) -> Retrieval:
    """A retrieval task on the problem's kernel, its documents' energies μ_k falling by half."""
    world, rng = population(problem), generator(problem.seed, "documents")
    teacher = world.theta @ random_teacher(problem)
    start = 0.5 * normal_numbers(rng, teacher.shape) * np.std(teacher)
    falling = np.where(np.arange(N_ENTRIES) < rank, 2.0 ** (-np.arange(N_ENTRIES) / 2), 0.0)
    turned = np.linalg.qr(normal_numbers(rng, (N_ENTRIES, N_ENTRIES)))[0]
    documents = np.linalg.qr(normal_numbers(rng, (N_DOCUMENTS, N_ENTRIES)))[0] * falling @ turned
    queries = Problem(
        Labels(teacher[world.rows], initial=start[world.rows]),
        world.train,
        decompose(world.train),
        held_out=HeldOut(
            world.cross[world.others], teacher[world.others], initial=start[world.others]
        ),
    )
    return Retrieval(queries, documents, normal_numbers(rng, (N_DOCUMENTS, N_ENTRIES)))


def stepped(task: Retrieval, documents: np.ndarray) -> np.ndarray:
    """Embeddings at ``TIMES`` by plain steps on the scores of documents."""
    theta, labels = np.asarray(task.queries.theta), task.queries.labels
    outputs, metric = np.asarray(labels.initial), documents.T @ documents
    rate = 1 / (np.linalg.eigvalsh(theta)[-1] * np.linalg.eigvalsh(metric)[-1])
    found = []
    for step in range(1, STEPS + 1):
        outputs = outputs - rate * theta @ (outputs - labels.noisy) @ metric
        if step in TIMES:
            found.append(outputs)
    return np.stack(found)
