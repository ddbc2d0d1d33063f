"""Finite-width networks, for experiments against the infinite-width theory."""
