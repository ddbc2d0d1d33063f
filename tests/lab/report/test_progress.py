"""Progress without a terminal: plain lines on standard error, few of them."""

from ntk_air.lab.report.progress import progress_on_standard_error


def test_only_the_end_of_a_quick_stage_is_told(capsys):
    with progress_on_standard_error() as progress:
        for done in range(1, 101):
            progress("tiles", done, 100)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.endswith("tiles: 100/100")


def test_a_slow_stage_is_told_on_the_way(capsys, monkeypatch):
    clock = iter(float(seconds) for seconds in range(0, 1000, 4))
    monkeypatch.setattr("ntk_air.lab.report.progress.time.monotonic", lambda: next(clock))
    with progress_on_standard_error() as progress:
        for done in range(1, 5):
            progress("tiles", done, 10)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("] ")[1] for line in lines] == ["tiles: 2/10", "tiles: 4/10"]
