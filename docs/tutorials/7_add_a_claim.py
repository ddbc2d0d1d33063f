"""
7. Add a claim
==============

A claim is a proposition with a prediction, an independent measurement and a negative control: the same comparison with a
premise broken, which must not agree. ``verify`` checks it on any problem.
"""

# %%
# As an example: gradient descent on the noisy labels has, after t steps, retrieved tr g_t(Θ) effective parameters, and this
# is the trace of the map from labels to outputs (Simon et al. 2023 call it a budget).

import jax
import numpy as np

import ntk_air as na
from ntk_air.claims import agreement, claim

jax.config.update("jax_enable_x64", True)

# %%
# The decorator takes a name, the statement, its source, and the control in words with the argument that breaks the
# premise. The first line of the docstring says what is compared with what. The function computes both sides by ways that
# share as little as they can: eigenvalues here, plain steps on other labels there.


@claim(
    "mine",
    "The trace of the map from labels to outputs of t steps is Σ_j 1 − (1 − ηλ_j)ᵗ",
    source="linear algebra; theory.md section 2",
    control=("one step more in the formula", {"extra": 1}),
)
def effective_parameters(problem, *, extra=0):
    """The sum over eigenvalues against plain steps from each unit vector as labels."""
    steps, rate = 20, problem.learning_rate
    decay = 1 - rate * np.asarray(problem.spectrum.eigenvalues)
    predicted = np.sum(1 - decay ** (steps + extra))
    units = na.Labels(np.eye(problem.n_train))
    stepped = na.solve(na.Problem(units, problem.theta), na.Descent(rate), [steps], na.Stepwise())
    return agreement(predicted, np.trace(stepped.final.predictions), tolerance=1e-9)


# %%
# Verify it on some data set with label noise, beside one of the package.

clusters = na.load_dataset("clusters", n_train=80, n_test=0)
data = clusters.with_label_noise(na.SymmetricNoise(0.2, exact=True), seed=0)
problem = na.make_problem(data, na.DenseNTK(depth=2))
for verdict in [*na.verify(problem, [effective_parameters]), *na.verify(problem, ["1a"])]:
    measured, control = verdict.measurement, verdict.control
    print(
        f"{verdict.claim.name} {verdict.status}: {measured.measured:.6g} {measured.sign} ", end=""
    )
    print(f"{measured.predicted:.6g}, error {measured.error:.0e}, control {control.error:.0e}")

# %%
# A claim that is wrong fails, and one whose control passes too is no test: both verdicts make ``ntk-air verify`` exit
# with 1. Here the formula of one step too many, and a control that breaks nothing.

wrong = claim("wrong", "One step too many", source="nobody", control=("nothing", {"extra": 0}))
empty = claim("empty", "The same", source="nobody", control=("nothing", {"extra": 0}))


@wrong
def one_step_more(problem, *, extra=0):
    """The sum over one step more against plain steps."""
    return effective_parameters.measure(problem, extra=1)


@empty
def without_control(problem, *, extra=0):
    """The sum over eigenvalues against plain steps, with nothing broken in the control."""
    return effective_parameters.measure(problem, extra=extra)


print([verdict.status for verdict in na.verify(problem, [one_step_more, without_control])])

# %%
# Premises that a problem does not fulfil are said by ``raise ntk_air.claims.DoesNotApply("…")``; bounds and limits by
# ``at_most``, ``at_least`` and ``tends_to`` in place of ``agreement``. A claim of the package lies in ``ntk_air/claims/``,
# with its proposition in :doc:`/theory`; a name there is found by ``ntk-air verify --claims``.
