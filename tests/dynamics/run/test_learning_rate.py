"""Learning rates: relative to λ₁, refused with the bound where a run would diverge."""

import numpy as np
import pytest

from ntk_air.dynamics.run.learning_rate import RelativeRate, absolute_rate, stability_bound


def top_mode_grows(rate, momentum):
    """Whether heavy ball on one mode with λ = 3 is unstable, by the eigenvalues of its step."""
    step = np.array([[1 + momentum - rate * 3.0, -momentum], [1.0, 0.0]])
    return np.abs(np.linalg.eigvals(step)).max() > 1


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_bound_separates_stable_from_unstable(momentum):
    bound = stability_bound(3.0, momentum=momentum)
    assert not top_mode_grows(bound * (1 - 1e-6), momentum)
    assert top_mode_grows(bound * (1 + 1e-6), momentum)


def test_relative_and_absolute_rates_agree():
    assert absolute_rate(RelativeRate(0.5), largest_eigenvalue=4.0) == 0.125
    assert absolute_rate(0.125, largest_eigenvalue=4.0) == 0.125


def test_a_rate_that_diverges_is_refused_with_the_bound_unless_asked_for():
    with pytest.raises(ValueError, match=r"learning_rate must lie below 0\.5,.*got 0\.5"):
        absolute_rate(RelativeRate(2.0), largest_eigenvalue=4.0)
    assert absolute_rate(0.5, largest_eigenvalue=4.0, allow_divergence=True) == 0.5
    assert absolute_rate(0.5, largest_eigenvalue=4.0, momentum=0.5) == 0.5


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0; got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number above 0"),
        ({"largest_eigenvalue": 0.0}, "largest_eigenvalue must be a finite number above 0"),
        ({"momentum": -0.1}, r"momentum must lie in \[0, 1\]; got -0.1"),
        ({"momentum": 1.0}, "momentum must lie below 1"),
    ],
)
def test_bad_rates_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        absolute_rate(**({"learning_rate": 0.1, "largest_eigenvalue": 1.0} | arguments))


def test_a_fraction_must_be_above_zero():
    with pytest.raises(ValueError, match="fraction must be a finite number above 0"):
        RelativeRate(-1.0)
