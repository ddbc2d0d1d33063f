"""Kernel-regime dynamics against its peers, in one run on one machine.

Metric curves at 200 times against ``neural_tangents.predict.gradient_descent_mse``, asked for all
times at once and for one after the other, beside two floors: the bare products of its outputs, and
the metrics alone of predictions that are there already. Plain steps of self-distillation against
bare products Θ·(n × outputs); the same run event by event against plain steps. Times are medians
after a warm-up; only ratios of one run are to be quoted.
"""

import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from ntk_air._base import files
from ntk_air.data import SymmetricNoise, load_dataset
from ntk_air.dynamics.closed_form.tally import tally
from ntk_air.dynamics.event_driven.event_driven import EventDriven
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.metrics import train_metrics
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import Hard, Power, Supervision
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.stax.compat import load_neural_tangents
from ntk_air.lab.provenance import device_state, package_versions, source_state
from ntk_air.problem import Problem, make_problem

_WARM_UP_STEPS = 20

_ROWS_AT_ONCE = 40
"""Rows whose predictions at all times stay in a processor's cache."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    dataset: str = "mnist5k"
    """Data set with ten classes."""
    n_train: int = 4000
    """Training inputs."""
    n_times: int = 200
    """Times of the metric curves."""
    n_steps: int = 10_000
    """Steps of self-distillation."""
    repeats: int = 3
    """Timings of each tool after a warm-up; the median counts."""
    out: Path = Path("runs/benchmark_dynamics")
    """Folder for results.json."""


def main(config: Config) -> None:
    """Measure, print the table, save the rows."""
    before = os.getloadavg()[0]
    problem = problem_of(config)
    rows = [*metric_curves(problem, config), *self_distillation(problem, config)]
    for row in rows:
        ratio = (
            "" if row["ratio_to_peer"] is None else f"{row['ratio_to_peer']:.3g} x {row['peer']}"
        )
        print(f"{row['case']:<20} {row['tool']:<66} {row['seconds']:>9.3f} s   {ratio}")
    config.out.mkdir(parents=True, exist_ok=True)
    content = {
        "rows": rows,
        "config": dataclasses.asdict(config) | {"out": None},
        "load_average": {"before": before, "after": os.getloadavg()[0]},
        "device": device_state(),
        "package": source_state(),
        "versions": package_versions(),
    }
    files.write_json(config.out / "results.json", content)


def problem_of(config: Config) -> Problem:
    """Images with 40 % label noise and a dense ReLU kernel of depth 3."""
    dataset = load_dataset(config.dataset, n_train=config.n_train, n_test=0).normalised()
    noisy = dataset.with_label_noise(SymmetricNoise(rate=0.4), seed=0)
    return make_problem(noisy, DenseNTK(depth=3))


def metric_curves(problem: Problem, config: Config) -> list[dict[str, Any]]:
    """All metrics of the training outputs at many times, each tool's own spectrum given."""
    times = np.unique(np.round(np.geomspace(1, 1e6, 2 * config.n_times)))[-config.n_times :]
    predict = load_neural_tangents().predict
    vectors, clean = jnp.asarray(problem.spectrum.eigenvectors), jnp.asarray(problem.clean)

    def ours() -> Any:
        run = solve(problem, Descent(), times)
        return jax.block_until_ready(run.train)

    product = jax.jit(jnp.matmul)
    modes = jnp.ones((len(vectors), len(times) * clean.shape[1]))

    def bare() -> jax.Array:
        return jax.block_until_ready(product(vectors, modes))

    @jax.jit
    def measured(outputs: jax.Array, noisy: jax.Array) -> Any:
        def one(predictions: jax.Array) -> Any:
            return train_metrics(predictions, clean, noisy, parameter_distance=jnp.zeros(()))

        return jax.vmap(one)(outputs)

    with jax.numpy_dtype_promotion("standard"):
        theta, noisy = jnp.asarray(problem.theta), jnp.asarray(problem.noisy)
        # Its time is s·n·C for the loss it trains on.
        predict_at = predict.gradient_descent_mse(theta, noisy)
        peer_times = jnp.asarray(times) * problem.learning_rate * noisy.size
        zero = jnp.zeros_like(noisy)

        def peer_outputs() -> jax.Array:
            return jax.block_until_ready(predict_at(peer_times, zero))

        def peer() -> Any:
            return jax.block_until_ready(measured(predict_at(peer_times, zero), noisy))

        def peer_one_by_one() -> None:
            for time_ in peer_times:
                jax.block_until_ready(measured(predict_at(time_, zero)[None], noisy))

        reference, peer_seconds = timed(peer, config.repeats)
        _, outputs_seconds = timed(peer_outputs, config.repeats)
        _, single_seconds = timed(peer_one_by_one, 1)
    _, bare_seconds = timed(bare, config.repeats)
    _, metrics_seconds = timed(metrics_alone(problem, len(times)), config.repeats)
    values, our_seconds = timed(ours, config.repeats)
    # The peer follows the flow, we follow descent: they meet once the top modes have settled.
    difference = float(np.max(np.abs(values.rms_distance - reference.rms_distance)))
    case, name = f"metric_curves_{config.n_times}", "neural_tangents.predict.gradient_descent_mse"
    single = f"{name}, one call a time"
    return [
        row(case, "bare products V·(n × times·outputs)", bare_seconds),
        row(case, "metrics alone, of given predictions", metrics_seconds),
        row(case, f"{name}, outputs alone", outputs_seconds),
        row(case, name, peer_seconds),
        row(case, single, single_seconds),
        row(case, "ntk_air ClosedForm", our_seconds, (name, peer_seconds))
        | {"max_abs_difference": difference},
        row(case, "ntk_air ClosedForm", our_seconds, (single, single_seconds)),
    ]


