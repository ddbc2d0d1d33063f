"""Kernel operators past memory and past one device; contract and dense kind: ``..operator``."""
