"""A budget is a number of bytes, or none."""

import pytest

from ntk_air._base.memory import check_budget, require_memory


@pytest.mark.parametrize("budget", ["1GB", 0, -1, True, float("nan"), float("inf"), [1e9]])
def test_what_is_no_number_of_bytes_is_refused(budget):
    with pytest.raises(ValueError, match="max_memory_bytes must be a finite number above 0"):
        check_budget(budget)
    with pytest.raises(ValueError, match="max_memory_bytes must be a finite number above 0"):
        require_memory(what="a job", needed_bytes=1, max_bytes=budget, way_out="")


@pytest.mark.parametrize("budget", [None, 1, 1e9])
def test_a_number_of_bytes_is_a_budget(budget):
    check_budget(budget)
