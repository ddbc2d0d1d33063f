"""Networks over widths and over methods."""

LITERATURE = (
    "early_learning",
    "co_teaching",
    "forward_correction",
    "distance",
    "hard_bootstrapping",
    "soft_bootstrapping",
    "progressive",
    "label_smoothing",
    "cross_entropy",
    "early_stopping",
)
"""The methods that self-distillation is compared with, by name."""
