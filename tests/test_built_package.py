"""What a built package says of itself, and what it asks for."""

import json
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import hatch_build

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment with a wheel of this checkout in it, and this environment's packages."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=False)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    # Files that say where a checkout lies are not read from a folder that is named like this.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def ntk_air(folder, *arguments):
    python = folder / "venv" / "bin" / "python"
    return subprocess.run(
        [str(python), "-I", "-m", "ntk_air", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_wheel_has_the_experiments(installed):
    done = ntk_air(installed, "run")
    assert done.returncode == 0, done.stderr
    scripts = sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))
    assert [line.split()[0].replace("-", "_") for line in done.stdout.splitlines()[2:]] == scripts
    (package,) = installed.glob("venv/lib/python*/site-packages/ntk_air/lab/experiments")
    for script in scripts:
        file = f"{script}.py"
        assert (package / file).read_bytes() == (ROOT / "experiments" / file).read_bytes()
    assert not list(package.rglob("*.pyc"))


def test_an_experiment_runs_from_a_wheel(installed, tmp_path):
    """What runs there is the script, byte for byte; here that it finds all it needs."""
    small = ("--n-train", "20", "--n-test", "0", "--smoke", "--out", tmp_path / "run")
    done = ntk_air(installed, "run", "eigen-spectrum", *small)
    assert done.returncode == 0, done.stderr
    assert "saved in" in done.stdout
    assert json.loads((tmp_path / "run" / "results.json").read_text())["n_train"] == 20
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["command"].startswith("ntk-air run eigen-spectrum --n-train 20")
    assert manifest["package"]["git_commit"] is None
    assert (tmp_path / "run" / "overview.png").stat().st_size > 5_000


def metadata():
    filled = {}
    hatch_build.ReadmeAndAddresses(str(ROOT), {}).update(filled)
    return filled


def test_links_and_pictures_work_outside_the_repository_that_is_named(monkeypatch):
    monkeypatch.setenv("NTK_AIR_REPOSITORY", "https://example.org/someone/ntk_air/")
    monkeypatch.setenv("NTK_AIR_REF", "v1")
    filled = metadata()
    text = filled["readme"]["text"]
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets and all(target.startswith(("https://", "#")) for target in targets)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    prefix = "https://example.org/someone/ntk_air/raw/v1/"
    assert pictures
    for picture in pictures:
        assert (ROOT / picture.removeprefix(prefix)).is_file()
    assert filled["urls"]["Changelog"].endswith("/blob/v1/CHANGELOG.md")


def test_no_address_is_made_up(monkeypatch):
    monkeypatch.delenv("NTK_AIR_REPOSITORY", raising=False)
    filled = metadata()
    assert filled["readme"]["text"] == (ROOT / "README.md").read_text(encoding="utf-8")
    assert filled["urls"] == {"Paper": hatch_build.PAPER}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see [a](docs/a.md)", "see [a](R/blob/v/docs/a.md)"),
        ("![p](b.png)", "![p](R/raw/v/b.png)"),
        ("[![p](b.png)](c.md)", "[![p](R/raw/v/b.png)](R/blob/v/c.md)"),
        ("[h](#here) [w](https://w.org)", "[h](#here) [w](https://w.org)"),
    ],
)
def test_which_links_change(text, expected):
    changed = hatch_build.absolute_links(text, "https://R", "v")
    assert changed.replace("https://R", "R") == expected


def test_plain_use_asks_for_no_tensorflow_and_uv_installs_what_the_readme_needs():
    plain = " ".join(PROJECT["project"]["dependencies"])
    assert "neural-tangents" not in plain
    assert "neural-tangents" in PROJECT["tool"]["uv"]["default-groups"]
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    assert groups["neural-tangents"] == extras["neural-tangents"]
    for extra in ("checkpoints", "mnist", "models", "pretrained"):  # the tests need them
        assert set(extras[extra]) <= set(groups["dev"])


def test_the_constraints_pin_versions_and_lie_within_what_is_asked_for():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert all(re.fullmatch(r"[\w.]+", version) for version in pins.values())
    groups = PROJECT["project"]["optional-dependencies"]
    asked = [*PROJECT["project"]["dependencies"]]
    asked += [*groups["mnist"], *groups["neural-tangents"], *groups["pretrained"]]
    assert {re.match(r"[\w-]+", name)[0] for name in asked} <= set(pins)
