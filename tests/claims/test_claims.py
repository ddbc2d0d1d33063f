"""Claims: their verdicts, their registry, and real ones on a small problem."""

import dataclasses
import math
import re

import numpy as np
import pytest

from ntk_air.claims import (
    Claim,
    DoesNotApply,
    Measurement,
    agreement,
    all_claims,
    array_agreement,
    at_least,
    at_most,
    claim,
    tends_to,
    verify,
)
from ntk_air.claims.self_distillation import with_wrong_majority
from ntk_air.data import SymmetricNoise, load_dataset
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.problem import make_problem

GOOD, BAD = Measurement(1.0, 1.0, 0.0, 1e-9), Measurement(1.0, 2.0, 1.0, 1e-9)


@pytest.fixture(scope="module")
def clusters():
    dataset = load_dataset("clusters", n_train=80, n_test=16, n_clusters=4, spread=0.02)
    noisy = dataset.with_label_noise(SymmetricNoise(0.2, exact=True), seed=0)
    return make_problem(noisy, DenseNTK(depth=2))


@pytest.fixture(scope="module")
def digits():
    dataset = load_dataset("digits", n_train=60, n_test=20).normalised()
    return make_problem(dataset.with_label_noise(SymmetricNoise(0.4), seed=0), DenseNTK())


def a_claim(measure, control):
    parts = {False: measure, True: control}
    return Claim(
        *("0", "statement", "source", "method", "control"),
        measure=lambda problem, broken=False: parts[broken](problem),
        broken={"broken": True},
    )


@pytest.mark.parametrize(
    ("measurement", "control", "status", "is_good"),
    [
        (GOOD, BAD, "holds", True),
        (BAD, BAD, "fails", False),
        (GOOD, GOOD, "control passed", False),
        (Measurement(1.0, 1.0, math.nan, 1.0), BAD, "fails", False),
    ],
)
def test_a_verdict_needs_agreement_and_a_control_that_fails(
    clusters, *, measurement, control, status, is_good
):
    (verdict,) = verify(clusters, [a_claim(lambda _: measurement, lambda _: control)])
    assert verdict.status == status
    assert verdict.is_good is is_good


@pytest.mark.parametrize("broken", ["measure", "control"])
def test_a_premise_that_fails_is_named(broken, clusters):
    def refuse(problem):
        raise DoesNotApply("no clusters")

    parts = {"measure": lambda _: GOOD, "control": lambda _: BAD} | {broken: refuse}
    (verdict,) = verify(clusters, [a_claim(**parts)])
    assert verdict.status == "does not apply"
    assert verdict.reason == "no clusters"
    assert verdict.measurement is None
    assert verdict.control is None


def test_measurements_compare_as_they_say():
    assert agreement(2.0, 2.02, tolerance=0.02).holds
    assert not agreement(2.0, 2.05, tolerance=0.02).holds
    assert agreement(0.0, 0.0, tolerance=0.0).holds
    assert not agreement(0.0, 1e-12, tolerance=0.0).holds
    assert at_least(1.0, 1.0).holds
    assert not at_least(1.0, 0.999).holds
    assert not at_least(1.0, math.nan).holds
    assert at_most(1.0, 1.0).holds
    assert not at_most(1.0, 1.001).holds
    assert not at_most(1.0, math.nan).holds
    far = array_agreement(np.ones((2, 3)), np.ones((2, 3)) + np.eye(2, 3), tolerance=0.5)
    assert far.error == pytest.approx(1.0)


def test_a_sign_says_what_is_compared():
    compared = {
        "=": (agreement(1.0, 1.0, tolerance=0.1), far_from_one(agreement)),
        "→": (tends_to(1.0, 0.95, tolerance=0.1), far_from_one(tends_to)),
        "≤": (at_most(1.0, 0.9), at_most(1.0, 1.1)),
        "≥": (at_least(1.0, 1.1), at_least(1.0, 0.9)),
    }
    for sign, (good, bad) in compared.items():
        assert good.sign == bad.sign == sign
        assert good.holds and not bad.holds
    assert array_agreement(np.ones((2, 3)), np.ones((2, 3)), tolerance=0.5).sign == "="
    assert at_most(-0.5, -0.7, rate_in="m").rate_in == "m" and not at_most(1.0, 0.9).rate_in


def far_from_one(compare):
    return compare(1.0, 1.5, tolerance=0.1)


def test_claims_have_names_of_their_own_and_can_be_chosen():
    names = [claim.name for claim in all_claims()]
    assert len(set(names)) == len(names)
    assert {re.match(r"\d+", name).group() for name in names} == {*"1234567", "10", "11"}
    assert [claim.name for claim in all_claims(["1"])] == ["1a", "1b", "1c", "1d", "1e"]
    assert [claim.name for claim in all_claims(["4"])] == ["4a", "4b", "4c", "4d"]
    assert [claim.name for claim in all_claims(["1a", "5e"])] == ["1a", "5e"]
    with pytest.raises(ValueError, match=r"claims must be among 1a, .* got 9z"):
        all_claims(["1a", "9z"])


def test_a_claim_is_made_of_the_function_below_it(clusters):
    @claim("0", "statement", source="source", control=("twice as much", {"factor": 2.0}))
    def one(problem, *, factor=1.0):
        """One against one."""
        return agreement(1.0, factor, tolerance=0.1)

    assert one.method == "One against one"
    assert one.measure_control(clusters) == agreement(1.0, 2.0, tolerance=0.1)
    told = []
    verdicts = verify(clusters, ["4a", one], progress=lambda *done: told.append(done))
    assert [verdict.claim.name for verdict in verdicts] == ["4a", "0"]
    assert [verdict.status for verdict in verdicts] == ["holds", "holds"]
    assert told == [("claims", 1, 2), ("claims", 2, 2)]


def test_every_claim_says_what_it_compares():
    for each in all_claims():
        texts = [getattr(each, field.name) for field in dataclasses.fields(each)[:5]]
        assert all(isinstance(text, str) and text for text in texts), each.name
        assert each.broken, each.name


@pytest.mark.parametrize(
    "name",
    [
        "1a",
        "1b",
        "1e",
        "3a",
        "4a",
        "4b",
        "4d",
        "5d",
        "5d-sum",
        "5e",
        "7a",
        "7b",
        "7c",
        "7d",
        "10a",
        "10b",
        "10b-isotropic",
        "10c",
        "10d",
        "10e",
    ],
)
def test_claims_hold_on_clusters(name, clusters):
    (verdict,) = verify(clusters, [name])
    assert verdict.status == "holds", verdict


@pytest.mark.parametrize(("name", "reason"), [("4b", "not in clusters"), ("6e", "clusters")])
def test_claims_about_clusters_do_not_apply_to_digits(name, reason, digits):
    (verdict,) = verify(digits, [name])
    assert verdict.status == "does not apply"
    assert reason in verdict.reason


def test_claims_of_finite_width_need_the_networks_limit(digits):
    (verdict,) = verify(digits.with_kernel(np.eye(60)), ["7a"])
    assert verdict.status == "does not apply"
    assert "not that of a dense ReLU network" in verdict.reason


@pytest.mark.parametrize("rate", [0.6, 0.7])
def test_a_wrong_majority_is_exactly_its_share(rate, clusters):
    assert with_wrong_majority(clusters, rate).dataset.noise_fraction == rate
