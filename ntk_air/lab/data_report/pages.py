"""The pages of ``ntk-air report``: of data, and of a finished run."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ntk_air.lab import html
from ntk_air.lab.data_report.doctor import Finding, findings
from ntk_air.lab.data_report.measured import Measured
from ntk_air.lab.data_report.sections import Section, sections
from ntk_air.lab.harness import report_of
from ntk_air.lab.redraw import FinishedRun
from ntk_air.lab.report.formats import heads, rows


def data_page(found: Measured, command: str) -> str:
    """The page about data and their kernel.

    Args:
        found: what was measured.
        command: command line that made the page.
    """
    raw = found.raw
    checked = findings(raw, found.problem, found.alignments)
    amiss = sum(bool(each.remedy) for each in checked)
    title = f"{raw.name} under its tangent kernel"
    first = (
        f"{raw.n_train} rows, {raw.n_classes} classes; {found.kernel_name}. "
        f"{amiss} of {len(checked)} things looked at need care (see the doctor below)."
    )
    return html.page(
        title,
        [
            f"<h1>{html.text(title)}</h1>",
            f'<p class="big">{html.text(first)}</p>',
            *(_section(each) for each in sections(found)),
            _doctor(checked),
            _made_by(command),
        ],
    )


def run_page(run: FinishedRun, command: str) -> str:
    """The page about a finished run: what was found, its tables and its figures."""
    title = run.experiment.replace("_", " ")
    parts = [f"<h1>{html.text(title)}</h1>"]
    *shown, found = run.summary().renderables
    parts.append(f'<p class="big">{html.text(getattr(found, "plain", found))}</p>')
    for each in shown:
        if isinstance(each, Table):
            n_left = sum(column.justify == "left" for column in each.columns)
            parts.append(html.table(heads(each), rows(each), n_left=n_left))
        else:
            lines = [line for line in str(getattr(each, "plain", each)).splitlines() if line]
            parts += [f"<p>{html.text(line)}</p>" for line in lines]
    drawn = report_of(run.experiment).figures(run.results, run.arrays)
    captions = [(draw, name.replace("_", " ")) for name, draw in drawn.panels.items()]
    parts += ["<h2>Figures</h2>", f"<p>{html.text(drawn.title)}</p>", html.figures(captions)]
    return html.page(title, [*parts, _made_by(command)])


def _section(section: Section) -> str:
    parts = [f"<h2>{html.text(section.title)}</h2>", f"<p>{html.text(section.says)}</p>"]
    if section.figure is not None:
        parts.append(html.figures([section.figure]))
    if section.columns:
        parts.append(html.table(section.columns, section.rows))
    return "\n".join(parts)


def _doctor(checked: Sequence[Finding]) -> str:
    lines = []
    for each in checked:
        kind, mark = ("look", "look after") if each.remedy else ("well", "well")
        lines.append(
            f'<li><b>{html.text(each.name)}</b> <span class="{kind}">({mark})</span>: '
            f"{html.text(each.found)}."
            + (f" <b>What to do:</b> {html.text(each.remedy)}." if each.remedy else "")
            + "</li>"
        )
    return f"<h2>The doctor</h2><ul>{''.join(lines)}</ul>"


def _made_by(command: Any) -> str:
    from ntk_air._base.version import package_version

    return f"<p>Made by ntk_air {package_version()}: <code>{html.text(command)}</code></p>"
