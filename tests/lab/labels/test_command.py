"""``ntk-air labels`` from a file to its three results: right, refused, resumed, reused."""

import contextlib
import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from ntk_air import cli
from ntk_air._base import files
from ntk_air.lab import html
from ntk_air.lab.labels import work
from tests.dynamics.noise_aware.test_selection import pair_flipped

N = 90


def blobs(n=N, seed=0):
    """Points around three corners, their classes, and labels of which a fifth is wrong."""
    rng = np.random.default_rng(seed)
    true = np.arange(n) % 3
    points = 4 * np.eye(3)[true] + rng.normal(size=(n, 3))
    return points, true, pair_flipped(true, 0.2, seed=1)


QUICK = ("--n-modes", 20, "--folds", 2)
NAMES = np.array(["ant", "bee", "cat"])


def write_table(path, points, labels, extra=()):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["x", "y", "z", *[name for name, _ in extra], "label"])
        for row, (point, label) in enumerate(zip(points, labels, strict=True)):
            writer.writerow([*point.tolist(), *[cells[row] for _, cells in extra], NAMES[label]])
    return path


@pytest.fixture
def table(tmp_path):
    points, _, given = blobs()
    return write_table(tmp_path / "mine.csv", points, given)


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without figures, whose drawing is most of the time."""
    monkeypatch.setattr(html, "picture", lambda draw: "data:image/png;base64,")


def labels(*arguments):
    """The exit status of the command."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["labels", *map(str, arguments)])
    return ended.value.code


