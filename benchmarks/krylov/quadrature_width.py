"""How narrow label quadrature's enclosures are after m products, and whether they hold the truth.

A kernel of n inputs is decomposed densely; label quadrature multiplies with it m times, in float64
and in float32. Asked for are decays at times from 0 to ∞, by descent and by flow, of clean labels
and of centred noise, and the AIR-AUC: each with its width and with whether the truth lies inside.
Beside them stands the width of each column's own Gauss and Gauss-Radau rules alone.

Cases: ``mnist``, the infinite-width ReLU kernel of depth 3 with 40 % symmetric noise, where the
files are there; ``power_law``, eigenvalues j^-1.5 with labels that live in the large ones and
isotropic noise, which needs no files. Rows of other cases that lie in the folder stay there.
"""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from benchmarks.krylov.quadrature_width_figure import print_table, save_figures
from ntk_air._base import files
from ntk_air.air.area import area_under_curve
from ntk_air.air.enclosures import air_curve_enclosure
from ntk_air.air.rates import Dynamics, rates_of
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.operators.operator import DenseKernel
from ntk_air.lab.config import DataConfig, ExperimentConfig
from ntk_air.lab.provenance import device_state, package_versions, source_state
from ntk_air.spectrum.krylov import SpectralMeasure, label_quadrature
from ntk_air.spectrum.krylov.measure import remaining

DYNAMICS: tuple[Dynamics, ...] = ("descent", "flow")
STEPS = np.append(np.unique(np.round(np.append(np.arange(10), np.geomspace(10, 1e9, 150)))), np.inf)


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    case: str | None = None
    """mnist or power_law; by default both."""
    n: int = 4000
    """Inputs."""
    products: tuple[int, ...] = (1, 2, 3, 5, 7, 10, 14, 20, 28, 40)
    """The numbers of products m."""
    data_dir: Path | None = None
    """Folder of the MNIST files; else NTK_AIR_DATA and the usual places."""
    out: Path = Path("runs/quadrature_width")
    """Folder for results.json, manifest.json and the figures."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A kernel with its decomposition, and labels.

    Attributes:
        matrix: Θ in float32: the same kernel to the bit in both precisions.
        eigenvalues: of Θ, ascending, none below 0.
        shares: of each label matrix' energy, by eigenvalue.
        labels: clean labels and centred noise, (n, n_column) each.
    """

    matrix: np.ndarray
    eigenvalues: np.ndarray
    shares: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]


def main(config: Config) -> None:
    """Measure each case, print the table, save rows and figures."""
    if config.case is not None and config.case not in CASES:
        raise ValueError(f"case must be one of {', '.join(CASES)}; got {config.case!r}")
    config.out.mkdir(parents=True, exist_ok=True)
    for case, build in CASES.items():
        if config.case not in (None, case):
            continue
        print(f"{case}: the dense decomposition", file=sys.stderr)
        problem = build(config)
        rows = [row | {"case": case, "n": config.n} for row in measured(problem, config)]
        save(config, case, rows)
    rows = files.read_json(config.out / "results.json")["rows"]
    print_table(rows)
    save_figures(rows, config.out)


def mnist(config: Config) -> Problem:
    """Handwritten digits under the kernel of a dense network."""
    data = DataConfig("mnist", data_dir=config.data_dir, n_train=config.n, n_test=0)
    experiment = ExperimentConfig(data=data)
    dataset = experiment.load()
    kernel, _ = experiment.kernel.build(dataset, seed=0, precision="float64")
    theta = np.asarray(gram_matrix(kernel, dataset.inputs.astype(np.float64)))
    noisy = dataset.with_label_noise(experiment.noise.build(), seed=0)
    labels = {
        "signal": np.asarray(noisy.clean_targets(), np.float64),
        "noise": np.asarray(noisy.noisy_targets() - noisy.expected_noisy_targets(), np.float64),
    }
    return decomposed(theta, labels)


def power_law(config: Config) -> Problem:
    """Eigenvalues that fall as a power, in a basis of two reflections."""
    rng = np.random.default_rng(0)
    values = np.arange(1.0, config.n + 1) ** -1.5
    basis = np.eye(config.n)
    for _ in range(2):
        normal = rng.standard_normal((config.n, 1))
        normal /= np.linalg.norm(normal)
        basis -= 2 * normal @ (normal.T @ basis)
    labels = {
        "signal": basis @ (values[:, None] ** 0.5 * rng.standard_normal((config.n, 3))),
        "noise": rng.standard_normal((config.n, 3)),
    }
    return decomposed((basis * values) @ basis.T, labels)


CASES: dict[str, Callable[[Config], Problem]] = {"mnist": mnist, "power_law": power_law}


