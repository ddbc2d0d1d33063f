"""Section 10: self-distillation that knows its noise."""

import functools

import numpy as np

from ntk_air.claims.comparison import (
    DoesNotApply,
    Measurement,
    agreement,
    array_agreement,
    at_least,
    at_most,
    claim,
)
from ntk_air.data.catalogue import load_dataset
from ntk_air.data.noise import PairFlipNoise
from ntk_air.dynamics.noise_aware.certificate import certify_decisions, decide
from ntk_air.dynamics.noise_aware.kernel_learner import KernelLearner
from ntk_air.dynamics.noise_aware.posterior import (
    beliefs_by_em,
    noise_aware_labels,
    softmax,
)
from ntk_air.dynamics.noise_aware.transition import symmetric_transition
from ntk_air.dynamics.supervision import Sharpened
from ntk_air.problem import Problem

SOURCE = "docs/theory.md, section 10"
RATE = 0.3
WRONG_MAJORITY = 0.6
RIDGE = 0.01
TEMPERATURE = 0.5
_ROWS_REFITTED = 8
_SMALL, _LARGE, _DRAWS = 90, 360, 8


@claim(
    "10a",
    "Early stopping retrieves the rows of T: under pair flips the margin shrinks by 1 − 2ρ",
    source=SOURCE,
    control=("a rate that is taken for half of what it is", {"rate_factor": 0.5}),
)
def retrieved_margin(problem: Problem, *, rate_factor: float = 1.0) -> Measurement:
    """Margin to the next class under flips over that without, at the clean labels' step."""
    noisy = problem.with_label_noise(PairFlipNoise(RATE, exact=True)).dataset
    learner = learner_of(problem)
    classes, true = np.eye(noisy.n_classes), noisy.clean_labels
    stop = learner.fit(classes[true]).stop
    following = (true + 1) % noisy.n_classes
    rows = np.arange(noisy.n_train)

    def margin(labels: np.ndarray) -> float:
        outputs = learner.predict(learner.eigenvectors, classes[labels], stop)
        return float(np.mean(outputs[rows, true] - outputs[rows, following]))

    shrunk = margin(noisy.noisy_labels) / margin(true)
    return agreement(1 - 2 * RATE * rate_factor, shrunk, tolerance=0.1)


@claim(
    "10b",
    "A left-out output is (f_i − S_ii y_i)/(1 − S_ii), exactly so for ridge regression",
    source="Craven, Wahba 1979, section 3",
    control=("outputs that row i's own label is in", {"own_label": True}),
)
def left_out_of_ridge(problem: Problem, *, own_label: bool = False) -> Measurement:
    """Closed form from one fit against refits without each of the first rows."""
    theta, y = problem.theta, np.asarray(problem.noisy)
    n, ridge = len(y), RIDGE * problem.largest_eigenvalue
    smoother = theta @ np.linalg.inv(theta + ridge * np.eye(n))
    own = 0 * np.diag(smoother) if own_label else np.diag(smoother)
    closed = (smoother @ y - own[:, None] * y) / (1 - own)[:, None]
    refitted = []
    for row in range(min(n, _ROWS_REFITTED)):
        others = np.delete(np.arange(n), row)
        inside = theta[np.ix_(others, others)] + ridge * np.eye(n - 1)
        refitted.append(theta[row, others] @ np.linalg.solve(inside, y[others]))
    return array_agreement(np.array(refitted), closed[: len(refitted)], tolerance=1e-8)


@claim(
    "10b-isotropic",
    "Where a smoother only repeats a row's own label, other rows say nothing: no signal",
    source=SOURCE,
    control=("the kernel of the problem", {"isotropic": False}),
)
def isotropic_is_silent(problem: Problem, *, isotropic: bool = True) -> Measurement:
    """Largest left-out output of an isotropic kernel, which memorises perfectly, against 0."""
    learner = learner_of(problem)
    if isotropic:
        learner = KernelLearner(np.ones(problem.n_train), learner.eigenvectors)
    classes = np.eye(problem.dataset.n_classes)[problem.dataset.noisy_labels]
    return at_most(0.0, float(np.max(np.abs(learner.fit(classes).left_out))))


@claim(
    "10c",
    "T̂ goes to T as clusters grow, as n^{−1/2}",
    source=SOURCE,
    control=("a wrong majority in each class", {"rate": WRONG_MAJORITY}),
)
def matrix_is_found(problem: Problem, *, rate: float = RATE) -> Measurement:
    """Error of T̂ by EM from left-out outputs at four times the rows, over that at the rows."""
    del problem
    small, large = matrix_error(_SMALL, rate), matrix_error(_LARGE, rate)
    return agreement(0.5, large / small, tolerance=0.4)


