"""Verdicts of several processes, and what becomes of their errors."""

import dataclasses
import multiprocessing

import pytest

from ntk_air.claims import all_claims, verify
from ntk_air.lab.config import DataConfig
from ntk_air.lab.verification import workers
from ntk_air.lab.verification.config import VerifyConfig

SMALL = VerifyConfig(data=DataConfig("clusters", n_train=40, n_test=0))


@pytest.mark.slow
def test_several_processes_find_what_one_finds():
    claims = all_claims(["1e", "10d"])
    found = {each.claim.name: each for each in workers.in_processes(SMALL, claims, 2)}
    dataset = SMALL.load()
    alone = verify(SMALL.problem(dataset, SMALL.build_kernel(dataset)[0]), ["1e", "10d"])
    for verdict in alone:
        other = found[verdict.claim.name]
        assert (other.status, other.claim.statement) == ("holds", verdict.claim.statement)
        assert other.measurement.predicted == verdict.measurement.predicted
        assert other.measurement.measured == pytest.approx(verdict.measurement.measured, rel=1e-9)
    assert not multiprocessing.active_children()


class _AtOnce:
    """A process whose work is done when it starts, in this one."""

    def __init__(self, *, target, args, daemon):
        self._work, self._args = target, args

    def start(self):
        self._work(*self._args)

    def terminate(self):
        """There is nothing left to end."""

    def join(self):
        """Nor to wait for."""


@pytest.fixture
def at_once(monkeypatch):
    context = multiprocessing.get_context("spawn")
    monkeypatch.setattr(workers.signal, "signal", lambda *_: None)
    monkeypatch.setattr(context, "Process", _AtOnce, raising=False)
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _: context)


def test_an_error_of_a_process_is_raised_here(at_once):
    wrong = dataclasses.replace(SMALL, data=DataConfig("nothing"))
    with pytest.raises(ValueError, match="name must be one of 'digits'"):
        list(workers.in_processes(wrong, all_claims(["1e"]), 1))


def test_a_process_that_ends_without_an_answer_is_named(at_once, monkeypatch):
    monkeypatch.setattr(workers, "_work", lambda pipe, config: pipe.close())
    with pytest.raises(ChildProcessError, match="--jobs 1 checks all in one"):
        list(workers.in_processes(SMALL, all_claims(["1e"]), 1))