def rows_of(folder):
    with (folder / "labels.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_table_becomes_labels_noise_and_a_report(table, tmp_path, capsys):
    out = tmp_path / "out"
    assert labels(table, "--out", out) == 0
    _, true, given = blobs()
    rows = rows_of(out)
    assert [int(row["row"]) for row in rows] == list(range(N))
    assert [row["given"] for row in rows] == NAMES[given].tolist()
    assert np.mean([row["suggested"] for row in rows] == NAMES[true]) > 0.95
    assert sorted(int(row["rank"]) for row in rows) == list(range(1, N + 1))
    by_rank = sorted(rows, key=lambda row: int(row["rank"]))
    wrong = {str(row) for row in np.flatnonzero(given != true)}
    first = {row["row"] for row in by_rank[: len(wrong)]}
    assert len(first & wrong) > 0.9 * len(wrong)
    probabilities = [float(row["error_probability"]) for row in by_rank]
    assert probabilities == sorted(probabilities, reverse=True)

    noise = json.loads((out / "noise.json").read_text())
    assert noise["classes"] == NAMES.tolist()
    assert abs(noise["rate"] - np.mean(given != true)) < 0.05
    assert noise["rate_interval"][0] < noise["rate"] < noise["rate_interval"][1]
    assert noise["verdict"] in capsys.readouterr().out


def test_a_report_opens_offline_and_escapes_what_it_shows(tmp_path):
    points, _, given = blobs()
    cells = ["<script>alert(1)</script>" if row % 2 else "plain & simple" for row in range(N)]
    path = write_table(tmp_path / "mine.csv", points, given, extra=[("note", cells)])
    out = tmp_path / "out"
    assert labels(path, "--out", out, "--leave-out", "note") == 0
    page = (out / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("data:image/png;base64,") == 4
    assert "<script>" not in page
    texts = tmp_path / "texts.csv"
    with texts.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for label, cell in zip(given, cells, strict=True):
            writer.writerow([f"{NAMES[label]} {NAMES[label]} {cell}", NAMES[label]])
    assert labels(texts, "--out", tmp_path / "texts", "--text-column", "text") == 0
    page = (tmp_path / "texts" / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.usefixtures("undrawn")
def test_a_folder_of_images_is_labelled_by_its_subfolders(tmp_path):
    rng = np.random.default_rng(0)
    true = np.arange(60) % 3
    given = pair_flipped(true, 0.2, seed=1)
    for row, (own, label) in enumerate(zip(true, given, strict=True)):
        pixels = rng.integers(0, 60, size=(6, 6))
        pixels[2 * own : 2 * own + 2] += 180
        folder = tmp_path / "images" / NAMES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{own}-{row:03}.png")
    out = tmp_path / "out"
    assert labels(tmp_path / "images", "--out", out, "--seed", 1) == 0
    suggested = [row["suggested"] for row in rows_of(out)]
    paths = sorted((tmp_path / "images").glob("*/*"))
    expected = [NAMES[int(path.name[0])] for path in paths]
    assert np.mean(np.array(suggested) == expected) > 0.95
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4 + 60


@pytest.mark.usefixtures("undrawn")
def test_a_kernel_of_ones_own_stands_for_the_computed_one(table, tmp_path):
    points, true, _ = blobs()
    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.save(tmp_path / "kernel.npy", np.exp(-square / 8))
    out = tmp_path / "out"
    assert labels(table, "--kernel-file", tmp_path / "kernel.npy", "--out", out) == 0
    assert np.mean([row["suggested"] for row in rows_of(out)] == NAMES[true]) > 0.95
    assert (
        json.loads((out / "noise.json").read_text())["kernel"] == "matrix of one's own, kernel.npy"
    )


@pytest.mark.usefixtures("undrawn")
def test_labels_that_nothing_is_known_of_get_empty_cells(tmp_path):
    rng = np.random.default_rng(4)
    path = write_table(tmp_path / "mine.csv", rng.normal(size=(N, 3)), rng.integers(0, 3, N))
    out = tmp_path / "out"
    assert labels(path, "--out", out) == 0
    noise = json.loads((out / "noise.json").read_text())
    assert (noise["verdict"], noise["rate"]) == ("no_signal", None)
    assert {row["suggested"] + row["error_probability"] + row["rank"] for row in rows_of(out)} == {
        ""
    }
    assert "Nothing is known" in (out / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_second_call_reuses_and_another_option_is_refused(table, tmp_path, capsys):
    out = tmp_path / "out"
    assert labels(table, "--out", out) == 0
    before = (out / "labels.csv").read_bytes()
    assert labels(table, "--out", out) == 0
    assert "reused" in capsys.readouterr().out
    assert labels(table, "--out", out, "--folds", 3) == 2
    assert "another configuration" in capsys.readouterr().err
    points, _, given = blobs()
    write_table(table, points, (given + 1) % 3)
    assert labels(table, "--out", out) == 2
    assert (out / "labels.csv").read_bytes() == before


@pytest.mark.usefixtures("undrawn")
def test_an_interruption_at_any_write_loses_nothing(table, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert labels(table, "--out", whole, *QUICK) == 0
    write = files.write_bytes
    for stopped_at in ("results.json", "labels.csv", "noise.json", "report.html"):

        def interrupted(path, content, last=stopped_at):
            if path.name == last:
                raise KeyboardInterrupt
            write(path, content)

        with monkeypatch.context() as patched:
            patched.setattr(files, "write_bytes", interrupted)
            assert labels(table, "--out", out, *QUICK) == 130
        assert not (out / stopped_at).exists()
        assert (out / ".stages" / "modes.npz").exists()
    assert labels(table, "--out", out, *QUICK) == 0
    for name in ("labels.csv", "noise.json", "report.html"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert json.loads((out / "manifest.json").read_text())["resumed_stages"] == ["modes"]


@pytest.mark.usefixtures("undrawn")
def test_a_full_disk_is_said_and_ends_with_status_2(table, small_disk, capsys):
    out = small_disk / "out"
    filling = small_disk / "filling"
    filling.write_bytes(b"0" * 1_000_000)
    assert labels(table, "--out", out) == 2
    assert "No space left" in capsys.readouterr().err
    assert not (out / "report.html").exists()
    filling.unlink()
    assert labels(table, "--out", out) == 0


@pytest.mark.usefixtures("undrawn")
def test_a_kernel_that_does_not_fit_is_kept_in_tiles(table, tmp_path, monkeypatch):
    dense, tiled = tmp_path / "dense", tmp_path / "tiled"
    assert labels(table, "--out", dense, "--n-modes", 12) == 0
    monkeypatch.setattr(work, "_COPIES", 10**9)
    assert labels(table, "--out", tiled, "--n-modes", 12) == 0
    one, other = (
        [float(row["error_probability"]) for row in rows_of(folder)] for folder in (dense, tiled)
    )
    np.testing.assert_allclose(one, other, atol=1e-3)
    assert not (tiled / ".stages").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_search_for_modes_in_tiles_is_taken_up_where_it_was_interrupted(
    table, tmp_path, monkeypatch
):
    whole, out = tmp_path / "whole", tmp_path / "out"
    monkeypatch.setattr(work, "_COPIES", 10**9)
    monkeypatch.setattr(work, "_BLOCK", 8)
    assert labels(table, "--out", whole, *QUICK) == 0
    passes = []

    @contextlib.contextmanager
    def interrupting(at):
        def progress(stage, done, total):
            if stage.startswith("passes"):
                passes.append(done)
                if done == at:
                    raise KeyboardInterrupt

        yield progress

    progress = "ntk_air.lab.report.progress.progress_on_standard_error"
    monkeypatch.setattr(progress, lambda: interrupting(3))
    assert labels(table, "--out", out, *QUICK) == 130
    assert list((out / ".stages" / "passes").iterdir())
    passes.clear()
    monkeypatch.setattr(progress, lambda: interrupting(None))
    assert labels(table, "--out", out, *QUICK) == 0
    assert min(passes) > 1
    assert (out / "labels.csv").read_bytes() == (whole / "labels.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.csv"], "none.csv"),
        (["none.txt"], "file must be a table"),
        (["mine.csv", "--label-column", "kind"], "has no column 'kind'"),
        (["mine.csv", "--leave-out", "w"], "has no column 'w'"),
        (["mine.csv", "--image-size", "8"], "image_size must be left out but for a folder"),
        (["mine.csv", "--kernel-file", "none.npy"], "there is none at none.npy"),
        (["mine.csv", "--kernel-file", "small.npy"], r"kernel must have shape \(90, 90\)"),
        (["mine.csv", "--features", "nonsense"], "features must be efficientnet_lite0"),
        (["mine.csv", "--features", "x:y", "--kernel-file", "small.npy"], "features must be left"),
        (["mine.csv", "--n-modes", "1"], "n_modes must be a whole number, at least 2"),
        (["mine.csv", "--max-memory", "much"], "max_memory"),
        (["empty"], "in at least two subfolders"),
        (["images"], "images of one size"),
        (["damaged"], "is no readable image"),
    ],
)
@pytest.mark.usefixtures("table")
def test_what_does_not_hold_is_named_and_leaves_nothing(
    tmp_path, monkeypatch, capsys, *, arguments, says
):
    monkeypatch.chdir(tmp_path)
    np.save("small.npy", np.eye(4))
    (tmp_path / "empty").mkdir()
    for name, sizes in (("images", (4, 5)), ("damaged", (4, 4))):
        for label, size in zip("ab", sizes, strict=True):
            (tmp_path / name / label).mkdir(parents=True)
            Image.fromarray(np.zeros((size, size), np.uint8)).save(
                tmp_path / name / label / "1.png"
            )
    (tmp_path / "damaged" / "a" / "2.png").write_bytes(b"no image")
    before = set(tmp_path.iterdir())
    assert labels(*arguments) == 2
    assert re.search(says, capsys.readouterr().err)
    assert set(tmp_path.iterdir()) == before
