"""Pages can be read by everybody: structure, names of things, contrast; and on paper."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts.audit import TRIALS, AuditResults, Trial
from cohortium.contracts.biomarkers import BiomarkerResults
from cohortium.contracts.drawn import PatientDrawn
from cohortium.contracts.explanations import Explanation
from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_results import (
    CalibrationLine,
    FederatedEvaluation,
    FederatedResults,
    FederatedStack,
    FederatedTrees,
    NetworkFit,
    Paired,
    Performance,
    SitePerformance,
    StackedPart,
)
from cohortium.contracts.federation_secure import SecureRecord
from cohortium.contracts.network_plan import NetworkPlan
from cohortium.contracts.private_results import PrivacyStatement, PrivatePerformance, PrivateRelease
from cohortium.contracts.stack_plan import StackPlan
from cohortium.contracts.subtypes import SubtypeResults
from cohortium.report.audit import audit_page
from cohortium.report.biomarkers import biomarker_page
from cohortium.report.explanation import explanation_page
from cohortium.report.federation import federation_page
from cohortium.report.figures.style import INK, MUTED, luminance
from cohortium.report.figures.survival import _TEXT_COLOURS
from cohortium.report.html import _css_text
from cohortium.report.patient import patient_page
from cohortium.report.subtypes import subtype_page
from tests.report.made_up import made_up
from tests.report.test_patient import NOTE, explained

TEMPLATES = Path(__file__).parents[2] / "src" / "cohortium" / "report" / "templates"
CSS = (TEMPLATES / "style.css").read_text(encoding="utf-8")
EVALUATED = made_up(
    FederatedEvaluation,
    across=[made_up(Performance, design="folds", metric="roc_auc")],
    sites=[made_up(SitePerformance, design="folds", metric="roc_auc")],
    calibration=[made_up(CalibrationLine, design="folds")],
)
VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "use", "path", "rect"}


class Element:
    """An element with its attributes, children and text."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes = tag, attributes
        self.children: list[Element] = []
        self.words: list[str] = []

    def all(self, *tags: str) -> Iterator[Element]:
        for c in self.children:
            if c.tag in tags:
                yield c
            yield from c.all(*tags)

    @property
    def text(self) -> str:
        return " ".join([*self.words, *(c.text for c in self.children)]).strip()


