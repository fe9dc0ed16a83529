"""What ``explain`` found, on standard output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cohortium.cli.show import _print, _table, emit, say

if TYPE_CHECKING:
    from cohortium.contracts.explanations import Explanation, PatientExplanation

FEATURES = 12
"""Features that the terminal shows."""


def show_explanation(found: Explanation, folder: Path | None, as_json: bool, quiet: bool) -> None:
    """The answer, modalities, leading features, whether the order holds; for machines all records."""
    if as_json:
        emit({"folder": folder, "results": found})
        return
    if quiet:
        return
    from cohortium.report.explanation import answer, caveats, deletion_text, label_of, size_text
    from cohortium.report.randomised import randomised_text
    from cohortium.report.words import estimate_text, metric_name, value_text

    _print(answer(found))
    for text in caveats(found):
        _print(f"! {text}")
    metric = metric_name(found.metric)
    t = _table(None, "modality", "units", f"adds to {metric}", "moves a prediction by", f"shuffled: {metric} falls by")
    for m in found.modalities:
        drawn = "" if found.exact else f" ± {value_text(m.error)}"
        name = m.modality if m.used else f"{m.modality} (not used)"
        worth = estimate_text(m.worth, True) + drawn
        t.add_row(name, str(m.n_units), worth, size_text(m.given, found.percent), estimate_text(m.shuffled, True))
    _print(t)
    if found.features:
        say(f"Features that move predictions most ({found.quantity}), shuffled among held-out units:")
        t = _table(None, "feature", "modality", "moves by", f"{metric} falls by")
        for f in found.features[:FEATURES]:
            t.add_row(label_of(f), f.modality, size_text(f.moves, found.percent), estimate_text(f.shuffled, True))
        _print(t)
    if text := deletion_text(found):
        _print(text)
    if text := randomised_text(found):
        _print(text)
    for name, why in found.skipped.items():
        say(f"Note: {name} {why}.")
    for note in found.notes:
        say(f"Note: {note}.")
    if folder is not None:
        say(f"Wrote {folder}: explanation.html, explanation.json, features.csv.")


def show_patient(found: PatientExplanation, file: Path | None, as_json: bool, quiet: bool) -> None:
    """The prediction, what moved it, what a missing modality might change, similar patients; for machines all records."""
    if as_json:
        emit({"file": file, "results": found})
        return
    if quiet:
        return
    from cohortium.report.patient import amount as shown
    from cohortium.report.patient import answer, shown_column

    k = shown_column(found)
    amount = lambda x, change=False, signed=False: shown(x, found.percent, change, signed)  # noqa: E731
    _print(answer(found))
    for note in found.notes:
        _print(f"! {note[0].upper()}{note[1:]}.")
    if found.modalities:
        say("What its modalities did, of knowing nothing to this prediction:")
        t = _table(None, "modality", "moved it by")
        for m in found.modalities:
            t.add_row(m.modality, amount(m.value[k], True, True))
        _print(t)
    if found.features:
        say("What features did, against the values of other patients (± Monte-Carlo error):")
        t = _table(None, "feature", "modality", "value", "higher than", "moved it by")
        for f in found.features:
            above = ["–" if x is None else f"{100 * x:.0f}%" for x in f.place]
            moved = f"{amount(f.value[k], True, True)} ± {amount(f.error[k], True).removesuffix(' points')}"
            t.add_row(", ".join(f.features), f.modality, ", ".join(f.measured) or "–", ", ".join(above) or "–", moved)
        _print(t)
    _parts(found, k, amount)
    _missing(found, amount)
    if found.peers:
        say("Most similar patients the model was fitted on, and what became of them:")
        t = _table(None, "unit", "similarity", "in common", found.endpoint)
        for p in found.peers:
            t.add_row(p.unit, f"{p.similarity:.1f}", str(len(p.shared)), p.outcome)
        _print(t)
    if file is not None:
        page = file.suffix.lower() in (".html", ".htm")
        say(f"Wrote {file}.{' It holds this patient: keep it private.' if page else ''}")


def _parts(found: PatientExplanation, k: int, amount: Any) -> None:
    """Instances, codes and sentences; gradients of a network."""
    parts = sorted(found.parts, key=lambda p: -abs(p.value[k]))[:FEATURES]
    if parts:
        say("Without which part of a bag, history or note the prediction would change most, left out alone:")
        looked = any(p.attention is not None for p in parts)
        t = _table(None, "part", "modality", "raises it by", *(["attention (no importance)"] if looked else []))
        for p in parts:
            weight = ["–" if p.attention is None else f"{100 * p.attention:.1f}%"] if looked else []
            t.add_row(p.label, p.modality, amount(p.value[k], True, True), *weight)
        _print(t)
    if found.gradients_total is not None and not found.gradients:
        say(
            "The network's score is the same at the means of training and here: it adds nothing to what it starts from."
        )
    if found.gradients:
        total, error = found.gradients_total or 0.0, found.gradients_error or 0.0
        say(
            f"Integrated gradients of the network's score, {total:+.3f} from the means to this patient (completeness error {error:+.1e}):"
        )
        t = _table(None, "encoded feature", "modality", "score")
        for g in found.gradients:
            t.add_row(g.feature, g.modality, f"{g.value:+.3f}".replace("-", "−"))
        _print(t)


def _missing(found: PatientExplanation, amount: Any) -> None:
    """What is not measured."""
    if not found.missing:
        return
    say("If it were measured, going by similar patients who have it:")
    crosses = found.threshold is not None
    t = _table(
        None,
        "modality",
        "patients",
        "expected",
        "8 of 10 between",
        "change",
        *(["decision changes"] if crosses else []),
    )
    for m in found.missing:
        if m.reason:
            t.add_row(m.modality, "–", m.reason)
            continue
        chance = [f"{100 * m.crossing:.0f}%"] if m.crossing is not None else []
        t.add_row(
            m.modality,
            str(m.n),
            amount(m.expected),
            f"{amount(m.low)} to {amount(m.high)}",
            amount(m.change, True),
            *chance,
        )
    _print(t)
