"""Rules with a rate, made into filters."""

import pytest

from ntk_air.dynamics.rules import Descent, Flow


def test_a_flow_has_no_bound_of_stability_and_descent_has():
    assert Flow(50.0).filter(largest_eigenvalue=1.0).learning_rate == 50
    with pytest.raises(ValueError, match="learning_rate must lie below 2"):
        Descent(50.0).filter(largest_eigenvalue=1.0)
