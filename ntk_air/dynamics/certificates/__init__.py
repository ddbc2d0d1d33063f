"""Proofs that a run goes to the clean labels."""
