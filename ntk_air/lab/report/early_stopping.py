"""Figures and summary of ``experiments/early_stopping.py``, from its saved results."""

from rich.console import Group
from rich.text import Text

from ntk_air.lab.plotting import COLOURS, Axes, Draw
from ntk_air.lab.report.layout import Arrays, Figures, Results, caption, heading, kernel_line

_ROUNDING = 1e-6
"""Largest difference of outputs of order 1 that may be rounding."""


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {
        "student_accuracy": lambda axes: _draw_accuracy(axes, results, arrays),
        "student_equality": lambda axes: _draw_equality(axes, results, arrays),
        "converged_teacher": lambda axes: _draw_converged(axes, results, arrays),
        "identity_clock": lambda axes: _draw_clock(axes, results, arrays),
    }
    return Figures(panels, caption(results))


def summary(results: Results) -> Group:
    """The run in one screen."""
    best, identity = results["best_teacher"], results["identity_self_distillation"]
    return Group(
        heading(results, kernel_line(results), ""),
        Text(
            "converged students against their teachers' own functions: held-out outputs differ by "
            f"at most {results['max_abs_difference_student_teacher']:.1e}\n"
            "steps of a converged teacher's student against plain descent: distances differ by "
            f"at most {results['max_abs_difference_converged_teacher']:.1e}\n"
            f"best teacher: distance {best['best_rms']:.4f} at step {best['best_step']:.0f}; "
            f"held-out accuracy at best {best['test_accuracy_best']:.4f}, "
            f"at the last {best['test_accuracy_final']:.4f}\n"
            "self-distillation with the identity: ends at effective time "
            f"{identity['effective_steps']:.0f} with distance {identity['final_rms']:.4f}; "
            f"descent memorises to {results['gradient_descent']['final_rms']:.4f}"
        ),
    )


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    apart = results["max_abs_difference_student_teacher"]
    same = "is its stopped teacher" if apart < _ROUNDING else "is not its stopped teacher"
    best = results["best_teacher"]
    return (
        f"a converged student {same} on held-out inputs (they differ by {apart:.1e}): what it "
        f"gains is early stopping's, {best['test_accuracy_best']:.3f} against "
        f"{best['test_accuracy_final']:.3f} of the accuracy at the end"
    )


def _draw_accuracy(axes: Axes, results: Results, arrays: Arrays) -> None:
    steps = arrays["teacher_steps"]
    axes.semilogx(
        steps, arrays["teacher_test_accuracy"], color=COLOURS["noisy"], label="teacher stopped at T"
    )
    axes.semilogx(
        steps,
        arrays["student_test_accuracy"],
        "o",
        markersize=3,
        fillstyle="none",
        color=COLOURS["self_distilled"],
        label="its converged student",
    )
    axes.set_xlabel("teacher's steps $T$")
    axes.set_ylabel("held-out accuracy")
    distance = axes.twinx()
    distance.spines["right"].set_visible(True)
    distance.grid(visible=False)
    distance.semilogx(
        steps,
        arrays["teacher_rms_distance"],
        "--",
        color=COLOURS["noise"],
        label="teacher's distance (right axis)",
    )
    distance.set_ylabel("RMS distance to clean labels", color=COLOURS["noise"])


def _draw_equality(axes: Axes, results: Results, arrays: Arrays) -> None:
    axes.loglog(arrays["teacher_steps"], arrays["student_difference"], color=COLOURS["clean"])
    axes.set_xlabel("teacher's steps $T$")
    axes.set_ylabel("largest |student − teacher|, held-out")


def _draw_converged(axes: Axes, results: Results, arrays: Arrays) -> None:
    axes.semilogx(
        arrays["plain_steps"],
        arrays["plain_rms_distance"],
        color=COLOURS["noisy"],
        label="plain descent on noisy labels",
    )
    axes.semilogx(
        arrays["of_converged_steps"][::4],
        arrays["of_converged_rms_distance"][::4],
        "o",
        markersize=3,
        fillstyle="none",
        color=COLOURS["self_distilled"],
        label="student of a converged teacher",
    )
    axes.set_xlabel("student's steps")
    axes.set_ylabel("RMS distance to clean labels")


def _draw_clock(axes: Axes, results: Results, arrays: Arrays) -> None:
    axes.semilogx(
        arrays["plain_steps"],
        arrays["plain_rms_distance"],
        color=COLOURS["noisy"],
        label="plain descent",
    )
    lines = (
        ("identity_steps", "--", "identity, by its own steps"),
        ("identity_effective_steps", ".", r"identity, by $\sum_t\alpha_t$"),
    )
    for key, form, label in lines:
        axes.semilogx(
            arrays[key],
            arrays["identity_rms_distance"],
            form,
            color=COLOURS["clean"],
            markersize=4,
            label=label,
        )
    axes.set_xlabel("steps")
    axes.set_ylabel("RMS distance to clean labels")
