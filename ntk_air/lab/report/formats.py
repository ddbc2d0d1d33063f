"""Tables in the formats that pages, papers and programs read."""

import csv
import io
import json
import unicodedata
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ntk_air.lab.format import Format

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    "–": "--",
    "—": "---",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "\u202f": r"\,",
}

_MATHEMATICS = {
    "−": "-",
    "±": r"\pm",
    "×": r"\times",
    "·": r"\cdot",
    "√": r"\surd",
    "∞": r"\infty",
    "≤": r"\le",
    "≥": r"\ge",
    "≈": r"\approx",
    "≠": r"\ne",
    "→": r"\to",
    "∈": r"\in",
    "‖": r"\|",
    "⟨": r"\langle",
    "⟩": r"\rangle",
    "ℓ": r"\ell",
    "½": r"\frac{1}{2}",
    "∝": r"\propto",
    "∑": r"\sum",
    "∂": r"\partial",
    "∇": r"\nabla",
    "⊤": r"\top",
    "≪": r"\ll",
    "≫": r"\gg",
    "′": "'",
    "⊗": r"\otimes",
    "⊙": r"\odot",
    "∫": r"\int",
}

_ACCENTS_OF_NAMES = {"0300": "`", "0301": "'", "0308": '"', "030C": "v", "0327": "c"}
"""How LaTeX writes the accents of words, by their code points."""

_ACCENTS = {"\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar", "\u0307": r"\dot"}


def exported(shown: Group, form: Format, **record: Any) -> str:
    """What a report shows on a screen, in another format.

    Args:
        shown: lines and tables.
        form: ``"markdown"``, ``"latex"`` (booktabs; lines are comments), ``"csv"`` (the tables
            alone, an empty line between two) or ``"json"``.
        record: further entries of the JSON.
    """
    lines = [each if isinstance(each, str) else each.plain for each in _texts(shown)]
    tables = [each for each in shown.renderables if isinstance(each, Table)]
    if form == "json":
        content = record | {
            "lines": [line for text in lines for line in text.splitlines() if line],
            "tables": [{"columns": heads(each), "rows": rows(each)} for each in tables],
        }
        return json.dumps(content, indent=2, ensure_ascii=False)
    if form == "csv":
        return "\n".join(as_csv(heads(each), rows(each)) for each in tables).rstrip("\n")
    as_table, as_line = (
        (markdown, "{}\n".format) if form == "markdown" else (latex, lambda line: f"% {line}")
    )
    parts = []
    for each in shown.renderables:
        if isinstance(each, Table):
            parts.append(as_table(each))
        else:
            text = each if isinstance(each, str) else getattr(each, "plain", "")
            parts += [as_line(line) for line in text.splitlines() if line]
    return "\n".join(parts).rstrip("\n")


def _texts(shown: Group) -> list[str | Text]:
    return [each for each in shown.renderables if isinstance(each, str | Text)]


def heads(table: Table) -> list[str]:
    """The heads of a table's columns."""
    return [str(column.header) for column in table.columns]


def rows(table: Table) -> list[list[str]]:
    """The cells of a table, row by row."""
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def markdown(table: Table) -> str:
    """A pipe table."""
    rules = [":--" if column.justify == "left" else "--:" for column in table.columns]
    lines = [heads(table), rules, *rows(table)]
    cells = [[cell.replace("|", "\\|").replace("\n", "<br>") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def latex(table: Table) -> str:
    """A tabular with the rules of booktabs, in plain ASCII that any LaTeX sets."""
    places = "".join("l" if column.justify == "left" else "r" for column in table.columns)

    def line(cells: Sequence[str]) -> str:
        return " & ".join(latex_text(cell) for cell in cells) + r" \\"

    body = [line(cells) for cells in rows(table)]
    made = [rf"\begin{{tabular}}{{{places}}}", r"\toprule", line(heads(table)), r"\midrule", *body]
    return "\n".join([*made, r"\bottomrule", r"\end{tabular}", ""])


def latex_text(text: str) -> str:
    """Text as LaTeX: Greek letters, signs and raised and lowered characters as mathematics."""
    found: list[str] = []
    for character in unicodedata.normalize("NFC", text):
        if character in _ACCENTS:
            found[-1] = rf"\ensuremath{{{_ACCENTS[character]}{{{_inner(found[-1])}}}}}"
        else:
            found.append(_latex_character(character))
    return "".join(found)


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii():
        return " " if character == "\n" else character
    letter, _, accent = unicodedata.decomposition(character).partition(" ")
    if accent in _ACCENTS_OF_NAMES:
        return f"\\{_ACCENTS_OF_NAMES[accent]}{{{chr(int(letter, 16))}}}"
    return rf"\ensuremath{{{_symbol(character)}}}"


def _symbol(character: str) -> str:
    """A character of a formula, in mathematics mode."""
    if character in _MATHEMATICS:
        return _MATHEMATICS[character]
    kind, _, of = unicodedata.decomposition(character).partition(" ")
    if kind in ("<super>", "<sub>"):
        inner = "".join(_in_mathematics(chr(int(code, 16))) for code in of.split())
        return f"{'^' if kind == '<super>' else '_'}{{{inner}}}"
    if kind == "<fraction>":
        above, _, below = (chr(int(code, 16)) for code in of.split())
        return rf"\frac{{{above}}}{{{below}}}"
    if kind and not kind.startswith("<"):  # a letter with its accent
        letter, accent = (chr(int(code, 16)) for code in (kind, of))
        if accent in _ACCENTS:
            return f"{_ACCENTS[accent]}{{{_in_mathematics(letter)}}}"
    words = unicodedata.name(character, "").split()
    if words[:1] == ["GREEK"] and words[2:3] == ["LETTER"] and len(words) == 4:
        name = words[3].lower().replace("lamda", "lambda")
        return f"\\{name.capitalize() if words[1] == 'CAPITAL' else name}"
    return rf"\text{{{character}}}"


def _in_mathematics(character: str) -> str:
    return character if character.isascii() else _symbol(character)


def _inner(made: str) -> str:
    return made.removeprefix(r"\ensuremath{").removesuffix("}") if "{" in made else made


def as_csv(columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """Comma-separated values with a header."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([columns, *lines])
    return text.getvalue()
