"""The page for their users: each block gives the same numbers by their package and by this one."""

import re
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

PAGE = (Path(__file__).parents[1] / "docs/from_neural_tangents.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
COMPARISONS = [number for number, block in enumerate(BLOCKS) if "theirs =" in block]
ROUNDING = 1e-9


@pytest.fixture(scope="module")
def compared():
    """Theirs, ours and the tolerance of each block, all run one after another as on the page."""
    names, found = {}, {}
    config: Any = jax.config
    promotion = config.jax_numpy_dtype_promotion
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their package's own
        try:
            for number, block in enumerate(BLOCKS):
                names.pop("within", None)
                exec(compile(block, f"block {number}", "exec"), names)
                if number in COMPARISONS:
                    theirs, ours = np.asarray(names["theirs"]), np.asarray(names["ours"])
                    within = names.get("within", ROUNDING * np.max(np.abs(theirs)))
                    found[number] = theirs, ours, within
        finally:
            jax.config.update("jax_numpy_dtype_promotion", promotion)
    return found


def test_the_page_compares_what_people_call():
    assert len(COMPARISONS) == 19
    for name in (
        "serial", "batch", "empirical_ntk_fn", "empirical_nngp_fn", "empirical_ntk_vp_fn",
        "monte_carlo_kernel_fn", "linearize", "taylor_expand", "gradient_descent_mse",
        "gradient_descent_mse_ensemble", "gp_inference", "gradient_descent", "max_learning_rate",
    ):  # fmt: skip
        assert name in PAGE


@pytest.mark.parametrize("number", COMPARISONS)
def test_both_give_the_same_numbers(number, compared):
    theirs, ours, within = compared[number]
    assert ours.shape == theirs.shape
    assert np.all(np.abs(ours - theirs) <= within)
    assert np.max(np.abs(theirs)) > 3 * np.max(within)  # so that zeros do not pass
