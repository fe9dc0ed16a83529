"""The page of one patient: what moved one prediction, drawn in the patient's notes and images."""

from __future__ import annotations

import base64
import io
from typing import Any

from cohortium.contracts.drawn import ImagesDrawn, NoteDrawn, PatientDrawn, PictureDrawn
from cohortium.contracts.explanations import PatientExplanation
from cohortium.report.explanation import NOT_CAUSES
from cohortium.report.html import render
from cohortium.report.page import Tile
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count, learner_name, names

PRIVATE = (
    "Private: this page holds one patient's data and the ids of similar patients. Keep it where the record itself may be kept; it is no "
    "part of the run's report."
)
STEPS = (0.1, 0.4, 0.7)
"""Shares of the largest effect in a note or set of images from which on a part is marked, more strongly, and most strongly."""

DOWN, UP, NONE = "▼", "▲", "–"


def amount(x: float, percent: bool, change: bool = False, signed: bool = False) -> str:
    """``31.2%``; a change of it ``3.1 points``, or ``+3.1 points``; other numbers as they are."""
    value = 100 * x if percent else x
    text = f"{value:{'+' if signed else ''}{'.1f' if percent else '.3g'}}".replace("-", "−")
    return text + ("" if not percent else " points" if change else "%")


def shown_column(r: PatientExplanation) -> int:
    """The column that one number is given of: of several classes the likeliest."""
    return max(range(len(r.predicted)), key=lambda i: r.predicted[i])


def answer(r: PatientExplanation) -> str:
    """The prediction, and what it would be of somebody unknown."""
    k = shown_column(r)
    cut = "" if r.threshold is None else f"; decided from {amount(r.threshold, r.percent)} on"
    return (
        f"{r.unit}, {r.learner} on {r.endpoint}: {r.quantity} {amount(r.predicted[k], r.percent)}; knowing nothing "
        f"{amount(r.usual[k], r.percent)}{cut}."
    )


def patient_page(r: PatientExplanation, drawn: PatientDrawn) -> str:
    """One HTML file without outside references. It holds the patient's data: see :data:`PRIVATE`."""
    k = shown_column(r)
    return render(
        "patient.html.j2",
        name=r.study, unit=r.unit, private=PRIVATE, answer=answer(r), held_out=r.held_out,
        caveats=[*(n[0].upper() + n[1:] + "." for n in r.notes), NOT_CAUSES],
        tiles=_tiles(r, k),
        modalities=_modalities(r, k) if r.modalities else None,
        features=_features(r, k) if r.features else None,
        notes=[_note(n, r.percent) for n in drawn.notes],
        images=[_images(i, r.percent) for i in drawn.images],
        undrawn=[f"{m}: no pictures, since {why[0].lower()}{why[1:]}" for m, why in drawn.why.items()],
        parts=_parts(r, k, {d.modality for d in (*drawn.notes, *drawn.images)}),
        missing=_missing(r) if r.missing else None,
        peers=_peers(r) if r.peers else None,
        gradients=_gradients(r),
        marks=f"{UP} raises and {DOWN} lowers {r.quantity}",
        facts=[("study", r.study), ("endpoint", r.endpoint), ("learner", r.learner)],
    )  # fmt: skip


def mark(value: float | None) -> str:
    """The sign of an effect, told apart without colours."""
    return NONE if not value else UP if value > 0 else DOWN


def _signed(value: float, percent: bool) -> str:
    """``▲ +3.1 points``; what is written as zero has no sign."""
    text = amount(value, percent, True, True)
    if not any(c in "123456789" for c in text):
        return f"{NONE} {text.lstrip('+−')}"
    return f"{mark(value)} {text}"


def _moved(value: float, percent: bool, more: str = "") -> Cell:
    said = _signed(value, percent)
    return Cell(said, more, {UP: "up", DOWN: "down"}.get(said[0], ""))


