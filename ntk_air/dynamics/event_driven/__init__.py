"""Runs from one change of the taught labels to the next."""
