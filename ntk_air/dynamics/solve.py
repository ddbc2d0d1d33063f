"""One verb: follow a rule on a problem, by whichever method can."""

from ntk_air._base.checks import check_kind
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.event_driven.event_driven import EventDriven
from ntk_air.dynamics.filters.spectral import SpectralRule
from ntk_air.dynamics.method import Method, Request, Rule
from ntk_air.dynamics.rounds import ByRounds
from ntk_air.dynamics.rules import Descent, Flow
from ntk_air.dynamics.run.inputs import Steps
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import Rounds, Supervision
from ntk_air.problem import Problem

_IN_ORDER: tuple[Method, ...] = (ClosedForm(), ByRounds(), EventDriven(), Stepwise())
"""All methods, the fastest first."""


class Auto(Method):
    """The fastest method that can follow the rule: closed form, rounds, events, then steps.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> problem = na.Problem(na.Labels(np.array([[1.0], [-1.0]])), np.diag([2.0, 1.0]))
    >>> na.solve(problem, na.Descent(), [0, 10], method=na.Auto()).rule  # no spectrum: products
    'SquareLoss, gradient descent, Identity × Constant × CurrentStep, simulated'
    """

    def choose(self, problem: Problem, rule: Rule, request: Request) -> Method:
        """The method that is taken.

        Raises:
            ValueError: no method can follow the rule on this problem; says why, method by method.
        """
        obstacles = {}
        for method in _IN_ORDER:
            obstacle = method.obstacle(problem, rule, request)
            if not obstacle:
                return method
            obstacles[type(method).__name__] = obstacle
        reasons = "; ".join(f"{name}: {why}" for name, why in obstacles.items())
        raise ValueError(f"no method can follow {type(rule).__name__} here ({reasons})")

    def obstacle(self, problem: Problem, rule: Rule, request: Request) -> str:
        """What keeps every method from following the rule; empty if one can."""
        try:
            self.choose(problem, rule, request)
        except ValueError as error:
            return str(error)
        return ""

    def follow(self, problem: Problem, rule: Rule, request: Request) -> Trajectory:
        """The trajectory by the chosen method."""
        return self.choose(problem, rule, request).follow(problem, rule, request)


def solve(
    problem: Problem,
    rule: Rule,
    times: Steps | None = None,
    method: Method | None = None,
    *,
    descent: Descent | None = None,
    store_at: Steps = (),
) -> Trajectory:
    """Follow a rule on a problem, from f_0 on (theory.md sections 0, 1 and 6).

    Outputs are f_t = f_0 + Θc_t. Methods, whose options are their arguments, agree to rounding.

    Args:
        problem: kernel and labels; its clean labels are only measured against.
        rule: what is followed: ``Descent`` or ``Flow`` on the noisy labels, a ``Supervision`` of
            each step, ``Rounds`` of self-distillation, or a spectral rule of ``filters``.
        times: steps to record at, (n_time,), ascending from 0; whole numbers for all but
            ``Flow``. The run ends at the last. ``None`` for ``Rounds``, which have their own.
        method: ``ClosedForm()``, ``Stepwise()``, ``EventDriven()`` or ``ByRounds()``; ``None`` is
            ``Auto()``, the fastest that can.
        descent: descent on the targets of a ``Supervision`` or of ``Rounds``; ``None`` is
            ``Descent()``, η = 1/λ₁ without momentum. Other rules carry their own rate.
        store_at: steps at which the outputs are kept as well, (n_stored,); of those in ``times``.

    Returns:
        Metrics at all times, outputs where asked, the final state. ``notes`` say what fell short.

    Raises:
        ValueError: a rule that the method cannot follow, naming those that can; times that do not
            ascend or suit the rule; a rate that diverges; weights off [0, 1]; an indefinite kernel.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> theta = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> labels = na.Labels(noisy=np.array([[1.0], [-1.0]]), clean=np.array([[1.0], [1.0]]))
    >>> run = na.solve(na.Problem(labels, theta, na.decompose(theta)), na.Descent(), [0, 1, 100])
    >>> [round(float(d), 6) for d in run.train.rms_distance]
    [1.0, 1.054093, 1.414214]
    """
    check_kind("problem", problem, Problem)
    check_kind("descent", descent, Descent, type(None))
    _check_rule(rule, descent)
    carried = rule if isinstance(rule, Descent) else descent
    request = Request(times, store_at, Descent() if carried is None else carried)
    chosen = Auto() if method is None else method
    if not isinstance(chosen, Method):
        raise ValueError(f"method must be an object such as Stepwise(); got {chosen!r}")
    obstacle = chosen.obstacle(problem, rule, request)
    if not obstacle:
        return chosen.follow(problem, rule, request)
    if isinstance(chosen, Auto):
        raise ValueError(obstacle)
    can = [each for each in _IN_ORDER if not each.obstacle(problem, rule, request)]
    names = " and ".join(f"{type(each).__name__}()" for each in can)
    raise ValueError(
        f"method {type(chosen).__name__} cannot follow {type(rule).__name__} here: {obstacle}; "
        + (f"{names} can" if can else "no method can")
    )


def _check_rule(rule: Rule, descent: Descent | None) -> None:
    if not isinstance(rule, Descent | Flow | SpectralRule | Supervision | Rounds):
        raise ValueError(
            "rule must be Descent, Flow, Supervision, Rounds or a spectral rule; got "
            f"{type(rule).__name__}"
        )
    if descent is not None and not isinstance(rule, Supervision | Rounds):
        raise ValueError(
            f"descent belongs to Supervision and Rounds: {type(rule).__name__} carries its own "
            f"rate; got {descent}"
        )
