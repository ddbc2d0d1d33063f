"""``ntk-air report``: pages that hold all they show, and what their doctor finds."""

import dataclasses
import html.parser
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import ntk_air as na
from ntk_air import cli
from ntk_air.lab.config import DataConfig, NoiseConfig
from ntk_air.lab.data_report.config import ReportConfig
from ntk_air.lab.data_report.doctor import (
    alignment,
    column_scales,
    duplicate_rows,
    input_norms,
    other_kernel,
    precision,
)
from ntk_air.lab.data_report.measured import measure
from ntk_air.lab.data_report.pages import data_page
from ntk_air.lab.data_report.sections import certificate, learning_curve, sections, training

ROOT = Path(__file__).parents[3]
DATA = DataConfig("clusters", n_train=40, n_test=16, dataset_option=("n_clusters=4", "spread=0.02"))
CONFIG = ReportConfig(data=DATA, noise=NoiseConfig(0.2, exact=True), seeds=2)
TITLES = [
    *("The data", "Spectrum", "Where clean labels and noise live"),
    *("Anisotropic Information Retrieval", "Half-lives", "Predicted learning curve"),
    *("Self-distillation against early stopping", "Certificate"),
]


class Page(html.parser.HTMLParser):
    """What a page is made of: headings, addresses, pictures, and tags that stay open."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.addresses, self.alternatives, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag == "img":
            self.alternatives.append(named["alt"])
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def assert_holds_all(text):
    page = Page(text)
    assert page.open == []
    assert page.addresses and all(each.startswith("data:image/png") for each in page.addresses)
    assert all(page.alternatives)
    assert not any(word in text for word in ("<script", "@import", "url(", "http://", "https://"))
    assert 'name="viewport"' in text and "@media print" in text
    return page


@pytest.fixture(scope="module")
def found():
    return measure(CONFIG, DATA.load(seed=0), lambda *_: None)


@pytest.fixture(scope="module")
def unknown():
    """The same inputs, of whose labels nobody knows which are right."""
    data = DATA.load(seed=0).with_label_noise(na.SymmetricNoise(0.2, exact=True), seed=0)
    given = na.Dataset(data.inputs, na.ClassLabels(noisy=data.noisy_labels), name="<mine>")
    return measure(CONFIG, given, lambda *_: None)


def test_a_page_holds_all_sections_and_needs_nothing_else(found):
    text = data_page(found, "ntk-air report --out '<here>'")
    page = assert_holds_all(text)
    assert page.headings == [*TITLES, "The doctor"]
    assert len(page.alternatives) == 5
    assert "<here>" not in text and "&lt;here&gt;" in text
    for each in sections(found):
        assert each.says.count(". ") >= 1, each.title  # two sentences


def test_what_is_said_is_what_was_measured(found):
    says = {each.title: each.says for each in sections(found)}
    first, second = found.areas
    assert first == na.air_summary(found.problem).auc != second
    mean = (first + second) / 2
    assert f"AIR-AUC is {mean:.3f} ± " in says["Anisotropic Information Retrieval"]
    assert "20% of the labels are flipped on purpose (symmetric noise)" in says["The data"]
    best = np.max(found.descent.held_out.accuracy)
    assert f"{best:.3f} of plain descent stopped" in says[TITLES[6]]
    assert found.certificate.issued
    assert f"From step {found.certificate.step} on" in says["Certificate"]


def test_what_needs_clean_labels_is_left_out_where_there_are_none(unknown):
    text = data_page(unknown, "ntk-air report")
    page = assert_holds_all(text)
    assert page.headings == [*TITLES, "The doctor"]
    assert len(page.alternatives) == 2  # spectrum and learning curve
    assert text.count("The clean labels are unknown, so that this is left out.") == 2
    assert "<mine>" not in text and "labels that are final" in text
    assert "held-out accuracy" not in training(unknown).says


def test_a_certificate_that_is_not_issued_says_why(found):
    refused = dataclasses.replace(
        found, certificate=dataclasses.replace(found.certificate, issued=False, reason="no gap")
    )
    assert "No proof was found" in certificate(refused).says
    assert certificate(refused).says.endswith("no gap.")


def test_more_rows_are_predicted_to_help_on_clusters(found):
    sizes, errors = found.learning_curve
    assert sizes.tolist() == [2, 5, 10, 20]
    assert (np.diff(errors) < 0).all()
    assert f"{errors[-1]:.3g} from 20" in learning_curve(found).says


def a_dataset(inputs, labels=None):
    labels = np.arange(len(inputs)) % 2 if labels is None else labels
    return na.Dataset(np.asarray(inputs, float), labels)


def test_inputs_of_many_sizes_are_found():
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]])
    assert not input_norms(a_dataset(rows)).remedy
    rows[0] *= 10
    assert "normalise" in input_norms(a_dataset(rows)).remedy
    assert "between 1 and 10" in input_norms(a_dataset(rows)).found


def test_unscaled_columns_are_found():
    rows = np.random.default_rng(0).normal(size=(20, 3))
    rows[:, 2] = 1.0
    assert not column_scales(a_dataset(rows)).remedy
    assert "1 of them constant" in column_scales(a_dataset(rows)).found
    rows[:, 1] *= 300
    assert "scale them" in column_scales(a_dataset(rows)).remedy
    assert "images" in column_scales(a_dataset(np.zeros((4, 2, 2, 1)))).found


def test_repeated_rows_are_found_with_their_labels():
    rows = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    found = duplicate_rows(a_dataset(rows, [0, 1, 0, 1, 1, 0]))
    assert found.found == "3 rows repeat another; 1 repeated inputs have several labels"
    assert found.remedy
    assert not duplicate_rows(a_dataset(rows[[0, 1, 5]], [0, 1, 0])).remedy


def test_modes_below_precision_and_the_ridge_above_them_are_found():
    theta = np.diag([4.0, 1.0, 0.0])
    problem = na.Problem(na.Labels(np.array([[1.0], [-1.0], [1.0]])), theta, na.decompose(theta))
    modes, ridge = precision(problem)
    floor = 3 * np.finfo(float).eps * 4
    assert modes.found == f"1 of 3 modes lie below n·ε·λ₁ = {floor:.2g}" and modes.remedy
    assert f"{floor:.2g}" in ridge.found and ridge.remedy
    theta = np.eye(3)
    problem = na.Problem(na.Labels(np.array([[1.0], [-1.0], [1.0]])), theta, na.decompose(theta))
    assert not any(each.remedy for each in precision(problem))


def test_a_better_last_layer_is_found():
    assert not other_kernel({"NTK": 0.5, "NNGP": 0.5}).remedy
    assert "--kernel nngp" in other_kernel({"NTK": 0.5, "NNGP": 0.6}).remedy
    assert "no NNGP" in other_kernel({"NTK": 0.5}).found


def test_labels_that_the_kernel_does_not_see_are_found(found):
    _, vectors = np.linalg.eigh(found.problem.theta)
    noisy = np.asarray(found.problem.noisy)
    centred = noisy - noisy.mean(axis=0)
    share = np.sum((vectors[:, -4:].T @ centred) ** 2) / np.sum(centred**2)
    assert f"the top 4 modes hold {share:.0%} of" in alignment(found.problem).found
    assert not alignment(found.problem).remedy
    blind = na.Problem(found.problem.labels, np.eye(40), na.decompose(np.eye(40)))
    assert "features of a pretrained network" in alignment(blind).remedy


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ntk-air", "report", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code or 0


def test_a_finished_run_becomes_a_page(monkeypatch, capsys, tmp_path):
    out, saved = tmp_path / "new" / "page.html", ROOT / "figures" / "convergence"
    assert run(monkeypatch, saved, "--out", out) == 0
    assert capsys.readouterr().out == f"saved in {out}\n"
    text = out.read_text(encoding="utf-8")
    page = assert_holds_all(text)
    assert page.alternatives == ["distance", "zero one error", "margin", "test accuracy"]
    results = json.loads((saved / "results.json").read_text(encoding="utf-8"))
    assert f"{results['gradient_descent']['best_rms']:.4g}" in text
    assert "found: self-distillation with hard labels goes beyond" in text


def test_bad_input_is_refused_before_work_and_leaves_nothing(monkeypatch, capsys, tmp_path):
    def load(*arguments, **options):
        raise AssertionError("work has started")

    monkeypatch.setattr("ntk_air.data.catalogue.load_dataset", load)
    for arguments, says in (
        (("--out", tmp_path), "out must be a file"),
        (("--seeds", 0), "seeds must be"),
        (("--max-memory", "much"), "max_memory: "),
        ((tmp_path,), "folder must be that of a run"),
        (("--csv", "mine.csv", "--dataset", "wine"), "dataset must be left out beside csv"),
    ):
        assert run(monkeypatch, *arguments, *(() if "--out" in arguments else
                   ("--out", tmp_path / "made" / "page.html"))) == 2  # fmt: skip
        assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
