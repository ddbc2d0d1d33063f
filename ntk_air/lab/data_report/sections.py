"""The sections of a report: a figure, and two sentences that say what it means for these data."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ntk_air import plot
from ntk_air.air import retrieval_half_lives
from ntk_air.lab.data_report.measured import Measured
from ntk_air.lab.plotting import COLOURS, Axes, Draw
from ntk_air.lab.report.layout import how_early, number

_UNKNOWN = "The clean labels are unknown, so that this is left out."


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        title: heading.
        says: two sentences.
        figure: drawing with its caption, where there is one.
        columns: heads of a table, where there is one.
        rows: its cells.
    """

    title: str
    says: str
    figure: tuple[Draw, str] | None = None
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def sections(found: Measured) -> list[Section]:
    """All sections, in reading order."""
    return [
        data(found),
        spectrum(found),
        energies(found),
        air(found),
        half_lives(found),
        learning_curve(found),
        training(found),
        certificate(found),
    ]


def data(found: Measured) -> Section:
    """What the data are."""
    raw, noisy = found.raw, found.problem.dataset
    counts = np.bincount(raw.noisy_labels, minlength=raw.n_classes)
    names = raw.class_names or tuple(map(str, range(raw.n_classes)))
    shape = " × ".join(map(str, raw.inputs.shape[1:]))
    even = "about evenly" if counts.min() > 0.5 * counts.max() else "unevenly"
    noise = "Clean labels are unknown: what needs them is left out."
    if noisy.has_clean_labels and noisy.label_noise is not None:
        own = "come with the data" if raw.label_noise is not None else "are flipped on purpose"
        kind = noisy.label_noise.kind
        noise = f"{noisy.noise_fraction:.0%} of the labels {own} ({kind} noise), to see it."
    says = (
        f"{raw.n_train} inputs of {shape} numbers with {raw.n_test} held out, filled {even} into "
        f"{raw.n_classes} classes of {counts.min()} to {counts.max()} rows. {noise}"
    )
    rows = [(name, str(count)) for name, count in zip(names, counts, strict=True)]
    return Section("The data", says, columns=("class", "rows"), rows=rows)


def spectrum(found: Measured) -> Section:
    """The kernel's spectrum."""
    got = found.problem.spectrum
    share = float(np.asarray(got.eigenvalues)[0]) / got.trace
    says = (
        f"The largest of {got.n_mode} modes carries {share:.0%} of the kernel, and its weight is "
        f"that of {got.effective_rank:.1f} equal ones. Condition number {got.condition_number:.2g}:"
        " descent takes about so many steps until the last mode that counts is learnt."
    )

    def draw(axes: Axes) -> None:
        plot.spectrum(got, half_lives=np.asarray(retrieval_half_lives(got)), ax=axes)

    return Section("Spectrum", says, (draw, f"Eigenvalues and half-lives: {found.kernel_name}."))


