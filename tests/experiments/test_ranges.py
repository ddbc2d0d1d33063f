"""Options of experiments that are out of range, in lists too: refused before anything is read."""

import math

import pytest

from ntk_air.lab.catalogue import load_experiment
from ntk_air.lab.config import NoiseConfig

RATES = {
    "self_distillation": ("noise_rates", "phase_rates"),
    "noisy_networks": ("noise_rates", "pair_rates"),
}


@pytest.mark.parametrize("rate", [math.nan, 1.5, -0.3])
@pytest.mark.parametrize("experiment", RATES)
def test_noise_rates_are_shares(experiment, rate):
    config = load_experiment(experiment).config
    for option in RATES[experiment]:
        with pytest.raises(ValueError, match=rf"{option} must all lie in \[0, 1\]; got {rate} "):
            config(**{option: (0.2, rate)})
        assert getattr(config(**{option: (0, 0.2, 1)}), option) == (0, 0.2, 1)


@pytest.mark.parametrize(
    ("experiment", "option", "value"),
    [
        ("self_distillation", "phase_spreads", (0.1, -1.0)),
        ("self_distillation", "phase_spreads", (math.inf,)),
        ("self_distillation", "phase_classes", 1),
        ("self_distillation", "phase_points", 0),
        ("noisy_networks", "network_epochs", 0),
        ("noisy_networks", "batch_size", 0),
        ("noisy_networks", "round_passes", 0),
        ("noisy_networks", "methods", ("magic",)),
        ("finite_width", "widths", (16, 0)),
        ("finite_width", "steps", 10),
        ("finite_width", "exponent", -1.0),
        ("finite_width", "temperature", 0.0),
        ("finite_width", "kinds", ("magic",)),
        ("pretrained", "batch_size", 0),
        ("pretrained", "epochs", (0, 2, 2)),
        ("pretrained", "learning_rate", math.nan),
        ("pretrained_features", "few", 10),
        ("pretrained_features", "side", 1),
        ("pretrained_features", "network_size", -1),
        ("convergence", "steps", 0),
        ("convergence", "plain_steps", 0),
        ("convergence", "warm_up", 0),
        ("convergence", "exponent", math.nan),
        ("convergence", "temperature", 0.0),
        ("early_stopping", "steps", 0),
        ("early_stopping", "decay_steps", 0),
        ("eigen_spectrum", "delta", 1.5),
        ("embedding_distillation", "entries", 0),
        ("embedding_distillation", "known", 0),
        ("embedding_distillation", "steps", 0),
        ("embedding_distillation", "retrieved", 0),
        ("embedding_distillation", "noise", NoiseConfig(0.4)),
        ("learning_curves", "ridge", 0.0),
        ("learning_curves", "sizes", 1),
        ("learning_curves", "noise", NoiseConfig(0.4)),
        ("weak_to_strong", "teacher_steps", 0),
        ("weak_to_strong", "steps", 0),
        ("full_dataset", "top_k", -1),
        ("full_dataset", "n_products", 0),
        ("full_dataset", "block", 0),
        ("full_dataset", "distill_steps", -1),
        ("full_dataset", "accuracy", math.nan),
    ],
)
def test_options_out_of_range_are_refused_by_name(experiment, option, value):
    config = load_experiment(experiment).config
    with pytest.raises(ValueError, match=f"^{option} must "):
        config(**{option: value})


@pytest.mark.parametrize("option", ["phase_rates", "phase_spreads"])
def test_a_phase_diagram_needs_points(option):
    config = load_experiment("self_distillation").config
    assert not config(**{option: ()}).phase_diagram
    with pytest.raises(ValueError, match=f"{option} must not be empty for a phase diagram"):
        config(phase_diagram=True, **{option: ()})
