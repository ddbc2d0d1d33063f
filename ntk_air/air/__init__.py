"""Anisotropic Information Retrieval as numbers, from a spectrum or from label-weighted measures."""

from ntk_air.air.complexity import AroraComplexity, arora_complexity, kernel_target_alignment
from ntk_air.air.curve import (
    AirCurve,
    AirWindow,
    air_curve,
    air_window,
    retrieved_share,
)
from ntk_air.air.enclosures import AirCurveEnclosure, air_curve_enclosure, retrieved_share_enclosure
from ntk_air.air.energies import energy_in_top, energy_shares
from ntk_air.air.rates import (
    Dynamics,
    effective_dimension,
    retrieval_half_lives,
    retrieval_rates,
)
from ntk_air.air.summary import (
    AirSpread,
    AirSummary,
    Spread,
    air_over_draws,
    air_summary,
    auc_over_draws,
    random_label_control,
    random_labels,
    spread,
)

__all__ = [
    "AirCurve",
    "AirCurveEnclosure",
    "AirSpread",
    "AirSummary",
    "AirWindow",
    "AroraComplexity",
    "Dynamics",
    "Spread",
    "air_curve",
    "air_curve_enclosure",
    "air_over_draws",
    "air_summary",
    "air_window",
    "arora_complexity",
    "auc_over_draws",
    "effective_dimension",
    "energy_in_top",
    "energy_shares",
    "kernel_target_alignment",
    "random_label_control",
    "random_labels",
    "retrieval_half_lives",
    "retrieval_rates",
    "retrieved_share",
    "retrieved_share_enclosure",
    "spread",
]
