"""Checkpoints of training across releases: known by names that last, or refused with the reason."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from ntk_air._base.kinds import kind
from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.losses import SquareLoss
from ntk_air.networks.training.optimisers import as_optimiser
from ntk_air.networks.training.supervised_rule import SupervisedRule
from ntk_air.networks.training.train_checkpoints import Checkpoints, identity_of
from ntk_air.networks.training.train_step import TrainingSetup, start


@kind("linear_for_a_test")
def linear(params, x):
    return x @ params


def training():
    rng = np.random.default_rng(0)
    return TrainingSetup(
        apply_fn=linear,
        params=jnp.asarray(rng.normal(size=(3, 2))),
        inputs=jnp.asarray(rng.normal(size=(6, 3))),
        noisy=jnp.asarray(rng.normal(size=(6, 2))),
        initial=None,
        rule=SupervisedRule(sv.plain_descent(), SquareLoss()),
        optimiser=as_optimiser(Descent(0.1)),
        key=jax.random.PRNGKey(0),
        batch_size=3,
        reduction="mean",
        evaluation_rows=4,
    )


def test_a_run_is_known_by_kinds_not_by_where_code_stands(monkeypatch):
    def identity():
        return identity_of(training(), "a rule", times=[0, 1], stored=[], labels=None)

    before = identity()
    monkeypatch.setattr(linear, "__qualname__", "renamed")
    monkeypatch.setattr(linear, "__module__", "ntk_air.moved")
    assert identity() == before


def test_whatever_decides_a_run_or_its_records_makes_it_another():
    setup = training()
    records = {"times": [0, 1], "stored": [], "labels": np.zeros((2, 3))}
    runs = [
        (setup, "a rule", records),
        (setup, "another rule", records),
        (setup, "a rule", records | {"times": [0, 2]}),
        (setup, "a rule", records | {"stored": [0]}),
        (setup, "a rule", records | {"stored": [0, 1]}),
        (setup, "a rule", records | {"labels": np.ones((2, 3))}),
        (setup, "a rule", records | {"labels": np.zeros((3, 2))}),
        (eqx.tree_at(lambda s: s.noisy, setup, setup.noisy + 1), "a rule", records),
    ]
    assert len({identity_of(one, rule, **asked) for one, rule, asked in runs}) == len(runs)


@pytest.mark.parametrize("description", [{"identity": "the run's"}, {"format": "another"}])
def test_a_folder_of_0_1_is_refused_with_the_reason(tmp_path, description):
    folder = tmp_path / "kept"
    with ocp.CheckpointManager(folder) as manager:  # 0.1 named no format
        manager.save(5, args=ocp.args.Composite(description=ocp.args.JsonSave(description)))
    with pytest.raises(ValueError, match=r"such as 0\.1, which knew a run by names of its code"):
        Checkpoints(folder).restore(start(training()), "the run's")


def test_a_folder_made_with_another_jax_is_refused_and_kept(tmp_path):
    folder = tmp_path / "kept"
    description = {"format": "ntk_air training 2", "identity": "the run's", "made_with": "jax 99"}
    with ocp.CheckpointManager(folder) as manager:
        manager.save(5, args=ocp.args.Composite(description=ocp.args.JsonSave(description)))
    before = sorted(folder.rglob("*"))
    with pytest.raises(
        ValueError, match=r"made with jax 0\..*; .*kept holds some made with jax 99"
    ):
        Checkpoints(folder).restore(start(training()), "the run's")
    assert sorted(folder.rglob("*")) == before