def energies(found: Measured) -> Section:
    """Where labels and noise live."""
    title = "Where clean labels and noise live"
    summary = found.summary
    if summary is None:
        return Section(title, _UNKNOWN)
    n_top = max(1, found.problem.n_train // 10)
    clean = float(summary.energy_clean[n_top - 1])
    says = f"The top {n_top} modes, a tenth of all, hold {clean:.0%} of the clean labels"
    if summary.energy_noise_centred is None:
        says += ". There is no label noise to compare with."
    else:
        noise = float(summary.energy_noise_centred[n_top - 1])
        says += (
            f" and {noise:.0%} of the noise. Whoever stops when these modes are learnt has most "
            "of the signal for little of the noise."
            if clean > 2 * noise
            else f" and {noise:.0%} of the noise. No set of top modes holds one without the other."
        )
    draw: Draw = lambda axes: plot.energy(summary, ax=axes)  # noqa: E731
    return Section(title, says, (draw, "Share of each in the top k eigenspaces, first draw."))


def air(found: Measured) -> Section:
    """Anisotropic Information Retrieval with its spread."""
    title = "Anisotropic Information Retrieval"
    summary = found.summary
    if summary is None or not found.areas:
        without = "Without label noise there is nothing to be told from the labels."
        return Section(title, _UNKNOWN if summary is None else without)
    mean, spread = float(np.mean(found.areas)), float(np.std(found.areas))
    says = (
        f"The AIR-AUC is {mean:.3f} ± {spread:.3f} over {len(found.areas)} draws of noise (± one "
        f"standard deviation); 0.5 is a kernel without preference and 1 a perfect one. Clean "
        f"labels are retrieved {how_early(mean)} noise."
    )
    draw: Draw = lambda axes: plot.air(summary, ax=axes)  # noqa: E731
    return Section(title, says, (draw, "Signal against noise retrieved, as training goes on."))


def half_lives(found: Measured) -> Section:
    """How long modes take."""
    steps = np.asarray(retrieval_half_lives(found.problem.spectrum))
    modes = [mode for mode in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if mode <= len(steps)]
    tenth = max(1, len(steps) // 10)
    says = (
        f"Half of mode {tenth}, a tenth of the way down, is learnt after "
        f"{number(float(steps[tenth - 1]), '.3g')} steps at the largest rate without overshoot. "
        f"Labels alone, without a clean one, suggest to stop at step {found.schedule.noise.steps}."
    )
    rows = [(str(mode), number(float(steps[mode - 1]), ".3g")) for mode in modes]
    return Section("Half-lives", says, columns=("mode", "steps"), rows=rows)


def learning_curve(found: Measured) -> Section:
    """What more rows bring."""
    sizes, errors = found.learning_curve
    fewer, more = errors[0], errors[-1]
    gain = (
        f"Twice the rows would take off about {1 - errors[-1] / errors[-2]:.0%} more."
        if len(errors) > 1
        else "There are too few rows to say what more would bring."
    )
    says = (
        f"Ridge regression with this kernel is predicted to have a mean square error against the "
        f"given labels of {fewer:.3g} from {sizes[0]} rows and {more:.3g} from {sizes[-1]}, at its "
        f"best ridge. {gain}"
    )

    def draw(axes: Axes) -> None:
        axes.loglog(sizes, errors, "o-", color=COLOURS["clean"], label="predicted")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("training rows")
        axes.set_ylabel("mean square error, fresh rows")

    return Section("Predicted learning curve", says, (draw, "By the average law of the spectrum."))


def training(found: Measured) -> Section:
    """Self-distillation against early stopping."""
    title = "Self-distillation against early stopping"
    schedule, descent, run = found.schedule, found.descent, found.distilled
    gain = max(schedule.hidden_log_likelihoods) - schedule.plain_log_likelihood
    estimate = schedule.noise
    says = (
        f"From the labels alone {estimate.noise_rate:.1%} ± {estimate.noise_rate_std_error:.1%} of "
        f"them are estimated to be wrong, and labels hidden from it are predicted {gain:+.3f} nats "
        "better by self-distillation than by plain training. "
    )
    advice = "Expect a gain from it here." if gain > 0 else "No gain is to be expected from it."
    if descent.held_out is None:
        return Section(title, says + advice)
    assert run.held_out is not None
    curve = np.asarray(descent.held_out.accuracy)
    best, end = float(curve.max()), float(curve[-1])
    got = float(np.asarray(run.held_out.accuracy)[-1])
    says += (
        f"Its held-out accuracy is {got:.3f}, against {best:.3f} of plain descent stopped at the "
        f"best step by an oracle and {end:.3f} at the end: "
        + ("it is ahead." if got > best else "it is not ahead.")
    )

    def draw(axes: Axes) -> None:
        plot.convergence({"gradient descent": descent}, "held_out_accuracy", ax=axes)
        style = {"color": COLOURS["self_distilled"], "linewidth": 1.0}
        axes.axhline(got, label="self-distillation, at its end", **style)

    return Section(title, says, (draw, "Held-out accuracy, first draw of noise."))


def certificate(found: Measured) -> Section:
    """Whether the pattern of hard labels is proved to stand."""
    got, clean = found.certificate, found.problem.dataset.has_clean_labels
    what = "the clean labels" if clean else "labels that are final"
    if got.issued:
        says = (
            f"From step {got.step} on self-distillation with hard labels is proved to go to {what}"
            f" on every training row. The proof holds for all later steps: {got.reason}."
        )
    else:
        says = (
            f"No proof was found that self-distillation with hard labels goes to {what} on every "
            f"training row. That is no proof that it does not: {got.reason}."
        )
    return Section("Certificate", says)
