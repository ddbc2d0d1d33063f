"""Signal channel and reservoir: which noise reaches new inputs."""

import numpy as np

from ntk_air.claims.comparison import Measurement, array_agreement, claim
from ntk_air.claims.neighbours.premises import EXACT, Population, population, require_inverse
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.problem import Problem

SOURCE = "Litman, Guo 2026; docs/theory.md, 11-litman"
TIMES = (30, 300, 1000)
TOP = 0.1


@claim(
    "11-litman",
    "Outputs move on new inputs by Θ_*Θ⁻¹ times what they move on training inputs, at any time",
    source=SOURCE,
    control=("a network whose labels differ outside", {"shifted": True}),
)
def displacement(problem: Problem, *, shifted: bool = False) -> Measurement:
    """That map of the training outputs against 1,000 plain steps on both."""
    require_inverse(problem)
    world = population(problem)
    noise = normal_numbers(generator(problem.seed, "noise"), (len(world.rows), 2))
    train, new = stepped(world, noise)
    if shifted:
        train = np.roll(train, 1, axis=1)
    onto = np.linalg.solve(world.train, world.cross[world.others].T).T
    return array_agreement(onto @ train, new, tolerance=EXACT)


@claim(
    "11-litman-reservoir",
    "Noise in low modes is damped on new inputs, ‖Σ_j (g_j/λ_j)(v_jᵀζ)Θ_*v_j‖², not invisible",
    source=SOURCE,
    control=("as much noise in the top tenth of the modes", {"top": True}),
)
def reservoir(problem: Problem, *, top: bool = False) -> Measurement:
    """Formula for noise in the lower nine tenths against plain steps, test energies at three times.

    As the paper has it, of evolving kernels, the kernel of the dissipation cannot be seen on test
    inputs; of a frozen kernel with all λ_j > 0 no mode is quite in it.
    """
    world = population(problem)
    values, basis = np.linalg.eigh(world.train)
    noise = normal_numbers(generator(problem.seed, "noise"), (len(world.rows), 2))
    split = len(values) - max(1, int(TOP * len(values)))
    low = basis[:, :split] @ (basis[:, :split].T @ noise)
    high = basis[:, split:] @ (basis[:, split:].T @ noise)
    high *= np.linalg.norm(low) / np.linalg.norm(high)
    _, new = stepped(world, high if top else low)
    rates = values / values[-1]
    onto = world.cross[world.others] @ basis
    predicted = []
    for time in TIMES:
        dual = (1 - (1 - rates) ** time) / values
        predicted.append([np.sum((onto @ (dual[:, None] * (basis.T @ low))) ** 2)])
    measured = np.sum(new**2, axis=(1, 2))[:, None]
    return array_agreement(np.array(predicted), measured, tolerance=EXACT)


def stepped(world: Population, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs on training and on new inputs at ``TIMES``, by plain steps of the dual variables."""
    rate, dual = 1 / np.linalg.eigvalsh(world.train)[-1], np.zeros_like(labels)
    train, new = [], []
    for step in range(1, TIMES[-1] + 1):
        dual = dual - rate * (world.train @ dual - labels)
        if step in TIMES:
            train.append(world.train @ dual)
            new.append(world.cross[world.others] @ dual)
    return np.stack(train), np.stack(new)
