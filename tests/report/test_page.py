"""The page: complete in itself, private, escaped, small, the same every time, whole or not there."""

from __future__ import annotations

import dataclasses
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cohortium.errors import RunFolderError
from cohortium.report import from_json, html, write_report
from cohortium.report.flow import branches, flow
from cohortium.report.tables import tree
from tests.report.runs import HOSTILE, make_results, make_run

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


class _Reader(HTMLParser):
    """Checks nesting and gathers ids, links, addresses and the names of elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.addresses: list[str] = []
        self.elements: list[str] = []
        self.labels: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href", "src"):
                (self.links if value.startswith("#") else self.addresses).append(value)
            assert not name.startswith("on"), f"an event handler in <{tag}>"
        if tag == "svg":
            self.labels.append(dict(attrs)["aria-label"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_it_is_whole_and_asks_nothing_of_the_network(every_kind: Path):
    text = (every_kind / "report.html").read_text(encoding="utf-8")
    page = _Reader(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids)), "an id is used twice"
    assert {link[1:] for link in page.links} <= set(page.ids), "a link leads nowhere"
    taken = {a for a in page.addresses if a.startswith(("data:image/svg+xml;base64,", "data:text/csv;"))}
    assert taken and set(page.addresses) - taken == {"data:,", "checklists.html", "model_card.html"}, (
        "its own figures, links to the files beside it, and no others"
    )
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert len(text.encode()) < 3_000_000


def test_it_is_private_and_leaves_no_litter(every_kind: Path):
    file = every_kind / "report.html"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(every_kind.glob(".report-*")) == []


def test_every_section_is_there(every_kind: Path):
    text = (every_kind / "report.html").read_text(encoding="utf-8")
    page = _Reader(text)
    for i in range(5):
        for part in ("board", "added", "performance", "learning", "model"):
            assert f"endpoint-{i}-{part}" in page.ids
    assert {
        "answer",
        "patients",
        "modalities",
        "described",
        "validation",
        "checks",
        "how",
        "methods",
        "versions",
    } <= set(page.ids)
    for alt in (
        "pattern", "Leaderboard of", "Kaplan-Meier curves", "Calibration of", "ROC curves", "Confusion matrix",
        "Predicted against observed", "Learning curve", "Lost when left out", "Gained when added",
    ):  # fmt: skip
        assert any(alt in label for label in page.labels), alt


def test_remarks_need_no_scrolling_on_a_phone(every_kind: Path):
    """The table with sentences is told apart, and narrow screens put them below their row."""
    text = (every_kind / "report.html").read_text(encoding="utf-8")
    assert text.count('<table class="remarks">') == 1
    narrow = text[text.index("@media (max-width: 40rem)") :]
    assert ".remarks td.prose { grid-column: 1 / -1" in narrow


def test_names_are_escaped_everywhere(hostile: Path):
    text = (hostile / "report.html").read_text(encoding="utf-8")
    page = _Reader(text)
    assert page.elements.count("script") == 1, "only the page's own line"
    assert re.search(r"script-src 'sha256-[^']+'", text), "and the browser runs no other"
    assert page.open == []
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert "\\frac{1}{2}" in text, "mathtext in a name is text"


def test_twice_gives_the_same_bytes(tmp_path: Path):
    run = make_run(tmp_path, make_results(("survival",), modalities=("clinical", "blood"), n=90))
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


def test_without_predictions_the_rest_is_shown(tmp_path: Path):
    run = make_run(tmp_path, make_results(("survival", "binary"), modalities=("a", "b"), n=90), validation=False)
    for name in ("predictions.parquet", "outcomes.parquet", "run.json"):
        (run / name).unlink()
    page = _Reader(write_report(run).read_text(encoding="utf-8"))
    assert "endpoint-0-board" in page.ids
    assert "endpoint-0-performance" not in page.ids
    assert "validation" not in page.ids


def test_little_is_enough(tmp_path: Path):
    """Records with nothing optional in them: one modality, no learner estimated, no checks."""
    results = make_results(("binary",), modalities=("only",), reference=(), n=60)
    results = dataclasses.replace(
        results, leaderboard=[], added_value=[], checks=[], learning_curve=[], selected=[], hashes={}, versions={}
    )
    run = make_run_json(tmp_path, results)
    text = write_report(run).read_text(encoding="utf-8")
    assert "No learner was evaluated on recurrence." in text
    assert "Check found nothing to report." in text


def make_run_json(folder: Path, results) -> Path:
    from cohortium.report import to_json

    (folder / "results.json").write_text(to_json(results), encoding="utf-8")
    return folder


def test_the_low_powered_badge(tmp_path: Path, every_kind: Path):
    run = make_run_json(tmp_path, make_results(low_powered=True))
    assert '<span class="badge warn">low-powered</span>' in write_report(run).read_text(encoding="utf-8")
    assert '<span class="badge warn">low-powered</span>' not in (every_kind / "report.html").read_text(encoding="utf-8")


def test_a_failure_leaves_the_old_report(tmp_path: Path, monkeypatch):
    run = make_run_json(tmp_path, make_results(modalities=("a", "b")))
    old = write_report(run).read_bytes()

    def broken(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(html.Path, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_report(run)
    assert (run / "report.html").read_bytes() == old
    assert list(run.glob(".report-*")) == []


def test_what_is_no_finished_run_is_named(tmp_path: Path):
    with pytest.raises(RunFolderError, match="No run folder at"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match=r"holds no results\.json"):
        write_report(tmp_path)
    make_run_json(tmp_path, make_results(modalities=("a", "b")))
    (tmp_path / "validation.json").write_text("[{")
    with pytest.raises(RunFolderError, match=r"validation\.json is not JSON"):
        write_report(tmp_path)


def test_the_flow_adds_up(every_kind: Path):
    results = from_json((every_kind / "results.json").read_text(encoding="utf-8"))
    read, kept = flow(results)
    lost = sum(int(n) for _, n in read.lost)
    assert int(read.n) - lost == int(kept.n)
    for box in branches(results):
        assert int(box.n) + sum(int(n) for _, n in box.lost) == int(kept.n)


def _flow(n_rows, n_units, excluded, kept, excluded_of_endpoint):
    results = make_results(modalities=("a", "b"))
    endpoint = dataclasses.replace(
        results.cohort.endpoints[0], n_units=kept, n_patients=kept, excluded=excluded_of_endpoint
    )
    cohort = dataclasses.replace(
        results.cohort, n_units=n_units, n_rows_read=n_rows, excluded=excluded, endpoints=[endpoint]
    )
    return [(b.n, b.lost) for b in flow(dataclasses.replace(results, cohort=cohort))]


def test_losses_are_shown_once_and_none_is_hidden():
    reasons = {"no_label": 4, "zero_time": 6}
    shown = [("no label", "4"), ("zero time", "6")]
    # The endpoint's losses were taken from the cohort already, and named there.
    assert _flow(110, 100, reasons, 100, reasons) == [("110", shown), ("100", []), ("100", [])]
    # They were not: the cohort holds everyone who was read.
    assert _flow(110, 110, reasons, 100, reasons) == [("110", shown), ("100", [])]
    assert _flow(None, 110, reasons, 100, reasons) == [("110", shown), ("100", [])]
    # Reasons explain only a part.
    assert _flow(115, 110, {}, 98, reasons) == [
        ("115", [("not a unit of its own", "5")]),
        ("110", [*shown, ("other reasons", "2")]),
        ("98", []),
    ]


def test_settings_nest_and_weights_become_bars():
    t = tree(
        {"weights": {"a": 0.2, "b": -0.4}, "inner_loss": 0.5, "parts": {"a": {"alpha": 1e-3}, "b": {}}, "on": True}
    )
    assert [(name, width) for name, _, width in t.bars] == [("b", 100.0), ("a", 50.0)]
    assert t.facts == [("inner loss", "0.5"), ("on", "yes")]
    assert [p.name for p in t.parts] == ["a", "b"]
    assert t.parts[0].facts == [("alpha", "0.001")]
