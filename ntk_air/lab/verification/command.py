"""The command ``ntk-air verify``, from its options to its last line."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group

from ntk_air._base import files
from ntk_air.claims import Claim, Verdict, all_claims
from ntk_air.claims.sources import papers_of
from ntk_air.lab.format import Format
from ntk_air.lab.report.formats import as_csv, exported
from ntk_air.lab.report.progress import duration, progress_on_standard_error
from ntk_air.lab.report.verdicts import (
    claims_table,
    heading,
    tally,
    verdict_numbers,
    verdict_row,
    verdicts_record,
    verdicts_table,
)
from ntk_air.lab.verification.config import VerifyConfig, cores
from ntk_air.lab.verification.shares import n_processes, seconds_of
from ntk_air.lab.verification.workers import here, in_processes

if TYPE_CHECKING:
    from rich.console import Console

_SETTLING_SECONDS = 5.0
"""From when on the time left is estimated more by the pace so far than by the plan."""


def check(config: VerifyConfig, console: "Console") -> int:
    """Check claims, print each verdict when it is known, or all in one format; the exit status.

    After an interruption, or an error half way, what is printed and written has the verdicts so
    far.
    """
    claims = all_claims(config.claims, config.theory)
    if config.bibtex:
        papers = papers_of(claim.source for claim in claims)
        console.out("\n\n".join(paper.bibtex() for paper in papers), highlight=False)
        return 0
    if config.list:
        console.print(claims_table(claims))
        return 0
    if config.json is not None:
        files.check_writable("json", config.json)
    dataset = config.load()
    kernel, kernel_name = config.build_kernel(dataset)
    n = n_processes(claims, config.jobs, cores())
    if n > 1:
        found = in_processes(config, claims, n)
    else:
        found = here(lambda: config.problem(dataset, kernel), claims)
    output = _Output(console, config.format, heading(dataset, kernel_name))
    verdicts: list[Verdict] = []
    try:
        with progress_on_standard_error() as progress:
            output.begin(claims, n)
            for verdict, seconds_left in _with_time_left(found, claims, n):
                with progress.paused():
                    output.show(verdict, is_first=not verdicts)
                verdicts.append(verdict)
                progress("claims", len(verdicts), len(claims), seconds_left=seconds_left)
    finally:
        if verdicts:
            known = {verdict.claim.name: verdict for verdict in verdicts}
            verdicts = [known[claim.name] for claim in claims if claim.name in known]
            left = [claim.name for claim in claims if claim.name not in known]
            record = verdicts_record(dataset, kernel_name, verdicts, left=left)
            output.end(verdicts, record)
            if config.json is not None:
                config.json.parent.mkdir(parents=True, exist_ok=True)
                files.write_json(config.json, record)
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


def _with_time_left(
    found: Iterator[Verdict], claims: Sequence[Claim], n: int
) -> Iterator[tuple[Verdict, float]]:
    """Verdicts with the seconds that the rest will take, by the pace so far."""
    started, done = time.monotonic(), 0.0
    total = seconds_of(claims)
    for verdict in found:
        done += seconds_of([verdict.claim])
        elapsed = time.monotonic() - started
        pace = (done + n * _SETTLING_SECONDS) / (elapsed + _SETTLING_SECONDS)
        yield verdict, (total - done) / pace


class _Output:
    """What is printed: rows as they come for readers, all at once in the other formats."""

    def __init__(self, console: "Console", form: Format, said: str):
        self._console, self._form, self._said = console, form, said

    def begin(self, claims: Sequence[Claim], n: int) -> None:
        if self._form == "text":
            many = f" in {n} processes" if n > 1 else ""
            takes = f"{len(claims)} claims, about {duration(seconds_of(claims) / n)}{many}"
            words = "docs/glossary.md#verdicts-on-claims"
            self._console.print(f"{self._said}\n{takes}; words: {words}\n", soft_wrap=True)

    def show(self, verdict: Verdict, *, is_first: bool) -> None:
        if self._form == "text":
            self._console.print(verdict_row(verdict, self._console.width, head=is_first))

    def end(self, verdicts: Sequence[Verdict], record: Mapping[str, Any]) -> None:
        """The last line; in the other formats all of it."""
        last = tally(verdicts)
        if self._form == "text":
            self._console.print(f"\n{last}")
        elif self._form == "json":
            self._console.out(json.dumps(record, indent=2, ensure_ascii=False), highlight=False)
        elif self._form == "csv":
            numbers = [verdict_numbers(verdict) for verdict in verdicts]
            lines = [list(each.values()) for each in numbers]
            self._console.out(as_csv(list(numbers[0]), lines), end="", highlight=False)
        elif self._form in ("markdown", "latex"):
            shown = Group(self._said, "", verdicts_table(verdicts), "", last)
            self._console.out(exported(shown, self._form), highlight=False)