class Reader(HTMLParser):
    """The tree of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        made = Element(tag, {k: v or "" for k, v in attrs})
        self.open[-1].children.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data):
        self.open[-1].words.append(data)


FEDERATED = {"kind": "binary", "largest_difference": 1e-12, "evaluation": EVALUATED}
PRIVATE = made_up(
    PrivacyStatement,
    performance=[made_up(PrivatePerformance, metric="roc_auc")],
    releases=[made_up(PrivateRelease, what="counts")],
)
METHODS = {
    "": {},
    " of trees": {"trees": made_up(FederatedTrees)},
    " with secure aggregation": {"secure": made_up(SecureRecord)},
    " with noise": {"privacy": PRIVATE},
    " of a network": {
        "network": made_up(
            NetworkFit,
            paired=[made_up(Paired, metric="roc_auc", design="folds", against="own")],
            chosen=0,
            losses=[0.5, 0.4],
            inner=[None, 0.5],
        ),
        "plan": made_up(FederationPlan, network=made_up(NetworkPlan, strategy="fedavg", aggregate="mean")),
    },
}
METHODS |= {
    " of a stack": {
        "stack": made_up(
            FederatedStack,
            parts=[made_up(StackedPart, method=m) for m in ("linear", "trees")],
            correlation=[[1.0, 0.5], [0.5, 1.0]],
            paired=[made_up(Paired, metric="roc_auc", design="folds", against="own")],
        ),
        "plan": made_up(FederationPlan, stack=made_up(StackPlan)),
    },
    " of a private network": {**METHODS[" of a network"], "privacy": dataclasses.replace(PRIVATE, network=True)},
}
NONE = dict.fromkeys(("trees", "privacy", "secure", "network", "stack"))


@pytest.fixture(scope="module")
def pages(every_kind: Path) -> dict[str, Element]:
    features = pd.DataFrame({"feature": ["alpha"], "p": [0.01], "q": [0.02], "effect": [0.5], "selected": [True]})
    xy, code = np.array([[0.0, 1.0], [1.0, 0.0]]), np.zeros(2, np.int64)
    made = {
        "report.html.j2": (every_kind / "report.html").read_text(encoding="utf-8"),
        **{
            f"{n}.html.j2": (every_kind / f"{n}.html").read_text(encoding="utf-8") for n in ("checklists", "model_card")
        },
        "explanation.html.j2": explanation_page(made_up(Explanation)),
        "biomarkers.html.j2": biomarker_page(made_up(BiomarkerResults, kind="binary"), features),
        "subtypes.html.j2": subtype_page(made_up(SubtypeResults), xy, code, (np.eye(2), code)),
        "audit.html.j2": audit_page(
            made_up(AuditResults, accused={}, trials=[made_up(Trial, trial=t) for t in TRIALS])
        ),
        "patient.html.j2": patient_page(explained(), PatientDrawn([NOTE])),
        **{
            f"federation.html.j2{n}": federation_page(made_up(FederatedResults, **{**FEDERATED, **NONE, **m}))
            for n, m in METHODS.items()
        },
    }
    return {name: Reader(text).root for name, text in made.items()}


def test_every_page_is_looked_at(pages: dict[str, Element]) -> None:
    whole = [p.name for p in TEMPLATES.glob("*.html.j2") if "<html" in p.read_text(encoding="utf-8")]
    assert sorted(whole) == sorted({name.partition(" ")[0] for name in pages})


def test_language_title_and_landmarks(pages: dict[str, Element]) -> None:
    for name, page in pages.items():
        (html,), (head,), (main,) = (list(page.all(t)) for t in ("html", "head", "main"))
        title = next(head.all("title"))
        assert html.attributes["lang"] == "en" and title.text, name
        (nav,) = page.all("nav")
        assert nav.attributes["aria-label"] and len(list(main.all("header"))) == 1
        body = next(page.all("body"))
        skip = next(body.all("a"))
        target = skip.attributes["href"][1:]
        assert "skip" in skip.attributes["class"] and any(
            e.attributes.get("id") == target for e in main.all("header", "section")
        )
        outside = [e for e in body.children if e.tag not in ("a", "div", "script")]
        assert not outside, "everything is in a landmark"
        for section in main.all("section"):
            assert any(True for _ in section.all("h2")), "a section has a heading"


def test_headings_go_down_one_step_at_a_time(pages: dict[str, Element]) -> None:
    for name, page in pages.items():
        levels = [int(h.tag[1]) for h in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
        assert levels[0] == 1 and levels.count(1) == 1, name
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), name
        assert all(h.text for h in page.all("h1", "h2", "h3", "h4"))


def test_pictures_and_tables_say_what_they_are(pages: dict[str, Element]) -> None:
    for name, page in pages.items():
        for svg in page.all("svg"):
            assert svg.attributes["role"] == "img" and len(svg.attributes["aria-label"]) > 15, name
            assert next(svg.all("title")).text
        for table in page.all("table"):
            assert next(table.all("caption")).text
            assert all(h.attributes.get("scope") in ("col", "row", "rowgroup") for h in table.all("th"))
            assert all(h.text for h in table.all("th")), "no empty heading"
            widths = set()
            for row in table.all("tr"):
                widths.add(sum(int(c.attributes.get("colspan", "1")) for c in row.all("th", "td")))
            assert len(widths) == 1, name
        labels = [e.attributes["aria-label"] for e in page.all("div") if e.attributes.get("role") == "region"]
        assert len(labels) == len(set(labels)), f"two regions of {name} have one name"


def test_everything_that_does_something_is_reached_by_keyboard(pages: dict[str, Element]) -> None:
    for name, page in pages.items():
        for e in page.all("div"):
            if e.attributes.get("class") in ("scroll", "paper"):
                assert e.attributes["tabindex"] == "0" and e.attributes["aria-label"] and e.attributes["role"], name
        for d in page.all("details"):
            assert d.children[0].tag == "summary" and d.children[0].text
        for a in page.all("a"):
            assert a.attributes["href"] and a.text
        tabs = [e.attributes["tabindex"] for e in page.all("div", "a", "summary", "p") if "tabindex" in e.attributes]
        assert set(tabs) <= {"0"}, "the order is that of the page"
        takes = [a.text for a in page.all("a") if "download" in a.attributes]
        assert all(" of " in t for t in takes), "a link says whose picture it is"


def schemes() -> dict[str, dict[str, str]]:
    """Scheme -> variable -> colour."""
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", b)) for b in re.findall(r":root \{(.*?)\n? *\}", CSS, re.S)]
    light, dark, paper = found
    assert set(dark) <= set(light)
    assert set(paper) == set(light), "on paper nothing of the dark scheme is left"
    return {"light": light, "dark": {**light, **dark}, "print": paper}


def contrast(a: str, b: str) -> float:
    def shine(colour: str) -> float:
        text = colour.lstrip("#")
        text = "".join(c * 2 for c in text) if len(text) == 3 else text
        return luminance([int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)])

    low, high = sorted((shine(a), shine(b)))
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_in_both_schemes() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#fff") == pytest.approx(4.54, abs=0.01)  # the usual example of 4.5:1
    inks = set(re.findall(r"(?<![-\w])color: var\(--([\w-]+)\)", CSS))
    grounds = set(re.findall(r"background: var\(--([\w-]+)\)", CSS)) - {
        "line",
        "fusion",
    }  # of lines and bars: no text on them
    assert inks >= {"ink", "quiet", "accent", "warn", "serious"} and grounds >= {
        "paper",
        "wash",
        "warn-wash",
        "strong-wash",
    }
    for scheme, colours in schemes().items():
        for ink in inks:
            for ground in grounds:
                assert contrast(colours[ink], colours[ground]) >= 4.5, (scheme, ink, ground)
        for mark in ("reference", "single", "fusion", "auto"):
            assert contrast(colours[mark], colours["paper"]) >= 3, (scheme, mark)
    assert not re.search(r"(?<![-\w])color: #", CSS.split("@page")[0]), "a colour of its own is not held by this test"


def test_text_in_figures_stands_out_on_paper(every_kind: Path) -> None:
    used = set()
    for file in (every_kind / "figures").glob("*.svg"):
        used |= set(re.findall(r'<text[^>]*\bfill="(#[0-9a-f]+)"', file.read_text(encoding="utf-8")))
    matrix = {"#ffffff", "#000000"}  # on coloured cells only, chosen for them
    assert {INK.lower(), MUTED.lower()} <= used
    assert all(contrast(c, "#ffffff") >= 4.5 for c in (used - matrix) | set(_TEXT_COLOURS))


def test_the_focus_is_seen_and_motion_can_be_off() -> None:
    assert re.search(r":focus-visible \{ outline: 3px solid var\(--accent\)", CSS)
    assert "outline: none" not in CSS and "outline: 0" not in CSS and "prefers-reduced-motion" in CSS


def test_paper_has_everything_and_its_name() -> None:
    paper = CSS[CSS.index("@media print") :]
    for rule in (
        "details::details-content { content-visibility: visible",
        "color-scheme: light",
        ".toc, .skip, .take { display: none",
        "break-inside: avoid",
    ):
        assert rule in paper
    assert "counter(page)" in CSS and "size: A4" in CSS


def test_a_title_cannot_leave_the_style_sheet() -> None:
    text = _css_text('a"; } </style><script>\\ é')
    assert not set("<>;}\\") & set(re.sub(r"\\[0-9a-f]+ ", "", text)) and text.count('"') == 2
    assert re.sub(r"\\([0-9a-f]+) ", lambda m: chr(int(m[1], 16)), text[1:-1]) == 'a"; } </style><script>\\ é'
