"""Figures and summary of ``experiments/weak_to_strong.py``, from its saved results."""

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

_STUDENTS = {
    "soft": ("teacher's outputs", "noisy", "-"),
    "hard": ("teacher's hard labels", "self_distilled", "--"),
    "truth": ("clean labels", "clean", ":"),
}


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {
        "accuracy": lambda axes: _draw(
            axes, arrays, "test_accuracy", ("held-out accuracy", results["teacher_accuracy"])
        ),
        "distance": lambda axes: _draw(
            axes,
            arrays,
            "rms_distance",
            ("RMS distance to clean labels", results["teacher_rms_at_student"]),
        ),
    }
    return Figures(panels, caption(results))


def summary(results: Results) -> Group:
    """The run in one screen."""
    rows = [
        (
            told,
            f"{results[name]['test_accuracy_best']:.4f}",
            f"{results[name]['test_accuracy_final']:.4f}",
            f"{results[name]['best_rms']:.4f}",
        )
        for name, (told, _, _) in _STUDENTS.items()
    ]
    return Group(
        heading(results, kernel_line(results), ""),
        Text(
            f"linear teacher, {results['teacher_steps']} steps on half of the inputs: held-out "
            f"accuracy {results['teacher_accuracy']:.4f}, distance to the clean labels at the "
            f"student's inputs {results['teacher_rms_at_student']:.4f}"
        ),
        table(("student of", "best accuracy", "at the last", "least distance"), rows),
    )


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    teacher, soft, hard = (
        results["teacher_accuracy"],
        results["soft"]["test_accuracy_best"],
        results["hard"]["test_accuracy_best"],
    )
    return (
        f"taught by a linear teacher of accuracy {teacher:.3f} the stronger kernel reaches "
        f"{soft:.3f} from its outputs and {hard:.3f} from its hard labels"
    )


def _draw(axes: Axes, arrays: Arrays, measure: str, shown: tuple[str, float]) -> None:
    label, teacher = shown
    for name, (told, colour, form) in _STUDENTS.items():
        axes.semilogx(
            arrays[f"{name}_steps"],
            arrays[f"{name}_{measure}"],
            form,
            color=COLOURS[colour],
            label=f"student of {told}",
        )
    axes.axhline(teacher, color=COLOURS["noise"], linewidth=0.8, label="linear teacher")
    axes.set_xlabel("student's steps")
    axes.set_ylabel(label)