def _tiles(r: PatientExplanation, k: int) -> list[Tile]:
    out = [
        Tile(r.quantity, amount(r.predicted[k], r.percent), learner_name(r.learner)),
        Tile("knowing nothing", amount(r.usual[k], r.percent), "the base rate" if r.percent else ""),
    ]
    if r.threshold is not None:
        side = "above" if r.predicted[k] >= r.threshold else "below"
        out.append(Tile("decided from", amount(r.threshold, r.percent), f"this prediction is {side} it"))
    return out


def _modalities(r: PatientExplanation, k: int) -> Table:
    rows = [[Cell(m.modality), _moved(m.value[k], r.percent)] for m in r.modalities]
    how = "Exact Shapley values" if r.exact else "Shapley values over drawn orders"
    note = f"{how}: they add up to the prediction less the one that knows nothing."
    return Table(["modality", "moved it by"], rows, note=note)


def _features(r: PatientExplanation, k: int) -> Table:
    rows = []
    for f in r.features:
        above = names(["–" if x is None else f"{100 * x:.0f}%" for x in f.place], most=4)
        error = f"± {amount(f.error[k], r.percent, True)}"
        rows.append(
            [
                Cell(names(f.features, most=4)), Cell(f.modality), Cell(names(f.measured, most=4) or "–"),
                Cell(above or "–"), _moved(f.value[k], r.percent, error),
            ]
        )  # fmt: skip
    note = (
        "Against the values of other patients, who are drawn at random; ±: Monte-Carlo error. Higher than: share of the patients the model was "
        "fitted on with a smaller value. Another starting point than that of modalities: the two tables do not add up to each other."
    )
    return Table(["feature", "modality", "value", "higher than", "moved it by"], rows, note=note)


def _strength(value: float | None, most: float) -> str:
    """``up3``, ``down1``, or nothing for what hardly matters."""
    if not value or most <= 0:
        return ""
    step = sum(abs(value) >= s * most for s in STEPS)
    return f"{'up' if value > 0 else 'down'}{step}" if step else ""


def _note(n: NoteDrawn, percent: bool) -> dict[str, Any]:
    most = max((abs(p.value) for p in n.pieces if p.value is not None), default=0.0)
    pieces = []
    for p in n.pieces:
        strength = _strength(p.value, most)
        said = "" if not strength or p.value is None else _signed(p.value, percent)
        pieces.append((p.text, strength, said))
    why = (
        "Each sentence is left out alone; marked are those without which the prediction would change by at least a tenth of what the "
        "strongest changes it. Sentences that say the same cover for each other."
        if n.cut
        else "The text as the model sees it; its sentences were not told apart: there is only one, or a language model turned the whole into numbers."
    )
    return {"modality": n.modality, "pieces": pieces, "why": why}


def _images(i: ImagesDrawn, percent: bool) -> dict[str, Any]:
    alone = [p for p in i.pictures if not p.boxes]
    values = [abs(p.value) for p in alone if p.value is not None]
    values += [abs(b.value) for p in i.pictures for b in p.boxes]
    most = max(values, default=0.0)
    shown = [_picture(p, most, percent, i.modality) for p in i.pictures]
    parts = sum(p.value is not None for p in alone)
    if not values:
        why = "One image: it was not cut into parts. What it did as a whole stands under modalities."
    else:
        why = f"Each of the {count(i.n, 'instance')} is left out alone; "
        why += f"the {parts} that move the prediction most are shown, framed by what they do." if parts < i.n else "they are framed by what they do, the strongest first."  # fmt: skip
    return {"modality": i.modality, "pictures": shown, "why": why}


