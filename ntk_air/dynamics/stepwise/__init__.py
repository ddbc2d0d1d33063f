"""Runs step by step, from products with the kernel alone."""
