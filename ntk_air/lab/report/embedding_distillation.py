"""Figures and summary of ``experiments/embedding_distillation.py``, from its saved results."""

from rich.console import Group
from rich.text import Text

from ntk_air.lab.plotting import COLOURS, Axes, Draw
from ntk_air.lab.report.layout import (
    Arrays,
    Figures,
    Results,
    caption,
    heading,
    kernel_line,
    table,
)

_STUDENTS = {"embeddings": ("self_distilled", "-"), "scores": ("noisy", "--")}
_MEASURES = {
    "recall": "recall, new queries and documents",
    "kendall": "Kendall's τ, new queries and documents",
    "error": "RMS error of scores",
}


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""

    def panel(measure: str) -> Draw:
        return lambda axes: _draw(axes, arrays, measure)

    return Figures({measure: panel(measure) for measure in _MEASURES}, caption(results))


def summary(results: Results) -> Group:
    """The run in one screen."""
    rows = [
        (name, *(f"{results[f'{name}_{measure}']:.4f}" for measure in _MEASURES))
        for name in _STUDENTS
    ]
    return Group(
        heading(results, kernel_line(results), ""),
        Text(
            f"{results['known_documents']} known documents of rank {results['rank']} of "
            f"{results['entries']}, {results['new_documents']} new ones, "
            f"{results['new_queries']} new queries; after {results['steps']} steps"
        ),
        table(
            ("matched", f"recall at {results['retrieved']}", "Kendall's τ", "error of scores"), rows
        ),
    )


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    return (
        f"of new documents the student of embeddings recalls {results['embeddings_recall']:.3f}, "
        f"that of {results['known_documents']} documents' scores "
        f"{results['scores_recall']:.3f}: scores say nothing outside the documents' span"
    )


def _draw(axes: Axes, arrays: Arrays, measure: str) -> None:
    for name, (colour, form) in _STUDENTS.items():
        axes.semilogx(
            arrays["times"],
            arrays[f"{name}_{measure}"],
            form,
            color=COLOURS[colour],
            label=f"{name} matched",
        )
    axes.set_xlabel("steps")
    axes.set_ylabel(_MEASURES[measure])
