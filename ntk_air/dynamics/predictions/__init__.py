"""Distances and errors that the theory predicts."""
