"""Claims checked in this process or in several; a verdict is given as soon as it is known."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeAlias

from ntk_air.claims import Claim, Measurement, Verdict, verify
from ntk_air.claims.comparison import Status
from ntk_air.lab.verification.config import VerifyConfig
from ntk_air.lab.verification.shares import shares
from ntk_air.problem import Problem

_Outcome: TypeAlias = tuple[str, Status, str, Measurement | None, Measurement | None, float]
"""A claim's name and the rest of its verdict: a claim's functions do not travel."""


def here(problem: Callable[[], Problem], claims: Sequence[Claim]) -> Iterator[Verdict]:
    """Verdicts of this process, in the order of the claims."""
    made = problem()
    for claim in claims:
        yield from verify(made, [claim])


def in_processes(config: VerifyConfig, claims: Sequence[Claim], n: int) -> Iterator[Verdict]:
    """Verdicts of ``n`` processes as they come; each builds the problem for itself.

    Raises:
        ChildProcessError: a process ended without an answer, as for want of memory.
    """
    by_name, left = {claim.name: claim for claim in claims}, shares(claims)
    context = multiprocessing.get_context("spawn")
    processes: dict[Connection, BaseProcess] = {}
    waiting: dict[Connection, int] = {}
    with contextlib.ExitStack() as leaving:
        for _ in range(n):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, config), daemon=True)
            process.start()
            leaving.callback(process.join)
            leaving.callback(process.terminate)
            theirs.close()
            processes[ours], waiting[ours] = process, 0
        while left or any(waiting.values()):
            for pipe in [each for each, count in waiting.items() if count == 0 and left]:
                share = left.pop(0)
                with contextlib.suppress(ConnectionError):  # it has ended: what it sent is received
                    pipe.send([claim.name for claim in share])
                waiting[pipe] = len(share)
            for pipe in wait([each for each, count in waiting.items() if count]):
                assert isinstance(pipe, Connection)
                name, status, reason, measurement, control, seconds = _received(pipe)
                waiting[pipe] -= 1
                yield Verdict(by_name[name], status, reason, measurement, control, seconds)


def _received(pipe: Connection) -> _Outcome:
    try:
        answer = pipe.recv()
    except (EOFError, ConnectionError) as error:
        raise ChildProcessError(
            "a process that checked claims ended without an answer, as for want of memory: "
            "--jobs 1 checks all in one"
        ) from error
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _work(pipe: Connection, config: VerifyConfig) -> None:
    """Check the claims that are named, until nobody names any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one sees to it
    import jax

    jax.config.update("jax_enable_x64", True)
    try:
        dataset = config.load()
        problem = config.problem(dataset, config.build_kernel(dataset)[0])
        while True:
            for claim in pipe.recv():
                (verdict,) = verify(problem, [claim])
                numbers = (verdict.measurement, verdict.control, verdict.seconds)
                pipe.send((claim, verdict.status, verdict.reason, *numbers))
    except (EOFError, ConnectionError):
        return
    except Exception as error:
        pipe.send(error)
