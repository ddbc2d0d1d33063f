"""The command ``ntk-air``: what it prints, writes and exits with."""

import json
import sys

import pytest

from ntk_air import cli
from ntk_air.claims import Claim, Measurement


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ntk-air", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def test_verify_prints_a_table_and_writes_the_verdicts(monkeypatch, capsys, tmp_path):
    path = tmp_path / "verdicts.json"
    small = ("--n-train", 40, "--n-test", 8, "--dataset-option", "n_clusters=4", "spread=0.02")
    assert run(monkeypatch, "verify", *small, "--claims", "1e", "4a", "--json", path) == 0
    printed = capsys.readouterr().out
    assert "clusters: 40 inputs, 2 classes, 20% symmetric label noise" in printed
    assert printed.count("holds") == 2
    content = json.loads(path.read_text())
    assert [verdict["claim"] for verdict in content["verdicts"]] == ["1e", "4a"]
    for verdict in content["verdicts"]:
        assert verdict["error"] <= verdict["tolerance"] < verdict["control_error"]


def test_verify_lists_the_claims_without_work(monkeypatch, capsys):
    assert run(monkeypatch, "verify", "--list") == 0
    printed = capsys.readouterr().out
    assert "1a" in printed
    assert "6g" in printed


@pytest.mark.parametrize(
    ("error", "control_error", "code"), [(0.0, 1.0, 0), (1.0, 1.0, 1), (0.0, 0.0, 1)]
)
def test_verify_exits_non_zero_where_a_claim_fails_or_a_control_does_not(
    monkeypatch, capsys, *, error, control_error, code
):
    claim = Claim(
        *("0", "statement", "source", "method", "control"),
        measure=lambda problem, error=error: Measurement(1.0, 1.0, error, 0.5),
        broken={"error": control_error},
    )
    monkeypatch.setattr(cli, "all_claims", lambda names: [claim])
    assert run(monkeypatch, "verify", "--n-train", 16, "--n-test", 0) == code


def test_bad_input_ends_with_a_message(monkeypatch, capsys):
    assert run(monkeypatch, "verify", "--dataset", "nothing") == 2
    assert "error: name must be one of 'digits'" in capsys.readouterr().err


def test_version_names_what_results_depend_on(monkeypatch, capsys):
    assert run(monkeypatch, "version") == 0
    printed = capsys.readouterr().out
    assert "jaxlib: " in printed
    assert "git_commit: " in printed
