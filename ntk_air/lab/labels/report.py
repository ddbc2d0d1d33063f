"""``report.html``: one file that opens offline, with figures and suspects inside."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from ntk_air.lab.html import figures, inlined, page, text
from ntk_air.lab.labels.given import Given
from ntk_air.lab.labels.pictures import (
    energy_picture,
    error_picture,
    spectrum_picture,
    transition_picture,
)
from ntk_air.lab.plotting import Draw

_MOST_SUSPECTS = 60
_LONGEST_TEXT = 300

_VERDICTS = {
    "noise_aware": "Self-distillation that knows its noise was used: it predicts labels that were "
    "hidden from it better than plain training does.",
    "early_stopping": "Self-distillation predicts hidden labels no better than plain training "
    "does: there is next to no noise, or this kernel is too weak to tell it from its own errors. "
    "Plain training, stopped early, was used; take rate and suggestions with care.",
    "no_signal": "These inputs say nothing of these labels: nothing can be suggested. Another "
    "kernel, or features of a pretrained network, may see more.",
    "too_few_rows": "A class has too few rows for anything to be said.",
    "one_class": "All labels are the same: there is nothing to compare.",
}


def report_html(results: Mapping[str, Any], arrays: Mapping[str, np.ndarray], given: Given) -> str:
    """The page.

    Args:
        results: numbers of ``noise.json``.
        arrays: curves of the run.
        given: rows as a reader knows them.
    """
    has_answer = results["rate"] is not None
    parts = [
        f"<h1>Labels of {text(results['source'])}</h1>",
        f'<p class="big">{_summary(results)}</p>',
        f"<p>{_VERDICTS[results['verdict']]}</p>",
        "<ul>" + "".join(f"<li>{text(reason)}</li>" for reason in results["reasons"]) + "</ul>",
        _figures(results, arrays, has_answer=has_answer),
    ]
    if has_answer:
        parts.append(_suspects(results, arrays, given))
    if results["judged"]:
        parts.append(_judged(results))
    parts.append(
        f"<h2>What this rests on</h2><p>Kernel: {text(results['kernel'])}. No clean label was "
        "seen. Assumed is that a label's noise depends on its class alone, that most labels of a "
        "class are right or wrong in one way that the others are not, and that the kernel tells "
        "the classes apart: where it confuses two, rows between them look like errors. Intervals "
        f"({results['level']:.0%}) are over rows, and joined over all ways to explain the labels "
        "that are not two standard errors behind the best.</p>"
    )
    return page(f"Labels of {results['source']}", parts)


def _summary(results: Mapping[str, Any]) -> str:
    n, n_classes = results["rows"], len(results["classes"])
    found = f"{n} rows, {n_classes} classes"
    if results["rate"] is None:
        return f"{found}. Nothing is known beyond the given labels."
    lower, upper = results["rate_interval"]
    return (
        f"{found}. About <b>{results['rate']:.1%}</b> of the labels are wrong ({lower:.1%} to "
        f"{upper:.1%}); <b>{results['probably_wrong']}</b> are more likely wrong than right."
    )


def _figures(
    results: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, has_answer: bool
) -> str:
    shown: list[tuple[Draw, str]] = []
    if has_answer:
        shown.append(
            (
                transition_picture(results),
                "How classes are mislabelled: in each row, the shares of given labels among rows "
                "of that true class (estimated).",
            )
        )
        shown.append((error_picture(arrays), "How many labels are in doubt."))
    if "given_energy" in arrays:
        shown.append(
            (
                energy_picture(arrays, has_answer=has_answer),
                "Where labels lie in the kernel's spectrum. Signal fills the top modes, noise "
                "spreads evenly; suggested labels are taken for true.",
            )
        )
        shown.append((spectrum_picture(arrays), "The kernel's spectrum."))
    return f"<h2>What was found</h2>{figures(shown)}"


def _suspects(results: Mapping[str, Any], arrays: Mapping[str, np.ndarray], given: Given) -> str:
    names, rows = results["classes"], arrays["suspects"][:_MOST_SUSPECTS]
    lines = []
    for row in rows.tolist():
        cells = [
            f'<td class="number">{row}</td>',
            f"<td>{text(names[arrays['given'][row]])}</td>",
            f"<td>{text(names[arrays['suggested'][row]])}</td>",
            f'<td class="number">{arrays["error_probability"][row]:.3f}</td>',
        ]
        if given.images:
            cells.append(f'<td class="suspect"><img alt="" src="{_image(given, row)}"></td>')
        cells.append(f"<td>{text(given.texts[row][:_LONGEST_TEXT])}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    image = "<th></th>" if given.images else ""
    return (
        f"<h2>The {len(lines)} likeliest to be wrong</h2><p>All rows are in <code>labels.csv"
        '</code>.</p><table><tr><th class="number">row</th><th>given</th><th>suggested</th>'
        f'<th class="number">P(wrong)</th>{image}<th></th></tr>{"".join(lines)}</table>'
    )


def _judged(results: Mapping[str, Any]) -> str:
    lines = "".join(
        f'<tr><td>{text(each["way"])}</td><td class="number">{each["log_likelihood"]:.4f}</td>'
        f'<td class="number">{each["behind"]:.4f} ± {each["behind_std_error"]:.4f}</td></tr>'
        for each in results["judged"]
    )
    return (
        "<h2>What was tried</h2><p>Each way predicted given labels that were hidden from it; mean "
        'log-likelihood, in nats.</p><table><tr><th>way</th><th class="number">hidden labels</th>'
        f'<th class="number">behind the best</th></tr>{lines}</table>'
    )


def _image(given: Given, row: int) -> str:
    from PIL import Image

    pixels = np.round(given.dataset.inputs[row] * 255).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "PNG")
    return inlined(stream.getvalue())
