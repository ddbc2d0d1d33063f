"""Which method can follow which rule, and the problems that they follow them on."""

import functools
import itertools

import numpy as np

from ntk_air.dynamics import filters
from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.event_driven.event_driven import EventDriven
from ntk_air.dynamics.rounds import ByRounds
from ntk_air.dynamics.rules import Descent, Flow
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.problem import HeldOut, Labels, Problem
from tests.dynamics import supervised
from tests.dynamics.reference import SPECTRA, kernel_with, noisy_problem, spectrum_of

N, N_TEST = 24, 5
IN_ORDER = (ClosedForm(), ByRounds(), EventDriven(), Stepwise())
METHODS = {type(method).__name__: method for method in IN_ORDER}
"""All methods, the fastest first."""


@functools.cache
def a_problem(spectrum, n_out):
    """Kernel and spectrum, noisy and clean labels, an f_0, held-out inputs in the kernel's span."""
    kernel = kernel_with(SPECTRA[spectrum](N))
    clean, noisy = noisy_problem(N, n_out)
    rng = np.random.default_rng(1)
    held_out = HeldOut(
        rng.normal(size=(N_TEST, N)) @ kernel / N,
        noisy_problem(N_TEST, n_out, seed=2)[0],
        initial=0.1 * rng.normal(size=(N_TEST, n_out)),
    )
    labels = Labels(noisy, clean, initial=0.1 * rng.normal(size=clean.shape))
    return Problem(labels, kernel, spectrum_of(kernel), held_out=held_out)


def teacher_of(name, n_out):
    """The teacher of that name; a pretrained one has taught outputs that are nobody's labels."""
    outputs = np.random.default_rng(4).normal(size=(N, n_out))
    return supervised.TEACHERS[name] or sv.Pretrained(outputs)


STEPS, EVENTS = {"Stepwise"}, {"EventDriven", "Stepwise"}
EPOCHS = sv.Supervision(sv.Hard(), sv.Harmonic(), sv.LastEpoch(4))
BY_OUTPUTS = supervised.OutputNorm()
WHO_CAN = {
    "descent": (Descent(), {"ClosedForm", *EVENTS}),
    "heavy ball": (Descent(momentum=0.5), {"ClosedForm", *EVENTS}),
    "flow": (Flow(), {"ClosedForm"}),
    "a filter": (filters.GradientDescent(0.1), {"ClosedForm"}),
    "rounds": (sv.Rounds(EPOCHS, 2), {"ByRounds", *EVENTS}),
    "rounds and a finish": (sv.Rounds(EPOCHS, 2, sv.Hard()), {"ByRounds"}),
    "nothing taught": (
        sv.Supervision(sv.Sharpened(1.0), sv.Constant(1.0), sv.ExponentialMovingAverage(0.5)),
        EVENTS,
    ),
    "a weight of the outputs": (sv.Supervision(sv.Hard(), BY_OUTPUTS), STEPS),
    "the same once an epoch": (sv.Supervision(sv.Hard(), BY_OUTPUTS, sv.LastEpoch(4)), EVENTS),
}
KNOWN_CHANGES = {
    "current": ["hard"],
    "last_epoch": supervised.LABELS,
    "restart": supervised.LABELS,
    "average": [],
    "pretrained": supervised.LABELS,
}
"""The label functions of which it is known, by teacher, when what is taught changes."""
PARTS = list(itertools.product(KNOWN_CHANGES, supervised.LABELS, supervised.SCHEDULES))
for _teacher, _label, _schedule in PARTS:
    _parts = supervised.LABELS[_label][0], supervised.SCHEDULES[_schedule][0]
    WHO_CAN[f"{_label}, {_schedule}, {_teacher}"] = (
        sv.Supervision(*_parts, teacher_of(_teacher, 3)),
        EVENTS if _label in KNOWN_CHANGES[_teacher] else STEPS,
    )
