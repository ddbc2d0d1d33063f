"""The documentation site: what is generated for it says all that there is, once."""

import json
import re
from pathlib import Path
from typing import get_args

import api_pages
import figure_pages
import plain_docstrings
import pytest

import ntk_air as na
from ntk_air.claims.comparison import Status
from ntk_air.dynamics.noise_aware.cleaned import Verdict

ROOT = Path(__file__).parents[1]
ENTRY = re.compile(r"^\.\. auto\w+:: ntk_air\.(\S+)$", flags=re.MULTILINE)
NAME = re.compile(r"\bna\.((?:[A-Za-z]\w*\.)*[A-Za-z]\w*)")
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.py"))


def resolved(name):
    value = na
    for part in name.split("."):
        value = getattr(value, part)
    return value


@pytest.fixture(scope="module")
def entries():
    """The names that the API pages document."""
    return ENTRY.findall("\n".join(api_pages.pages().values()))


def test_every_exported_name_is_on_an_api_page_once(entries):
    assert len({id(resolved(name)) for name in entries}) == len(entries)
    plain = [name for name in entries if "." not in name]
    assert sorted(plain) == sorted(set(na.__all__) - set(na._FAMILIES))


@pytest.mark.parametrize("family", sorted(na._FAMILIES))
def test_every_name_of_a_family_is_on_an_api_page_once(family, entries):
    documented = [id(resolved(name)) for name in entries]
    module = getattr(na, family)
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    ]
    assert names
    assert {name: documented.count(id(getattr(module, name))) for name in names} == dict.fromkeys(
        names, 1
    )


def test_the_page_of_figures_has_each_figure_and_command():
    page = figure_pages.page(ROOT / "figures", up="figures")
    pictures = [path.relative_to(ROOT).as_posix() for path in (ROOT / "figures").rglob("*.png")]
    assert pictures
    assert [
        each for each in pictures if page.count(f"({each})") + page.count(f"<{each}>") != 1
    ] == []
    for manifest in (ROOT / "figures").glob("*/manifest.json"):
        command = json.loads(manifest.read_text("utf-8")).get("command")
        if command is not None and any(manifest.parent.glob("*.png")):
            assert f"\n{command}\n" in page


def test_commands_are_found_wherever_a_manifest_has_them():
    recorded = {"runs": [{"command": "a --data-dir ../there --x"}, {"command": "b"}]}
    again = {"one": {"command": "b", "config": {"command": None}}}
    assert figure_pages.commands([recorded, again]) == ["a --data-dir DIR --x", "b"]


def test_a_docstring_keeps_its_characters_and_its_formulas_their_lines():
    lines = ["|f| of ``*x``s and n_*:", "", "    a = b*c", "    d = e"]
    lines += ["", "Args:", "    x: |y|", "", "    z: another"]
    assert plain_docstrings.plain(lines) == [
        r"\|f\| of ``*x``\ s and n\_\*:",
        "",
        "::",
        "",
        "    a = b*c",
        "    d = e",
        "",
        "Args:",
        r"    x: \|y\|",
        "",
        "    z: another",
    ]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.name)
def test_a_tutorial_is_a_page(path):
    lines = path.read_text("utf-8").splitlines()
    assert 40 <= len(lines) <= 90
    assert lines.count("# %%") >= 3


GLOSSARY = (ROOT / "docs/glossary.md").read_text("utf-8")


def test_a_term_is_defined_once_in_a_sentence_or_more():
    terms = re.findall(r"^### (.+)\n(.+)", GLOSSARY, flags=re.MULTILINE)
    assert len({term for term, _ in terms}) == len(terms) == GLOSSARY.count("\n### ")
    assert [term for term, definition in terms if len(definition) < 20] == []


DOCTOR = (ROOT / "ntk_air/lab/data_report/doctor.py").read_text("utf-8")


def test_what_the_doctor_looks_after_is_in_the_glossary():
    found = set(re.findall(r'Finding\(\s*"([^"]+)"', DOCTOR))
    assert found
    assert {name for name in found if f"\n### {name}\n" not in GLOSSARY} == set()


@pytest.mark.parametrize("verdict", [*get_args(Status), *get_args(Verdict)])
def test_every_verdict_that_is_printed_is_in_the_glossary(verdict):
    assert f"\n### {verdict}\n" in GLOSSARY


def test_every_page_is_on_the_start_page():
    docs = ROOT / "docs"
    listed = re.findall(r"^[\w/]+$", (docs / "index.md").read_text("utf-8"), flags=re.MULTILINE)
    pages = {path.relative_to(docs) for path in (*docs.glob("*.md"), *docs.glob("howto/*.md"))}
    names = {path.with_suffix("").as_posix() for path in pages} - {"index"}
    assert names
    assert names <= set(listed)


def test_what_commands_name_of_the_glossary_is_there():
    headings = re.findall(r"^##+ (.+)$", GLOSSARY, flags=re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    texts = [path.read_text("utf-8") for path in (ROOT / "ntk_air").rglob("*.py")]
    named = re.findall(r"docs/glossary\.md#([\w-]+)", "".join(texts))
    assert named
    assert set(named) <= anchors


def test_names_that_pages_use_are_exported():
    docs = ROOT / "docs"
    pages = [*docs.glob("*.md"), *docs.glob("howto/*.md"), ROOT / "README.md", *TUTORIALS]
    named = {name for page in pages for name in NAME.findall(page.read_text("utf-8"))}
    assert len(named) > 50
    assert [name for name in sorted(named) if not exists(name)] == []


def exists(name):
    try:
        return resolved(name) is not None
    except AttributeError:
        return False


def test_the_ten_lines_of_the_start_page_run(capsys):
    index = (ROOT / "docs/index.md").read_text("utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", index, flags=re.DOTALL)
    assert len(lines.splitlines()) == 10
    exec(lines, {})
    printed = capsys.readouterr().out.splitlines()
    assert float(printed[0]) == pytest.approx(0.884, abs=5e-4)
    assert f"# {float(printed[0]):.3f};" in lines
    assert printed[-1] == "holds"
