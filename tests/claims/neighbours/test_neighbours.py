"""Claims of neighbouring theories: each holds, and its control fails, on small problems."""

import pytest

from ntk_air.claims import all_claims, verify
from ntk_air.claims.neighbours import THEORIES
from ntk_air.data import SymmetricNoise, load_dataset
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.problem import Labels, Problem, make_problem

NAMES = [claim.name for claim in all_claims(["11"])]
OWN_POINTS = {"basri", "bietti", "ildiz", "jeong", "kuzborskij", "pareek", "takanami", "wu"}
"""Theories whose claims bring points and kernels of their own."""
ANY_PROBLEM = [claim.name for claim in all_claims(["11"]) if not OWN_POINTS & set(claim.theories)]


@pytest.fixture(scope="module")
def clusters():
    dataset = load_dataset("clusters", n_train=80, n_test=16, n_clusters=4, spread=0.02)
    noisy = dataset.with_label_noise(SymmetricNoise(0.2, exact=True), seed=0)
    return make_problem(noisy, DenseNTK(depth=2))


@pytest.fixture(scope="module")
def digits():
    dataset = load_dataset("digits", n_train=60, n_test=20).normalised()
    return make_problem(dataset.with_label_noise(SymmetricNoise(0.4), seed=3), DenseNTK())


@pytest.mark.parametrize("name", NAMES)
def test_claims_hold_on_clusters(name, clusters):
    (verdict,) = verify(clusters, [name])
    assert verdict.status == "holds", verdict


@pytest.mark.parametrize("name", ANY_PROBLEM)
def test_claims_hold_on_other_data_and_kernels(name, digits):
    (verdict,) = verify(digits.replace(seed=1), [name])
    assert verdict.status == "holds", verdict


@pytest.mark.parametrize("name", ANY_PROBLEM)
def test_of_arrays_alone_claims_hold_or_say_what_is_missing(name, clusters):
    alone = Problem(Labels(clusters.noisy), clusters.theta, clusters.spectrum)
    (verdict,) = verify(alone, [name])
    if verdict.status != "holds":
        assert verdict.status == "does not apply", verdict
        assert "not known" in verdict.reason or "no data set" in verdict.reason


def test_each_file_is_a_theory_by_its_first_author():
    for module in THEORIES:
        theory = module.__name__.rpartition(".")[2]
        assert {claim.name for claim in all_claims(theories=[theory])} >= {
            name for name in NAMES if name.split("-")[1] == theory
        }
    theories = [module.__name__.rpartition(".")[2] for module in THEORIES]
    assert list(dict.fromkeys(name.split("-")[1] for name in NAMES)) == theories
