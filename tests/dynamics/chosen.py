"""One program for all label functions and schedules: a number that it is given says which.

A run compiles anew for each kind of label function and of schedule. Here the kind is a value, so
that the whole table of them is followed by a program for each teacher.
"""

import jax
import jax.numpy as jnp

from ntk_air.dynamics import supervision as sv
from tests.dynamics import supervised


class ChosenLabel(sv.LabelFunction):
    """The label function ``among[which]``."""

    which: float
    among: tuple

    def __call__(self, outputs):
        functions = [lambda rows, h=h: jnp.asarray(h(rows)) for h in self.among]
        return jax.lax.switch(jnp.asarray(self.which, int), functions, jnp.asarray(outputs))


class ChosenSchedule(sv.WeightSchedule):
    """The schedule ``among[which]``."""

    which: float
    among: tuple[sv.WeightSchedule, ...]

    def __call__(self, index, outputs, noisy):
        def weights(schedule, *given):
            return jnp.broadcast_to(jnp.asarray(schedule(*given), index.dtype), index.shape)

        schedules = [lambda *given, s=s: weights(s, *given) for s in self.among]
        given = [jnp.asarray(part) for part in (index, outputs, noisy)]
        return jax.lax.switch(jnp.asarray(self.which, int), schedules, *given)

    @property
    def chosen(self):
        """The schedule itself, on the host."""
        return self.among[int(self.which)]

    def depends_on(self):
        return self.chosen.depends_on()

    def non_increasing_from(self):
        return self.chosen.non_increasing_from()

    def has_finite_sum(self):
        return self.chosen.has_finite_sum()

    def limit(self):
        return self.chosen.limit()


def chosen_label(name):
    """One of ``supervised.LABELS``."""
    names = list(supervised.LABELS)
    return ChosenLabel(float(names.index(name)), tuple(h for h, _ in supervised.LABELS.values()))


def chosen_schedule(name, *, instead=None):
    """One of ``supervised.SCHEDULES``, or another of its kind in its place."""
    among = {key: schedule for key, (schedule, _) in supervised.SCHEDULES.items()}
    if instead is not None:
        assert type(instead) is type(among[name])
        among[name] = instead
    ours = [
        s if isinstance(s, sv.WeightSchedule) else sv.FunctionOfIndex(s) for s in among.values()
    ]
    return ChosenSchedule(float(list(among).index(name)), tuple(ours))