def metrics_alone(problem: Problem, n_times: int) -> Callable[[], Any]:
    """Margins and errors of predictions that are there, a few rows at all times after the other."""
    clean = jnp.asarray(problem.clean)
    n_chunks, n_out = len(clean) // _ROWS_AT_ONCE, clean.shape[1]
    labels = clean[: n_chunks * _ROWS_AT_ONCE].reshape(n_chunks, _ROWS_AT_ONCE, n_out)
    shape = (n_chunks, n_times, n_out, _ROWS_AT_ONCE)
    given = jax.random.normal(jax.random.key(0), shape, clean.dtype)

    @jax.jit
    def taken(given: jax.Array, labels: jax.Array) -> Any:
        def one(part: tuple[jax.Array, jax.Array]) -> Any:
            return tally(jnp.swapaxes(part[0], 1, 2), part[1], part[1])

        return jax.lax.map(one, (given, labels))

    return lambda: jax.block_until_ready(taken(given, labels))


def self_distillation(problem: Problem, config: Config) -> list[dict[str, Any]]:
    """Plain steps against bare products, the event-driven run against plain steps."""
    theta, block = jnp.asarray(problem.theta), jnp.asarray(problem.noisy)
    rate = problem.learning_rate
    rule = Supervision(Hard(), Power(exponent=1.5, scale=200.0), warm_up=500)

    @jax.jit
    def products(vectors: jax.Array, n_steps: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, n_steps, lambda _, v: rate * (theta @ v), vectors)

    def bare(n_steps: int = config.n_steps) -> jax.Array:
        return jax.block_until_ready(products(block, jnp.asarray(n_steps)))

    def plain(n_steps: int = config.n_steps) -> np.ndarray:
        run = solve(problem, rule, [n_steps], Stepwise())
        return np.asarray(run.final.predictions)

    def events() -> np.ndarray:
        run = solve(problem, rule, [config.n_steps], EventDriven())
        return np.asarray(run.final.predictions)

    # The long ones are warmed up by a few steps.
    bare(_WARM_UP_STEPS)
    _, bare_seconds = timed(bare, 1, warm=False)
    plain(_WARM_UP_STEPS)
    plain_outputs, plain_seconds = timed(plain, 1, warm=False)
    event_outputs, event_seconds = timed(events, config.repeats)
    case = f"self_distillation_{config.n_steps}"
    difference = float(np.max(np.abs(plain_outputs - event_outputs)))
    return [
        row(case, "bare products", bare_seconds),
        row(case, "ntk_air Stepwise", plain_seconds, ("bare products", bare_seconds)),
        row(case, "ntk_air EventDriven", event_seconds, ("ntk_air Stepwise", plain_seconds))
        | {"max_abs_difference": difference},
    ]


def row(
    case: str, tool: str, seconds: float, peer: tuple[str, float] | None = None
) -> dict[str, Any]:
    """One line of the table; the ratio is the peer's seconds over the tool's."""
    return {
        "case": case,
        "tool": tool,
        "seconds": seconds,
        "peer": None if peer is None else peer[0],
        "ratio_to_peer": None if peer is None else peer[1] / seconds,
    }


def timed(call: Callable[[], Any], repeats: int, *, warm: bool = True) -> tuple[Any, float]:
    """The result and the median seconds of a call, after one that is not counted."""
    result = call() if warm else None
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return result, statistics.median(seconds)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    sys.exit(main(tyro.cli(Config, description=__doc__)))
