"""The page of one patient: signs by mark and not by colour alone, everything escaped, and that it says that it is private."""

from __future__ import annotations

import re

import numpy as np

from cohortium.contracts.drawn import Box, ImagesDrawn, NoteDrawn, PatientDrawn, PictureDrawn, Piece
from cohortium.contracts.explanations import (
    FeatureShare,
    IfMeasured,
    ModalityShare,
    PartShare,
    PatientExplanation,
    Peer,
)
from cohortium.report.patient import PRIVATE, patient_page


def explained(**more) -> PatientExplanation:
    given = {
        "study": "demo", "endpoint": "os", "kind": "binary", "learner": "late", "unit": "<b>7</b>", "held_out": True,
        "quantity": "probability of 'yes'", "percent": True, "names": ["yes"], "predicted": [0.7], "usual": [0.5],
        "modalities": [ModalityShare("ct", [0.25]), ModalityShare("notes", [-0.05])],
        "features": [FeatureShare("labs", ["age"], [-0.1], [0.01], ["61"], [0.4])],
        "missing": [IfMeasured("rna", 20, 0.6, 0.5, 0.8, 0.1, 0.25), IfMeasured("mri", 0, 0.7, 0.7, 0.7, 0.0, None, "too few units have it")],
        "peers": [Peer("9", 2.0, ["ct"], "yes")], "parts": [PartShare("cells", "instance 3", [0.02]), PartShare("ct", "instance 1", [0.2])],
        "threshold": 0.4, "notes": ["a note on the model"],
    }  # fmt: skip
    return PatientExplanation(**{**given, **more})


NOTE = NoteDrawn(
    "notes", [Piece("<script>alert(1)</script>.", 0.2), Piece("\n"), Piece("Fine.", -0.19), Piece(" "), Piece("Weak.", 0.01)], True
)  # fmt: skip


def test_marks_say_the_sign_and_text_is_escaped() -> None:
    page = patient_page(explained(), PatientDrawn([NOTE]))
    assert page.count(PRIVATE.replace("'", "&#39;")) == 2 and 'content="noindex"' in page
    assert "<script>alert" not in page and "<b>7</b>" not in page and "&lt;script&gt;alert(1)" in page
    marks = re.findall(r'<mark class="(\w+)">(.*?) <b>(.*?)</b></mark>', page)
    assert [(c, said) for c, _, said in marks] == [("up3", "▲ +20.0 points"), ("down3", "▼ −19.0 points")]
    note = page[page.index('<div class="record">') :]
    assert re.sub(r" <b>.*?</b></mark>|<mark[^>]*>", "", note[: note.index("</div>")]).endswith("\nFine. Weak.")
    assert "▲ +25.0 points" in page and "▼ −5.0 points" in page and "too few units have it" in page and "25%" in page
    assert "this prediction is above it" in page and "A note on the model." in page
    assert "http://" not in page and "https://" not in page and "None" not in page


def test_a_note_that_was_not_cut_is_shown_and_said_to_be() -> None:
    page = patient_page(explained(), PatientDrawn([NoteDrawn("notes", [Piece("All of it.")], False)]))
    assert "<mark" not in page and "All of it." in page and "not told apart" in page


def test_tiles_are_boxes_on_the_slide_and_slices_are_framed() -> None:
    slide = PictureDrawn("the slide", np.full((40, 60, 3), 200, np.uint8), None, [Box(0.1, 0.2, 0.05, 0.05, 0.3), Box(0.5, 0.5, 0.05, 0.05, -0.1), Box(0.7, 0.7, 0.05, 0.05, 0.0)])  # fmt: skip
    tile = PictureDrawn("tile 1", np.zeros((8, 8, 3), np.uint8), 0.3)
    slices = [PictureDrawn(f"slice {i} of 3", np.full((8, 8), 9 * i, np.uint8), v) for i, v in ((1, -0.2), (2, 0.0))]
    drawn = PatientDrawn([], [ImagesDrawn("slides", 3, [slide, tile]), ImagesDrawn("ct", 2, slices)], {"mri": "It broke."})  # fmt: skip
    page = patient_page(explained(), drawn)
    boxes = re.findall(r'<i class="(\w+)" style="([^"]+)" title="([^"]+)">(.?)</i>', page)
    assert [(c, m) for c, _, _, m in boxes] == [("up3", "▲"), ("down1", "▼"), ("none", "")]
    assert (
        boxes[0][1] == "left:10.000%;top:20.000%;width:5.000%;height:5.000%" and boxes[0][2] == "tile 1: +30.0 points"
    )
    assert page.count("data:image/jpeg") == 2 and page.count("data:image/png") == 2
    assert 'alt="ct, slice 1 of 3: −20.0 points"' in page and "<b>– 0.0 points</b>" in page
    assert "the 1 that move the prediction most" in page and "mri: no pictures, since it broke." in page
    # What is drawn is not listed again; other parts are.
    parts = page[page.index('<section id="parts">') :]
    assert "cells" in parts and "instance 1<" not in parts
