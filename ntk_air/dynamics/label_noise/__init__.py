"""Noise estimated from noisy labels, and schedules chosen by it."""
