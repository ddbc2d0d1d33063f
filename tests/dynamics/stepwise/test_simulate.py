"""Simulation against plain NumPy loops; how it starts, stops, resumes and refuses."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.learning_rate import RelativeRate
from ntk_air.dynamics.run.losses import CrossEntropy, SquareLoss
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.stepwise.stepping import (
    SimulationState,
    StepData,
    _advance_on_device,
    start,
)
from ntk_air.kernels.operators.operator import DenseKernel, KernelOperator
from ntk_air.problem import HeldOut, Labels, Problem
from tests.dynamics import supervised
from tests.dynamics.runs import follow, problem_of
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers
from tests.helpers.type_checks import without_type_checks


class Factored(KernelOperator):
    """FFᵀ, of which only the factor is held."""

    factor: jax.Array

    @property
    def shape(self):
        return (self.factor.shape[0], self.factor.shape[0])

    @property
    def dtype(self):
        return self.factor.dtype

    def matvec(self, vectors):
        return self.factor @ (self.factor.T @ vectors)

    def to_dense(self):
        raise AssertionError("a simulation needs products alone")

    def diagonal(self):
        return jnp.sum(self.factor**2, axis=1)


class OnHost(Factored):
    """The same by NumPy, as a kernel on disk: JAX cannot trace it."""

    def matvec(self, vectors):
        factor = np.asarray(self.factor)
        return jnp.asarray(factor @ (factor.T @ np.asarray(vectors)))


def factored(kind, kernel):
    return kind(jnp.asarray(np.linalg.cholesky(kernel)))


def self_distillation():
    return sv.Supervision(sv.Hard(), sv.Power(1.5), sv.LastEpoch(4), warm_up=2)


@pytest.mark.parametrize("kind", [Factored, OnHost])
def test_an_operator_known_by_its_products_gives_the_same(kind):
    kernel, clean, noisy, _ = supervised.a_problem(3)
    operator = factored(kind, kernel)
    dense = follow(kernel, noisy, self_distillation(), [0, 9, 30], method=Stepwise(), clean=clean)
    got = follow(operator, noisy, self_distillation(), [0, 9, 30], method=Stepwise(), clean=clean)
    np.testing.assert_allclose(got.final.predictions, dense.final.predictions, rtol=1e-10)
    for name, curve in got.curves().items():
        np.testing.assert_allclose(curve, dense.curves()[name], rtol=1e-9, err_msg=name)
    from_host = "stepped from the host: JAX cannot trace the kernel's products"
    assert got.notes == ((from_host,) if kind is OnHost else ())


@pytest.mark.parametrize("teacher", ["last_epoch", "average", "restart"])
def test_a_run_cut_short_goes_on_as_if_it_had_not_been(teacher):
    kernel, clean, noisy, initial = supervised.a_problem(3)
    supervision = sv.Supervision(sv.Hard(), sv.Harmonic(), supervised.TEACHERS[teacher])
    options = {"initial": initial, "clean": clean, "descent": Descent(0.1, momentum=0.5)}
    whole = follow(
        kernel, noisy, supervision, [0, 6, 13, 30], method=Stepwise(), store_at=[6, 30], **options
    )
    kept = []
    follow(
        kernel,
        noisy,
        supervision,
        [0, 6, 13, 30],
        method=Stepwise(checkpoint=kept.append, checkpoint_every=5),
        store_at=[6, 30],
        **options,
    )
    stops = [int(part.final.resume.step) for part in kept]
    assert stops == [0, 5, 6, 11, 13, 18, 23, 28, 30]
    for part in (kept[1], kept[3], kept[4]):
        rest = follow(
            kernel,
            noisy,
            supervision,
            [0, 6, 13, 30],
            method=Stepwise(resume=part),
            store_at=[6, 30],
            **options,
        )
        assert eqx.tree_equal(rest, whole)


def test_a_diverging_run_stops_and_says_so():
    kernel, clean, noisy, _ = supervised.a_problem(3)
    got = follow(
        kernel,
        noisy,
        sv.plain_descent(),
        [0, 10, 10**6],
        method=Stepwise(),
        descent=Descent(RelativeRate(3.0), allow_divergence=True),
        clean=clean,
    )
    stopped = got.times[-1]
    assert 900 < stopped < 1100  # 2^1024 overflows
    assert got.notes == (
        f"stopped at step {stopped:.0f} of 1000000: the next outputs are not finite: "
        "the run diverged, lower the learning rate",
    )
    assert np.isfinite(got.final.predictions).all()
    with pytest.raises(ValueError, match=f"resume must be a run that can go on.*{stopped:.0f}"):
        follow(kernel, noisy, sv.plain_descent(), [10**7], method=Stepwise(resume=got))


def test_a_schedule_that_leaves_its_range_during_the_run_stops_it():
    kernel, clean, noisy, _ = supervised.a_problem(3)
    supervision = sv.Supervision(sv.Hard(), supervised.OutputNorm())
    got = follow(kernel, noisy, supervision, [0, 99], method=Stepwise(), clean=clean)
    stopped = int(got.times[-1])
    assert got.notes == (
        f"stopped at step {stopped} of 99: its schedule gave a weight outside [0, 1]",
    )
    assert np.linalg.norm(got.final.predictions) > 1
    before = follow(kernel, noisy, supervision, [stopped - 1], method=Stepwise(), clean=clean)
    assert np.linalg.norm(before.final.predictions) <= 1


def test_a_converged_run_stops_and_one_that_has_not_says_so():
    kernel, clean, noisy, _ = supervised.a_problem(3)
    kernel = kernel + 2 * np.eye(24)
    run = {"clean": clean, "method": Stepwise(converged_below=1e-6)}
    got = follow(kernel, noisy, sv.plain_descent(), [0, 10**5], **run)
    assert got.times[-1] < 10**3
    assert "converged: the gradient is below converged_below" in got.notes[0]
    assert got.train.residual_norm[-1] <= 1e-6 * np.linalg.norm(noisy)
    before = follow(
        kernel, noisy, sv.plain_descent(), [int(got.times[-1]) - 1], method=Stepwise(), clean=clean
    )
    assert before.train.residual_norm[-1] > 1e-6 * np.linalg.norm(noisy)
    short = follow(kernel, noisy, sv.plain_descent(), [3], **run)
    assert short.notes == ("not converged: the gradient is above converged_below at step 3",)


def test_the_default_rate_and_lambda_max_are_found():
    kernel, _, noisy, _ = supervised.a_problem(3)
    largest = np.linalg.eigvalsh(kernel)[-1]
    problem = Problem(Labels(noisy), kernel)
    np.testing.assert_allclose(problem.largest_eigenvalue, largest, rtol=1e-12)
    single = Problem(Labels(np.ones((1, 1))), np.array([[3.0]]))
    np.testing.assert_allclose(single.largest_eigenvalue, 3.0)
    got = solve(problem, sv.plain_descent(), [1], Stepwise())
    np.testing.assert_allclose(got.learning_rate, 1 / largest, rtol=1e-12)
    assert got.rule == "SquareLoss, gradient descent, Identity × Constant × CurrentStep, simulated"


def test_float32_follows_float64():
    kernel, clean, noisy, _ = supervised.a_problem(3)
    runs = [
        follow(
            kernel.astype(dtype),
            noisy,
            sv.Supervision(sv.Sharpened(0.2), sv.Power(1.5), sv.ExponentialMovingAverage(0.5)),
            [0, 50],
            method=Stepwise(),
            descent=Descent(momentum=0.3),
            clean=clean,
        )
        for dtype in (np.float32, np.float64)
    ]
    assert runs[0].final.predictions.dtype == runs[0].train.rms_distance.dtype == np.float32
    np.testing.assert_allclose(runs[0].final.predictions, runs[1].final.predictions, atol=1e-5)


def a_compiled_problem(teacher, loss):
    kernel, _, noisy, _ = supervised.a_problem(3)
    noisy = jnp.asarray(noisy)
    return StepData(
        operator=DenseKernel(jnp.asarray(kernel)),
        initial=0 * noisy,
        noisy=noisy,
        supervision=loss.supervise(sv.Supervision(sv.Hard(), sv.Agreement(), teacher)),
        loss=loss,
        learning_rate=jnp.asarray(0.1),
        momentum=jnp.asarray(0.0),
        converged_below=jnp.asarray(-1.0),
    )


@pytest.mark.parametrize("loss", [SquareLoss(), CrossEntropy()])
@pytest.mark.parametrize("teacher", [sv.CurrentStep(), sv.Restart(3)])
def test_the_loop_lowers_for_every_platform(teacher, loss):
    problem = a_compiled_problem(teacher, loss)
    arrays, static = eqx.partition((problem, start(problem)), eqx.is_array)

    def run(arrays, until):
        problem, state = eqx.combine(arrays, static)
        return _advance_on_device(problem, state, until)

    assert_lowers(run, arrays, jnp.asarray(9, jnp.int32))


def test_other_times_temperatures_and_rates_compile_nothing():
    kernel, clean, noisy, _ = supervised.a_problem(3)

    def run(temperature, rate, times):
        supervision = sv.Supervision(sv.Sharpened(temperature), sv.Agreement())
        follow(
            DenseKernel(kernel),
            noisy,
            supervision,
            times,
            method=Stepwise(),
            descent=Descent(rate),
            clean=clean,
        )

    run(0.1, 0.01, [0, 3, 50])
    with count_compilations() as compiled:
        run(0.2, 0.02, [0, 10, 20, 90])
    assert compiled == []


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"times": []}, r"times must be a non-empty list of steps; got shape \(0,\)"),
        ({"times": [0, 2.5]}, r"times must be whole numbers of steps, at least 0; got \[2.5\]"),
        ({"times": [-1, 2]}, r"times must be whole numbers of steps, at least 0; got \[-1.0\]"),
        ({"times": [3, np.inf]}, r"times must be whole numbers of steps, at least 0; got \[inf\]"),
        ({"times": [3, 3]}, "times must be ascending, none twice; got 3 before 3"),
        ({"store_at": [4]}, r"store_at must be among times; got \[4.0\]"),
        (
            {"noisy": np.ones((9, 3)), "clean": None, "initial": None},
            r"noisy must have one row.*kernel's 24 inputs.*\(9, 3\)",
        ),
        ({"clean": np.ones((24, 1))}, r"clean must have noisy's shape \(24, 3\); got \(24, 1\)"),
        ({"initial": np.full((24, 3), np.nan)}, "initial must be finite; got NaN.* in 24 rows"),
        ({"descent": lambda: Descent(RelativeRate(2.0))}, r"learning_rate must lie below .*λ₁ = "),
        ({"descent": lambda: Descent(-1.0)}, "rate must be a finite number above 0; got -1.0"),
        ({"descent": lambda: Descent(momentum=1.0)}, "momentum must lie below 1"),
        ({"largest": -2.0}, "largest_eigenvalue must be a finite number above 0; got -2.0"),
        (
            {"method": lambda: Stepwise(converged_below=0.0)},
            "converged_below must be a finite number above 0; got 0.0",
        ),
        (
            {"method": lambda: Stepwise(checkpoint_every=0)},
            "checkpoint_every must be a whole number, at least 1; got 0",
        ),
        (
            {"supervision": sv.Supervision(sv.Hard(), lambda i: 0.1 * i)},
            r"schedule must give weights in \[0, 1\]; got 1\.1.* at step 11",
        ),
        (
            {"supervision": sv.Supervision(jnp.cos, sv.Constant(0.5))},
            r"label_function must have no opinion at 0.*got h\(0\) = \[1.0, 1.0, 1.0\]",
        ),
        (
            {"held_out": HeldOut(np.ones((2, 5)), np.ones((2, 3)))},
            r"held_out must have \(n_train, n_out\) = \(24, 3\); got \(5, 3\)",
        ),
    ],
)
def test_bad_arguments_are_refused(changes, match):
    kernel, clean, noisy, initial = supervised.a_problem(3)
    labels = {"noisy": noisy, "clean": clean, "initial": initial, "held_out": None}
    asked = {"supervision": self_distillation(), "times": [0, 20], "store_at": ()}
    made = {"descent": Descent, "method": Stepwise}
    given = labels | asked | made | changes
    with pytest.raises(ValueError, match=match), without_type_checks():
        problem = problem_of(kernel, **{name: given[name] for name in labels})
        if "largest" in given:
            problem = problem.with_largest_eigenvalue(given["largest"])
        options = {name: given[name]() for name in made}
        times, store_at = given["times"], given["store_at"]
        solve(problem, given["supervision"], times, store_at=store_at, **options)


def test_what_cannot_be_resumed_is_refused():
    kernel, clean, noisy, _ = supervised.a_problem(3)
    done = follow(kernel, noisy, sv.plain_descent(), [9], method=Stepwise(), clean=clean)
    with pytest.raises(ValueError, match=r"times must reach step 9.*the last is 8"):
        follow(kernel, noisy, sv.plain_descent(), [8], method=Stepwise(resume=done))
    with pytest.raises(ValueError, match=r"resume must be a run of shape \(24, 1\) float64"):
        follow(kernel, noisy[:, :1], sv.plain_descent(), [10], method=Stepwise(resume=done))
    stateless = eqx.tree_at(lambda t: t.final.resume, done, None)
    with pytest.raises(ValueError, match="a trajectory of Stepwise or EventDriven: it holds no"):
        follow(kernel, noisy, sv.plain_descent(), [10], method=Stepwise(resume=stateless))
    assert isinstance(done.final.resume, SimulationState)


def test_held_out_arrays_must_agree():
    refusal = pytest.raises(ValueError, match=r"share n_test and n_out; got cross_kernel \(2, 5\)")
    with refusal, without_type_checks():
        HeldOut(np.ones((2, 5)), np.ones((3, 1)))
    with pytest.raises(ValueError, match="held_out targets must be finite"):
        HeldOut(np.ones((2, 5)), np.full((2, 1), np.inf))