def _picture(p: PictureDrawn, most: float, percent: bool, modality: str) -> dict[str, Any]:
    boxes = [
        {
            "style": f"left:{100 * b.x:.3f}%;top:{100 * b.y:.3f}%;width:{100 * b.width:.3f}%;height:{100 * b.height:.3f}%",
            "strength": _strength(b.value, most) or "none", "mark": mark(b.value) if _strength(b.value, most) else "",
            "said": f"tile {i}: {amount(b.value, percent, True, True)}",
        }
        for i, b in enumerate(p.boxes, 1)
    ]  # fmt: skip
    said = "" if p.value is None else _signed(p.value, percent)
    return {
        "src": _uri(p.pixels), "label": p.label, "said": said, "boxes": boxes, "wide": bool(boxes),
        "strength": _strength(p.value, most) or "none", "small": max(p.pixels.shape[:2]) <= 64,
        "alt": f"{modality}, {p.label}" + (f": {amount(p.value, percent, True, True)}" if p.value is not None else ""),
    }  # fmt: skip


def _uri(pixels: Any) -> str:
    """Grey pictures as PNG, coloured ones as JPEG, which is a tenth of the size."""
    from PIL import Image

    out, coloured = io.BytesIO(), pixels.ndim == 3
    Image.fromarray(pixels).save(out, **({"format": "JPEG", "quality": 88} if coloured else {"format": "PNG"}))
    return f"data:image/{'jpeg' if coloured else 'png'};base64,{base64.b64encode(out.getvalue()).decode()}"


def _parts(r: PatientExplanation, k: int, drawn: set[str]) -> Table | None:
    """Cells, codes and instances that are not drawn."""
    parts = sorted((p for p in r.parts if p.modality not in drawn), key=lambda p: -abs(p.value[k]))
    if not parts:
        return None
    looked = any(p.attention is not None for p in parts)
    rows = []
    for p in parts:
        weight = [Cell("–" if p.attention is None else f"{100 * p.attention:.1f}%")] if looked else []
        rows.append([Cell(p.label), Cell(p.modality), _moved(p.value[k], r.percent), *weight])
    note = "The prediction with the part less that without it, each left out alone; these do not add up."
    head = ["part", "modality", "raises it by", *(["attention (no importance)"] if looked else [])]
    return Table(head, rows, note=note)


def _missing(r: PatientExplanation) -> Table:
    crosses = r.threshold is not None
    rows = []
    for m in r.missing:
        if m.reason:
            rows.append([Cell(m.modality), Cell(m.reason), *(Cell("–") for _ in range(3 + crosses))])
            continue
        cells = [
            Cell(m.modality), Cell(str(m.n)), Cell(amount(m.expected, r.percent)),
            Cell(f"{amount(m.low, r.percent)} to {amount(m.high, r.percent)}"), Cell(amount(m.change, r.percent, True)),
        ]  # fmt: skip
        rows.append(cells + ([Cell("–" if m.crossing is None else f"{100 * m.crossing:.0f}%")] if crosses else []))
    head = ["modality", "similar patients who have it", "expected", "8 of 10 between", "change"]
    note = "The patient is given the assay as each of those has it. That patients alike in what was measured are alike in what was not is assumed."
    return Table([*head, *(["decision changes"] if crosses else [])], rows, note=note)


def _peers(r: PatientExplanation) -> Table:
    rows = [[Cell(p.unit), Cell(f"{p.similarity:.1f}"), Cell(names(p.shared, most=6) or "–"), Cell(p.outcome)] for p in r.peers]  # fmt: skip
    note = (
        "Of those the model was fitted on. Similarity: standard deviations nearer than the mean one, by what both have."
    )
    return Table(["unit", "similarity", "in common", r.endpoint], rows, note=note)


def _gradients(r: PatientExplanation) -> Table | None:
    if not r.gradients or r.gradients_total is None:
        return None
    rows = [
        [
            Cell(g.feature),
            Cell(g.modality),
            Cell(f"{mark(g.value)} {g.value:+.3f}".replace("-", "−"), "", "up" if g.value > 0 else "down"),
        ]
        for g in r.gradients
    ]
    note = (
        f"Integrated gradients of the network's score, {r.gradients_total:+.3f} from the training means to this patient; completeness error "
        f"{r.gradients_error or 0.0:+.1e}."
    )
    return Table(["encoded feature", "modality", "score"], rows, note=note)