@claim(
    "10d",
    "The label function holds sharpening, the given label and Bayes' log-odds as special cases",
    source=SOURCE,
    control=("a temperature that is 1 % off", {"temperature_factor": 1.01}),
)
def special_cases(problem: Problem, *, temperature_factor: float = 1.0) -> Measurement:
    """Each case by its own formula against the label function with its T."""
    dataset = problem.dataset
    given, n_classes = dataset.noisy_labels, dataset.n_classes
    classes = np.eye(n_classes)
    fit = learner_of(problem).fit(classes[given])
    p = softmax(3 * fit.left_out)

    def labels(transition: np.ndarray) -> np.ndarray:
        at = TEMPERATURE * temperature_factor
        return noise_aware_labels(p, given, transition, temperature=at)

    logits = np.log(p) / TEMPERATURE
    if n_classes == 2:
        sharpened = np.asarray(Sharpened(TEMPERATURE)(np.log(p[:, 1:]) - np.log(p[:, :1])))
        sharpened = np.hstack([1 - sharpened, 1 + sharpened]) / 2
    else:
        sharpened = np.asarray(Sharpened(TEMPERATURE)(np.log(p))) + 1 / n_classes
    odds = np.log((1 - RATE) * (n_classes - 1) / RATE)
    expected = np.stack([sharpened, classes[given], softmax(logits + odds * classes[given])])
    uniform = np.full((n_classes, n_classes), 1 / n_classes)
    found = [labels(uniform), labels(classes), labels(symmetric_transition(RATE, n_classes))]
    return array_agreement(expected, np.stack(found), tolerance=1e-12)


@claim(
    "10e",
    "With T fixed, certified decisions stand for all time",
    source=SOURCE,
    control=("outputs from before anything was retrieved: none may be issued", {"early": True}),
)
def decisions_stand(problem: Problem, *, early: bool = False) -> Measurement:
    """Decisions that change in 2,000 plain steps on them after the certificate, counted."""
    dataset, theta = problem.dataset, problem.theta
    given = dataset.noisy_labels
    transition = symmetric_transition(RATE, dataset.n_classes)
    classes = np.eye(dataset.n_classes)
    learner = learner_of(problem)
    certify = functools.partial(
        certify_decisions, problem.spectrum, transition=transition, temperature=TEMPERATURE
    )
    if early:
        outputs = np.full((dataset.n_train, dataset.n_classes), 1 / dataset.n_classes)
        return at_least(1.0, float(certify(outputs, given).issued))
    fit = learner.fit(classes[given])
    decisions = decide(fit.left_out, given, transition, temperature=TEMPERATURE)
    outputs = np.zeros((dataset.n_train, dataset.n_classes))
    steps = 0
    while (
        not (certificate := certify(outputs, given)).issued
        or (certificate.decisions != decisions).any()
    ):
        if steps >= 20_000:
            raise DoesNotApply("no certificate is issued within 20,000 steps")
        for _ in range(100):
            outputs = outputs - problem.learning_rate * theta @ (outputs - classes[decisions])
        steps += 100
    changed, exceeded = 0, 0.0
    for _ in range(2000):
        outputs = outputs - problem.learning_rate * theta @ (outputs - classes[decisions])
        now = decide(outputs, given, transition, temperature=TEMPERATURE)
        changed += int(np.sum(now != decisions))
        excess = np.abs(outputs - classes[decisions]) - certificate.bounds
        exceeded = max(exceeded, float(excess.max()))
    return at_most(0.0, float(changed) + exceeded)


def learner_of(problem: Problem) -> KernelLearner:
    """The problem's kernel as ``clean_labels`` takes it, with all its modes."""
    spectrum = problem.spectrum
    return KernelLearner(np.asarray(spectrum.eigenvalues), np.asarray(spectrum.eigenvectors))


def matrix_error(n: int, rate: float) -> float:
    """Root mean square error of EM's T̂ over draws of three clusters and pair flips.

    The kernel is e^{⟨x, x′⟩ − 1}, on the sphere.
    """
    squares = []
    for seed in range(_DRAWS):
        data = load_dataset(
            "clusters", n_train=n, n_test=0, seed=seed, n_clusters=3, n_classes=3, spread=0.05
        )
        noisy = data.with_label_noise(PairFlipNoise(rate), seed=seed)
        values, vectors = np.linalg.eigh(np.exp(noisy.inputs @ noisy.inputs.T - 1))
        learner = KernelLearner(values[::-1], vectors[:, ::-1])
        given = noisy.noisy_labels
        _, found = beliefs_by_em(learner.fit(np.eye(3)[given]).left_out, given)
        squares.append(np.mean((found.matrix - noisy.transition_matrix()) ** 2))
    return float(np.sqrt(np.mean(squares)))
