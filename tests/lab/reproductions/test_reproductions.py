"""Published numbers: found again, or said to be different, and the status with them."""

import dataclasses
import json

import numpy as np
import pytest

import ntk_air as na
from ntk_air.cli import main
from ntk_air.lab.reproductions import all as reproductions
from ntk_air.lab.reproductions import lee
from ntk_air.lab.reproductions.published import Reproduction, Row, share_tolerance


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", *arguments])
    return ended.value.code


def test_what_needs_no_data_is_found_again(capsys):
    assert command("borup", "--format", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    (table,) = shown["tables"]
    assert len(table["rows"]) == 14
    assert {row[4] for row in table["rows"]} == {"same"}
    assert shown["lines"][-1] == "14 of 14 numbers are the same within tolerance"


def test_a_number_that_differs_is_said_and_is_the_status(capsys, monkeypatch):
    rows = [Row("one", 1.0, (1.05, 1.15), 0.05, "by hand"), Row("two", 1.0, (1.0,), 0.0, "by hand")]
    made = Reproduction("two numbers", "nobody 2026", lambda data_dir: iter(rows))
    monkeypatch.setattr(reproductions, "REPRODUCTIONS", {"nobody": made})
    assert command() == 1
    said = capsys.readouterr().out
    assert "different" in said
    assert "1.1 (1.05 to 1.15, 2 draws)" in said
    assert "1 of 2 numbers are the same within tolerance" in said
    agreeing = dataclasses.replace(rows[0], tolerance=0.1 + 1e-12)
    assert agreeing.agrees
    assert not rows[0].agrees


def test_an_unknown_name_is_refused_before_any_is_begun(capsys):
    assert command("borup", "nobody") == 2
    said = capsys.readouterr()
    assert "names must be one of" in said.err
    assert said.out == ""


def test_accuracies_are_those_of_the_posterior_mean():
    """On digits, whose images are there: by the library's own inference."""
    network = lee.network("relu", 2, 1.45, 0.28)
    found = lee.accuracy("digits", network, 80, 60, seed=1, data_dir=None)
    data = na.load_dataset("digits", n_train=80, n_test=60, seed=1).flattened()
    x, x_test = (np.asarray(part, np.float64) for part in (data.inputs, data.test_inputs))
    posterior = na.inference.gp_posterior(
        network.nngp(x),
        np.asarray(data.clean_targets(), np.float64),
        network.nngp(x_test, x),
        network.nngp(x_test),
        noise_variance=lee.RIDGE,
    )
    assert found == np.mean(np.argmax(np.asarray(posterior.mean), axis=1) == data.test_labels)
    assert 0.6 < found < 1


def test_the_tolerance_of_an_accuracy_is_three_standard_errors_of_a_difference():
    rng = np.random.default_rng(0)
    first, second = rng.binomial(500, 0.9, size=(2, 20_000)) / 500
    np.testing.assert_allclose(share_tolerance(0.9, 500), 3 * np.std(first - second), rtol=0.02)
