"""Tests, in the rooms of the package; what several share is in ``helpers``."""
