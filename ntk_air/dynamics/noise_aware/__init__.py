"""Label noise of any class-dependent kind: learnt from the labels, and undone (theory.md 10)."""
