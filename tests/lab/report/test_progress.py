"""Progress: plain lines, few of them, without a terminal; bars on one; the time that is left."""

import io
import sys

import pytest
from rich.console import Console

from ntk_air.lab.report import progress as told
from ntk_air.lab.report.progress import duration, progress_on_standard_error


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only where a test lets them."""
    now = [0.0]
    monkeypatch.setattr("ntk_air.lab.report.progress.time.monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_only_the_end_of_a_quick_stage_is_told(capsys):
    with progress_on_standard_error() as progress:
        for done in range(1, 101):
            progress("tiles", done, 100)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.endswith("tiles: 100/100")


def test_a_slow_stage_is_told_on_the_way_with_the_time_left(capsys, clock):
    with progress_on_standard_error() as progress:
        for done in (501, 502, 503, 505):  # resumed: the first 500 took no time of this process
            clock(4)
            progress("tiles", done, 510)
        progress("tiles", 506, 510, seconds_left=400.0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("] ")[1] for line in lines] == [
        "tiles: 502/510, about 32 s left",
        "tiles: 505/510, about 15 s left",
    ]


def test_an_estimate_from_elsewhere_goes_first(capsys, clock):
    with progress_on_standard_error() as progress, progress.paused():
        for done in (1, 2):
            clock(6)
            progress("claims", done, 10, seconds_left=400.0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("] ")[1] for line in lines] == [
        "claims: 1/10, about 7 min left",
        "claims: 2/10, about 7 min left",
    ]


def test_on_a_terminal_bars_give_way_to_what_is_printed(monkeypatch, capsys, clock):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(told, "Console", lambda stderr: terminal)
    with progress_on_standard_error() as progress:
        for done in (1, 2):
            clock(10)
            progress("tiles", done, 5)
        sys.stdout.write("not in the bars' way\n")
        with progress.paused():
            sys.stdout.write("a row\n")
            before = screen.getvalue()
    assert "tiles" in before and "2/5" in before
    assert "about 30 s left" in before
    assert capsys.readouterr().out == "not in the bars' way\na row\n"


def test_durations_are_short():
    assert [duration(seconds) for seconds in (0.4, 119.0, 120.0, 7199.0, 7200.0)] == [
        *("0 s", "119 s", "2 min", "120 min", "2.0 h")
    ]
