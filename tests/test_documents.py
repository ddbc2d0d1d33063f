"""Pages, workflows and recipes name what is there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs/howto").glob("*.md"))
LINK = re.compile(r"\]\((?!https?://|#)([^)\s#]+)")
PLACE = re.compile(r"`((?:ntk_air|tests|experiments|benchmarks|docs|figures|\.ci)/[\w./]*[\w/])`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_places_of_a_page_exist(page):
    text = page.read_text("utf-8")
    linked = [target for target in LINK.findall(text) if not (page.parent / target).exists()]
    # The changelog names places that are no more.
    places = [] if page.name == "CHANGELOG.md" else PLACE.findall(text)
    assert not linked
    assert not [place for place in places if not (ROOT / place).exists()]


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 900


def test_sections_of_the_theory_that_are_cited_are_there():
    theory = (ROOT / "docs/theory.md").read_text("utf-8")
    there = set(re.findall(r"^## (\d+)\. ", theory, flags=re.MULTILINE))
    cited = set()
    for folder in ("ntk_air", "experiments", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for match in re.findall(
                r"theory\.md,? (?:sections? )?\(?(\d+)(?:[a-h]\b|\b)(?:(?:,| and) (\d+))?",
                path.read_text("utf-8"),
            ):
                cited |= {number for number in match if number}
    assert cited
    assert cited <= there


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / ".github").rglob("*.yml")), ROOT / ".pre-commit-config.yaml"],
    ids=lambda path: path.name,
)
def test_workflows_and_forms_are_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text("utf-8")), dict)


def test_workflows_call_what_ci_runs():
    workflow = (ROOT / ".github/workflows/tests.yml").read_text("utf-8")
    assert "run: bash .ci/run" in workflow
    assert (ROOT / ".ci/run").exists()
    site = (ROOT / ".github/workflows/docs.yml").read_text("utf-8")
    assert "uv run just docs\n" in site
    assert "$uv run just docs\n" in (ROOT / ".ci/run").read_text("utf-8")


@pytest.mark.skipif(shutil.which("just") is None, reason="just is not installed")
def test_recipes_can_be_read():
    done = subprocess.run(["just", "--list"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for recipe in ("fast", "test", "check", "docs", "doctest", "figures"):
        assert f"    {recipe}" in done.stdout
