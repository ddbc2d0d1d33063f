"""Tables as Markdown, LaTeX and CSV; texts as LaTeX in ASCII."""

import csv
import dataclasses
import json

import pytest
from rich.console import Group
from rich.text import Text

from ntk_air.claims import all_claims
from ntk_air.lab.report.formats import exported, latex_text
from ntk_air.lab.report.layout import table

SHOWN = Group(
    Text("a heading\nof two lines"),
    "",
    table(("name", "d → ‖ξ‖"), [("a|b", "1.0 ± 0.1"), ("c & d", "–")]),
    "50 % more",
)


def test_a_table_becomes_markdown():
    assert exported(SHOWN, "markdown").splitlines() == [
        *("a heading", "", "of two lines", ""),
        *("| name | d → ‖ξ‖ |", "| :-- | --: |", "| a\\|b | 1.0 ± 0.1 |", "| c & d | – |"),
        *("", "50 % more"),
    ]


def test_a_table_becomes_latex_with_lines_as_comments():
    assert exported(SHOWN, "latex").splitlines() == [
        *("% a heading", "% of two lines", r"\begin{tabular}{lr}", r"\toprule"),
        r"name & d \ensuremath{\to} \ensuremath{\|}\ensuremath{\xi}\ensuremath{\|} \\",
        *(r"\midrule", r"a\ensuremath{|}b & 1.0 \ensuremath{\pm} 0.1 \\", r"c \& d & -- \\"),
        *(r"\bottomrule", r"\end{tabular}", "", "% 50 % more"),
    ]


def test_csv_has_the_tables_alone_and_json_all():
    two = Group(*SHOWN.renderables, table(("x",), [("1,5",)]))
    first, second = exported(two, "csv").split("\n\n")
    assert list(csv.reader(first.splitlines()))[1] == ["a|b", "1.0 ± 0.1"]
    assert list(csv.reader(second.splitlines())) == [["x"], ["1,5"]]
    content = json.loads(exported(two, "json", run="here"))
    assert content["run"] == "here"
    assert content["lines"] == ["a heading", "of two lines", "50 % more"]
    assert content["tables"][1] == {"columns": ["x"], "rows": [["1,5"]]}


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("ηλ₁ ≤ 1", r"\ensuremath{\eta}\ensuremath{\lambda}\ensuremath{_{1}} \ensuremath{\le} 1"),
        ("(I − ηΘ)ᵗ", r"(I \ensuremath{-} \ensuremath{\eta}\ensuremath{\Theta})\ensuremath{^{t}}"),
        ("m^−½", r"m\textasciicircum{}\ensuremath{-}\ensuremath{\frac{1}{2}}"),
        ("T̂, ỹ", r"\ensuremath{\hat{T}}, \ensuremath{\tilde{y}}"),
        ("10⁻¹²", r"10\ensuremath{^{-}}\ensuremath{^{1}}\ensuremath{^{2}}"),
        ("a_b", r"a\_b"),
        ("Szepesvári, Schölkopf", r"Szepesv\'{a}ri, Sch\"{o}lkopf"),
    ],
)
def test_signs_become_mathematics(text, made):
    assert latex_text(text) == made


def test_every_claim_can_be_written_in_ascii_latex():
    for claim in all_claims():
        texts = [getattr(claim, field.name) for field in dataclasses.fields(claim)[:5]]
        made = latex_text(" ".join(texts))
        assert made.isascii(), (claim.name, made)
        assert made.count("{") == made.count("}"), (claim.name, made)
