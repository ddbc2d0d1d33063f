"""A student that matches a teacher's scores, and one that matches its embeddings.

Queries are digits, the teacher's embeddings their leading principal components, documents the
held-out digits' embeddings. The student's query encoder is in its kernel regime and learns from
some documents' scores, or from the teacher's embeddings; both then rank documents that come later.
"""

import dataclasses

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_whole_number
from ntk_air._base.progress import Progress
from ntk_air.lab.config import ExperimentConfig, NoiseConfig
from ntk_air.lab.harness import Computed, Experiment, header, make_run_problem
from ntk_air.lab.run_folder import RunFolder

N_TIMES = 30
NEW_SHARE = 0.25
"""Of the queries, that no student is trained on."""


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of embedding_distillation."""

    noise: NoiseConfig = dataclasses.field(default_factory=lambda: NoiseConfig(noise=0.0))
    entries: int = 16
    """Entries of an embedding."""
    known: int = 8
    """Documents whose scores are known in training."""
    steps: int = 100_000
    """The longest that students are trained."""
    retrieved: int = 10
    """Documents retrieved for a query, for recall."""

    def __post_init__(self):
        for name in ("entries", "known", "steps", "retrieved"):
            check_whole_number(name, getattr(self, name), minimum=1)
        if self.noise.noise:
            raise ValueError(f"noise must be 0: no label is used here; got {self.noise.noise}")

    def smoke(self) -> "Config":
        """Few queries and documents."""
        data = dataclasses.replace(self.data, n_train=80, n_test=30)
        return dataclasses.replace(self, data=data, steps=1_000)


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.dynamics.embedding import kendall_agreement, match_teacher, recall_at, scores

    if dataset.n_test <= config.known + config.retrieved:
        raise ValueError(
            f"n_test must exceed {config.known} known documents and {config.retrieved} retrieved "
            f"ones; got {dataset.n_test}"
        )
    problem, kernel_name = make_run_problem(config, dataset, run, progress)
    queries, documents = teacher_embeddings(dataset, config.entries)
    task = split_queries(problem, queries)
    known, new = documents[: config.known], documents[config.known :]
    times = np.unique(np.round(np.geomspace(1, config.steps, N_TIMES)))
    assert task.held_out is not None
    taught = scores(np.asarray(task.held_out.targets), new)
    arrays: dict[str, np.ndarray] = {"times": times}
    numbers: dict[str, float] = {}
    for name, given in (("embeddings", None), ("scores", known)):
        outputs = np.asarray(match_teacher(task, times, given).held_out)
        ranked = [scores(each, new) for each in outputs]
        curves = {
            "recall": [recall_at(config.retrieved, each, taught) for each in ranked],
            "kendall": [kendall_agreement(each, taught) for each in ranked],
            "error": [float(np.sqrt(np.mean((each - taught) ** 2))) for each in ranked],
        }
        arrays |= {f"{name}_{curve}": np.array(values) for curve, values in curves.items()}
        numbers |= {f"{name}_{curve}": values[-1] for curve, values in curves.items()}
    results = {
        **header(dataset),
        "kernel": kernel_name,
        "precision": problem.spectrum.precision,
        "entries": config.entries,
        "known_documents": config.known,
        "new_documents": len(new),
        "rank": int(np.linalg.matrix_rank(known)),
        "new_queries": len(np.asarray(task.held_out.targets)),
        "retrieved": config.retrieved,
        "steps": config.steps,
        **numbers,
    }
    return results, arrays


def teacher_embeddings(dataset: "na.Dataset", entries: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of training and of held-out inputs, by the training inputs' axes."""
    flat = [np.reshape(each, (len(each), -1)) for each in (dataset.inputs, dataset.test_inputs)]
    flat = [np.asarray(each, np.float64) for each in flat]
    if entries > min(flat[0].shape):
        raise ValueError(f"entries must be at most {min(flat[0].shape)}; got {entries}")
    mean = flat[0].mean(axis=0)
    axes = np.linalg.svd(flat[0] - mean, full_matrices=False)[2][:entries]
    train, test = ((each - mean) @ axes.T for each in flat)
    size = float(np.sqrt(np.mean(np.sum(train**2, axis=1))))
    return train / size, test / size


def split_queries(problem: "na.Problem", queries: np.ndarray) -> "na.Problem":
    """Three quarters of the queries to train on, the others new; labels are their embeddings."""
    from ntk_air.data.draws import generator, shuffled

    theta = np.asarray(problem.theta, np.float64)
    order = shuffled(np.arange(len(theta)), generator(problem.seed, "new queries"))
    n_new = max(1, int(NEW_SHARE * len(theta)))
    new, seen = np.sort(order[:n_new]), np.sort(order[n_new:])
    own = theta[np.ix_(seen, seen)]
    return na.Problem(
        na.Labels(queries[seen]),
        own,
        na.decompose(own),
        held_out=na.HeldOut(theta[np.ix_(new, seen)], queries[new]),
    )


EXPERIMENT = Experiment("embedding_distillation", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
