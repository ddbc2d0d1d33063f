"""What claims of other theories ask of a problem, and the points that they are checked on."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from ntk_air.claims.comparison import DoesNotApply
from ntk_air.data.draws import generator, normal_numbers, shuffled
from ntk_air.problem import Problem

EXACT = 1e-9
"""Of identities, relative: what rounding may leave at condition numbers up to 10⁶."""


@dataclasses.dataclass(frozen=True)
class Population:
    """All training inputs of a problem as the whole world, of which some rows are trained on.

    Attributes:
        theta: the kernel between all points, (M, M).
        rows: the rows trained on, (n,).
    """

    theta: Float[np.ndarray, "M M"]
    rows: Int[np.ndarray, " n"]

    @property
    def cross(self) -> Float[np.ndarray, "M n"]:
        """The kernel from all points to those trained on."""
        return self.theta[:, self.rows]

    @property
    def train(self) -> Float[np.ndarray, "n n"]:
        """The kernel between the points trained on."""
        return self.theta[np.ix_(self.rows, self.rows)]

    @property
    def others(self) -> Int[np.ndarray, " m"]:
        """The rows not trained on."""
        return np.setdiff1d(np.arange(len(self.theta)), self.rows)


def population(problem: Problem, *, share: float = 0.5) -> Population:
    """The training inputs, a random share of them to train on."""
    size = problem.n_train
    if size < 8:
        raise DoesNotApply(f"{size} inputs are too few to train on a part of them")
    order = shuffled(np.arange(size), generator(problem.seed, "population"))
    return Population(np.asarray(problem.theta), np.sort(order[: int(share * size)]))


def random_function(problem: Problem, *, n_out: int = 3) -> Float[np.ndarray, "M n_out"]:
    """Coefficients a of functions Θ(·, X)a in the kernel's space, one for each output."""
    rng = generator(problem.seed, "function in the kernel's space")
    return normal_numbers(rng, (problem.n_train, n_out))


def clean_labels(problem: Problem) -> Float[np.ndarray, "n n_out"]:
    """The clean labels, where they are known."""
    if problem.labels.clean is None:
        raise DoesNotApply("the clean labels are not known")
    return np.asarray(problem.labels.clean)


def require_inverse(problem: Problem) -> None:
    """Refuse a kernel that has no inverse in this precision."""
    if problem.spectrum.n_below_precision:
        raise DoesNotApply(f"{problem.spectrum.n_below_precision} modes below precision: no Θ⁻¹")


def relu_kernel(x1: np.ndarray, x2: np.ndarray) -> Float[np.ndarray, "n1 n2"]:
    """The NTK of a two-layer ReLU network without biases, by plain NumPy: nothing to compile.

    |x||x′|(sin θ + 2(π − θ)cos θ)/π at the angle θ: that of ``DenseNTK(depth=2)`` times d/2.
    """
    cosine, angle, norms = _angles(x1, x2)
    return norms * (np.sin(angle) + 2 * (np.pi - angle) * cosine) / np.pi


def gaussian_kernel(x1: np.ndarray, x2: np.ndarray) -> Float[np.ndarray, "n1 n2"]:
    """exp(−‖x − x′‖²): smooth where the ReLU kernel has a kink."""
    return np.exp(-np.sum((x1[:, None, :] - x2[None, :, :]) ** 2, axis=2))


def _angles(x1: np.ndarray, x2: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines and angles between all pairs, and the products of their lengths."""
    sizes1, sizes2 = (np.linalg.norm(each, axis=1, keepdims=True) for each in (x1, x2))
    units1, units2 = x1 / sizes1, x2 / sizes2
    # By the chord: the arc cosine would lose half of the digits of a small angle.
    chords = np.linalg.norm(units1[:, None, :] - units2[None, :, :], axis=2)
    angles = 2 * np.arcsin(np.minimum(chords / 2, 1))
    return np.cos(angles), angles, sizes1 * sizes2.T
