"""Supervised descent once more, in plain NumPy loops: what simulations are compared with."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from ntk_air.dynamics import supervision as sv


def itself(outputs):
    return outputs


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def hard(outputs):
    if outputs.shape[1] == 1:
        return np.sign(outputs)
    largest = outputs == outputs.max(axis=1, keepdims=True)
    return largest / largest.sum(axis=1, keepdims=True) - 1 / outputs.shape[1]


def sharpened(temperature):
    def label(outputs):
        if outputs.shape[1] == 1:
            return np.tanh(outputs / temperature / 2)
        return softmax(outputs / temperature) - 1 / outputs.shape[1]

    return label


def agreement(outputs, noisy):
    if outputs.shape[1] == 1:
        return 1 - np.mean(np.sign(outputs) == np.sign(noisy))
    unique = np.sort(outputs, axis=1)[:, -1] > np.sort(outputs, axis=1)[:, -2]
    return 1 - np.mean(unique & (outputs.argmax(1) == noisy.argmax(1)))


LABELS = {
    "identity": (sv.Identity(), itself),
    "sharpened": (sv.Sharpened(0.3), sharpened(0.3)),
    "hard": (sv.Hard(), hard),
    "own": (lambda f: f / (1 + f * f), lambda f: f / (1 + f * f)),
}

SCHEDULES = {
    "constant": (sv.Constant(0.3), lambda i, f, noisy: 0.3),
    "linear": (sv.Linear(9, end=0.1), lambda i, f, noisy: 1 - 0.9 * min(i / 9, 1)),
    "harmonic": (sv.Harmonic(4), lambda i, f, noisy: 4 / (4 + i)),
    "geometric": (sv.Geometric(0.8, start=0.9), lambda i, f, noisy: 0.9 * 0.8**i),
    "power": (sv.Power(1.5, scale=3), lambda i, f, noisy: (1 + i / 3) ** -1.5),
    "agreement": (sv.Agreement(), lambda i, f, noisy: agreement(f, noisy)),
    "own": (lambda i: 0.5 / (1 + i**2), lambda i, f, noisy: 0.5 / (1 + i**2)),
}

TEACHERS = {
    "current": sv.CurrentStep(),
    "last_epoch": sv.LastEpoch(4),
    "restart": sv.Restart(4),
    "average": sv.ExponentialMovingAverage(0.7),
    "pretrained": None,  # its outputs have a run's shape
}


class OutputNorm(sv.WeightSchedule):
    """(1 + ‖f‖_F)/2: above 1 once the outputs have grown past a norm of 1."""

    def __call__(self, index, outputs, noisy):
        return (1 + jnp.linalg.norm(outputs)) / 2 + 0 * index

    def depends_on(self):
        return "outputs"

    def non_increasing_from(self):
        return None

    def has_finite_sum(self):
        return None

    def limit(self):
        return None


@dataclasses.dataclass(frozen=True)
class Taught:
    """What a plain loop learns.

    ``teacher`` is one of this package's, read for its kind and its number and never called.
    """

    label: Callable
    schedule: Callable
    teacher: sv.Teacher
    warm_up: int = 0


@dataclasses.dataclass(frozen=True)
class PlainDescent:
    """The numbers of a plain loop, and what makes the predictions of its loss from outputs."""

    rate: float | np.ndarray
    momentum: float = 0.0
    link: Callable = itself


def supervised_steps(kernel, noisy, taught_by, descent, *, n_steps, initial=None):
    """f_0 … f_n and c_0 … c_n, each (n_steps + 1, n_train, n_out), by the definitions alone."""
    initial = np.zeros_like(noisy) if initial is None else initial
    teacher, warm_up = taught_by.teacher, taught_by.warm_up
    outputs, dual, velocity = initial, 0 * noisy, 0 * noisy
    seen, average = [(outputs, dual)], initial
    length = getattr(teacher, "epoch_length", 0)  # none
    for step in range(n_steps):
        clock = max(step - warm_up, 0)
        if isinstance(teacher, sv.Pretrained):
            taught = np.asarray(teacher.outputs)
        elif isinstance(teacher, sv.ExponentialMovingAverage):
            decay = teacher.decay if clock else 0
            average = taught = decay * average + (1 - decay) * outputs
        elif not length:
            taught = outputs
        else:
            taught = seen[step - clock % length][0]
        index = clock // length if length else clock
        weight = 1 if step < warm_up else taught_by.schedule(index, taught, noisy)
        target = weight * noisy + (1 - weight) * taught_by.label(taught)
        restarts = isinstance(teacher, sv.Restart) and step >= warm_up
        if restarts and clock % length == 0:
            outputs, dual, velocity = initial, 0 * noisy, 0 * noisy
        gradient = descent.link(outputs) - target
        velocity = descent.momentum * velocity - descent.rate * gradient
        dual = dual + velocity
        outputs = initial + kernel @ dual
        seen.append((outputs, dual))
    return tuple(np.stack(parts) for parts in zip(*seen, strict=True))


def a_problem(n_out, *, n=24, flipped=0.3, seed=0):
    """Kernel, clean and noisy labels, and some non-zero f_0, at random."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(n, n + 2))
    kernel = factor @ factor.T / n
    flips = rng.random(n) < flipped
    if n_out == 1:
        clean = np.sign(rng.normal(size=(n, 1)))
        noisy = np.where(flips[:, None], -clean, clean)
    else:
        classes = rng.integers(0, n_out, n)
        other = (classes + rng.integers(1, n_out, n)) % n_out
        coding = np.eye(n_out) - 1 / n_out
        clean, noisy = coding[classes], coding[np.where(flips, other, classes)]
    return kernel, clean, noisy, 0.1 * rng.normal(size=noisy.shape)


def clusters(flipped, *, n_clusters=4, size=15, seed=0):
    """Tight clusters with one label each, exactly ``flipped`` of each cluster's labels wrong."""
    rng = np.random.default_rng(seed)
    centres, _ = np.linalg.qr(rng.normal(size=(12, n_clusters)))
    points = np.repeat(centres.T, size, axis=0) + 0.05 * rng.normal(size=(n_clusters * size, 12))
    squares = np.sum((points[:, None] - points[None]) ** 2, axis=2)
    clean = np.repeat(np.where(np.arange(n_clusters) % 2, 1.0, -1.0), size)[:, None]
    wrong = np.tile(np.arange(size) < round(flipped * size), n_clusters)
    noisy = np.where(wrong[:, None], -clean, clean)
    return np.exp(-squares / 2), clean, noisy
