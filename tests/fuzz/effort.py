"""How many examples each test of this room tries, and from which seed.

A few, always the same, in the usual run of all tests; ``just fuzz`` tries thousands from a seed.
"""

import os

from hypothesis import HealthCheck, settings

_ASKED = os.environ.get("NTK_AIR_FUZZ_EXAMPLES")

FUZZ = settings(
    max_examples=int(_ASKED or 15),
    derandomize=_ASKED is None,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