def decomposed(theta: np.ndarray, labels: dict[str, np.ndarray]) -> Problem:
    """The problem of a kernel rounded to float32."""
    matrix = ((theta + theta.T) / 2).astype(np.float32)
    values, vectors = np.linalg.eigh(matrix.astype(np.float64))
    energies = {name: np.sum((vectors.T @ u) ** 2, axis=1) for name, u in labels.items()}
    shares = {name: energy / energy.sum() for name, energy in energies.items()}
    return Problem(matrix, np.maximum(values, 0), shares, labels)


def measured(problem: Problem, config: Config) -> Iterator[dict[str, Any]]:
    """A row for each precision, number of products, dynamics and label matrix, and for the AUC."""
    for precision in ("float64", "float32"):
        operator = DenseKernel(problem.matrix.astype(precision))
        quadrature = label_quadrature(operator, problem.labels, max(config.products))
        for m in config.products:
            print(f"{precision}, {m} products", file=sys.stderr)
            measures = quadrature.measures(n_products=min(m, quadrature.n_products))
            for dynamics in DYNAMICS:
                head = {"precision": precision, "products": m, "dynamics": dynamics}
                for name, measure in measures.items():
                    yield head | {"labels": name} | decay_row(problem, name, measure, dynamics)
                yield head | {"labels": "both"} | area_row(problem, measures, dynamics)


def decay_row(
    problem: Problem, name: str, measure: SpectralMeasure, dynamics: Dynamics
) -> dict[str, Any]:
    """Brackets of a decay at all times, against the truth."""
    rate = 1 / problem.eigenvalues[-1]
    found = measure.decay(STEPS, learning_rate=rate, dynamics=dynamics)
    finite = STEPS[:-1]
    truth = remaining(problem.eigenvalues, finite, rate, dynamics) @ problem.shares[name]
    at_the_end = np.sum(problem.shares[name][problem.eigenvalues == 0])
    # A decay begins at 1; the reference's sum may round to either side of it.
    truth = np.where(STEPS == 0, 1, np.minimum(np.append(truth, at_the_end), 1))
    inside = (found.lower <= truth) & (truth <= found.upper)
    rules = [(column.gauss(), column.radau(0.0)) for column in measure.columns]
    columns = sum(
        remaining(radau.nodes, finite, rate, dynamics) @ radau.weights
        - remaining(gauss.nodes, finite, rate, dynamics) @ gauss.weights
        for gauss, radau in rules
    )
    return {
        "times": len(STEPS),
        "contained": bool(found.contains(truth)),
        "contained_times": int(np.sum(inside)),
        "steps_outside": STEPS[~inside],
        "widest": float(found.width.max()),
        "widest_of_column_rules_alone": float(np.max(columns) / measure.energy),
        "largest_error_of_estimate": float(np.abs(found.estimate - truth).max()),
        "uncertainty_over_lambda_max": measure.uncertainty / measure.largest_eigenvalue,
        "width": found.width,
    }


def area_row(
    problem: Problem, measures: dict[str, SpectralMeasure], dynamics: Dynamics
) -> dict[str, Any]:
    """The enclosure of the AIR-AUC, against the truth."""
    rate = 1 / problem.eigenvalues[-1]
    found = air_curve_enclosure(
        measures["signal"], measures["noise"], learning_rate=rate, dynamics=dynamics
    ).area
    floor = len(problem.eigenvalues) * np.finfo(np.float64).eps * problem.eigenvalues[-1]
    rates = rates_of(problem.eigenvalues, rate, zero_floor=floor, dynamics=dynamics)
    shares = [jax.numpy.asarray(problem.shares[name])[None] for name in ("signal", "noise")]
    truth = float(area_under_curve(rates, *shares, dynamics=dynamics)[0])
    return {
        "contained": bool(found.contains(np.array([truth]))),
        "air_auc": truth,
        "lower": float(found.lower[0]),
        "upper": float(found.upper[0]),
        "widest": float(found.width[0]),
        "largest_error_of_estimate": abs(float(found.estimate[0]) - truth),
    }


def save(config: Config, case: str, rows: list[dict[str, Any]]) -> None:
    """Put the rows of a case, and how they came about, in place of those that lie there."""
    results, manifest = config.out / "results.json", config.out / "manifest.json"
    old = files.read_json(results)["rows"] if results.exists() else []
    kept = [row for row in old if row["case"] != case]
    files.write_json(results, {"steps": STEPS[:-1], "rows": kept + rows})
    cases = files.read_json(manifest) if manifest.exists() else {}
    found = {
        "command": shlex.join(
            ["python", "-m", "benchmarks.krylov.quadrature_width", *sys.argv[1:]]
        ),
        "config": dataclasses.asdict(config) | {"out": None, "data_dir": None},
        "device": device_state(),
        "package": source_state(),
        "versions": package_versions(),
    }
    files.write_json(manifest, cases | {case: found})


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    sys.exit(main(tyro.cli(Config, description=__doc__)))
