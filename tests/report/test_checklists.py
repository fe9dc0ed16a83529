"""Checklists and model card: complete, answered by what is there and by nothing else, open where only a person knows."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from cohortium.report import write_report
from cohortium.report.checklists import checklists, checklists_csv, open_keys, open_yaml
from cohortium.report.checklists.items import CLAIM, MI_CLAIM, TRIPOD_AI
from cohortium.report.checklists.probast import PROBAST_AI
from cohortium.report.folder import RunFolder, open_run
from cohortium.report.modelcard import model_card, model_card_markdown
from cohortium.schema.statements import Statements, asked
from cohortium.study.reading import parse
from tests.report.runs import HOSTILE, make_results, make_run
from tests.report.test_page import _Reader


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("plain"), make_results(("binary",)), validation=False)


def _with(folder: RunFolder, **changes: object) -> RunFolder:
    """The folder with parts of its records changed: ``choices``, ``checks``, or fields of the folder itself."""
    r = folder.results
    if "choices" in changes:
        r = dataclasses.replace(r, study=dataclasses.replace(r.study, choices=changes.pop("choices")))
    if "checks" in changes:
        r = dataclasses.replace(r, checks=changes.pop("checks"))
    return dataclasses.replace(folder, results=r, **changes)


def _images(folder: RunFolder) -> RunFolder:
    c = folder.results.cohort
    first = dataclasses.replace(c.modalities[0], shape="images")
    cohort = dataclasses.replace(c, modalities=[first, *c.modalities[1:]])
    return dataclasses.replace(folder, results=dataclasses.replace(folder.results, cohort=cohort))


def _row(folder: RunFolder, which: str, number: str):
    found = next(c for c in checklists(folder) if c.id == which)
    return next(r for r in found.rows if r.number == number)


def test_every_item_of_the_guidelines_is_there_once():
    assert len(TRIPOD_AI) == 52
    assert {i.number.rstrip("abcdefg") for i in TRIPOD_AI} == {str(k) for k in range(1, 28)}
    assert [i.number for i in CLAIM] == [str(k) for k in range(1, 45)]
    assert len(MI_CLAIM) == 19
    assert sum(s.number.startswith("D") for s in PROBAST_AI) == 16
    assert sum(s.number.startswith("E") for s in PROBAST_AI) == 18
    for items in (TRIPOD_AI, CLAIM, MI_CLAIM, PROBAST_AI):
        assert len({i.number for i in items}) == len(items)


def test_every_topic_is_a_statement_or_is_told_by_the_records(plain: Path):
    folder = _images(open_run(plain))
    from cohortium.report.checklists.evidence import evidence

    known = set(
        evidence(
            _with(
                folder, choices={"models": "linear", "thresholds": "0.1", "site": "", "balanced": "", "index_time": "t"}
            )
        )
    )
    topics = {t.rstrip("!") for items in (TRIPOD_AI, CLAIM, MI_CLAIM) for i in items for t in i.topics}
    assert topics - known - set(asked()) == set(), "nobody can answer these"
    must = {t[:-1] for items in (TRIPOD_AI, CLAIM, MI_CLAIM) for i in items for t in i.topics if t.endswith("!")}
    assert must <= set(asked()), "only a person can, but has no key to write it under"
    assert {k for s in PROBAST_AI for k in s.keys} <= set(asked())
    used = topics | {k for s in PROBAST_AI for k in s.keys}
    used |= {line.key for part in model_card(folder) for line in part.lines if line.key}
    assert set(asked()) <= used, "a key that answers nothing"


def test_what_nobody_said_is_open_and_names_its_key(plain: Path):
    folder = open_run(plain)
    row = _row(folder, "tripod", "17")
    assert (row.status, row.keys, row.said) == ("open", ["ethics"], [])
    assert _row(folder, "probast", "D3.3").answer == "NI"
    assert _row(folder, "tripod", "12a").status == "reported"
    said = _with(folder, statements={"ethics": "Approved by nobody yet."})
    row = _row(said, "tripod", "17")
    assert (row.status, row.keys) == ("reported", [])
    assert row.said == [("study file", "Approved by nobody yet.", "")]


def test_a_record_that_is_part_of_the_answer_does_not_close_the_item(plain: Path):
    folder = open_run(plain)
    row = _row(folder, "tripod", "8a")
    assert row.status == "partly"
    assert row.said[0][0] == "run"
    assert row.keys == ["outcome_definition"]
    assert _row(_with(folder, statements={"outcome_definition": "Death."}), "tripod", "8a").status == "reported"
    drafts = [_row(folder, "tripod", n).status for n in ("1", "2")]
    assert drafts == ["partly", "partly"], "title and abstract are of the paper"


def test_a_signalling_question_is_answered_from_the_records_or_left_to_the_assessor(plain: Path):
    folder = open_run(plain)
    assert _row(folder, "probast", "E4.1").answer == "Y"
    assert _row(_with(folder, choices={"balanced": ""}), "probast", "D4.4").answer == "NA"
    assert _row(folder, "probast", "D4.4").answer == "NI", "the records do not say"
    assert _row(_with(folder, choices={"balanced": "attention"}), "probast", "D4.4").answer == "Y"
    assert _row(_with(folder, checks=[]), "probast", "E4.5").answer == "PY"
    clean = {"folds": 2, "accused": {}}
    assert _row(_with(folder, audit=clean, checks=[]), "probast", "E4.5").answer == "Y"
    assert (
        _row(_with(folder, audit={"folds": 2, "accused": {"plugin:peek": ["model"]}}), "probast", "E4.5").answer == "N"
    )
    from cohortium.contracts.results import Finding

    scaled = Finding("scaled_over_everyone:rna", "warning", "scaled", "rna")
    assert _row(_with(folder, audit=clean, checks=[scaled]), "probast", "E4.5").answer == "PN"
    stated = _row(_with(folder, statements={"outcome_blinding": "Blinded."}), "probast", "D3.3")
    assert (stated.answer, stated.status, stated.said[0][1]) == ("?", "partly", "Blinded.")


def test_sizes_are_judged_by_their_events(plain: Path):
    folder = open_run(plain)
    c = folder.results.cohort

    def sized(n: int, events: int, features: int) -> RunFolder:
        e = dataclasses.replace(c.endpoints[0], n_units=n, n_events=events, classes={"no": n - events, "yes": events})
        modality = dataclasses.replace(c.modalities[0], n_features=features)
        cohort = dataclasses.replace(c, endpoints=[e], modalities=[modality])
        return dataclasses.replace(folder, results=dataclasses.replace(folder.results, cohort=cohort))

    assert _row(sized(4000, 400, 10), "probast", "D4.1").answer == "PY"
    assert _row(sized(4000, 400, 21), "probast", "D4.1").answer == "PN"
    assert _row(sized(4000, 3900, 21), "probast", "D4.1").answer == "PN", "the rarer class counts"
    assert _row(sized(300, 100, 10), "probast", "E4.2").answer == "PY"
    assert _row(sized(300, 99, 10), "probast", "E4.2").answer == "PN"
    assert _row(sized(150, 100, 10), "probast", "E4.2").answer == "PN"


def test_claim_applies_to_images_only(plain: Path):
    folder = open_run(plain)
    assert next(c for c in checklists(folder) if c.id == "claim").rows == []
    assert not any(name.startswith("CLAIM") for items in open_keys(checklists(folder)).values() for name, _ in items)
    found = next(c for c in checklists(_images(folder)) if c.id == "claim")
    assert len(found.rows) == 44
    assert "image_acquisition" in open_keys(checklists(_images(folder)))


def test_the_lines_to_copy_are_a_study_file_that_closes_everything(plain: Path):
    folder = _with(_images(open_run(plain)), choices={"site": "", "balanced": ""})
    text = open_yaml(checklists(folder))
    filled = Statements.model_validate(parse(text, "open.yaml").data["statements"]).given()
    assert list(filled) == [k for k in asked() if k in open_keys(checklists(folder))]
    closed = checklists(_with(folder, statements=filled))
    assert open_keys(closed) == {}
    assert open_yaml(closed) == ""
    assert not [r.number for c in closed for r in c.rows if r.status == "open"]


@pytest.mark.parametrize(
    "given", [{"dates": ""}, {"dates": "  "}, {"dates": 1980}, {"dates": ["1980"]}, {"date": "1980"}]
)
def test_a_statement_is_a_text_that_says_something(given: dict):
    with pytest.raises(ValidationError):
        Statements.model_validate(given)
    assert Statements.model_validate({"dates": " 1980 \n to 1990 "}).given() == {"dates": "1980 to 1990"}


def test_the_table_for_journals_holds_every_item(plain: Path):
    lists = checklists(_images(open_run(plain)))
    rows = list(csv.DictReader(io.StringIO(checklists_csv(lists))))
    assert len(rows) == 52 + 44 + 19 + 34
    ethics = next(r for r in rows if (r["guideline"], r["item"]) == ("TRIPOD+AI", "17"))
    assert (ethics["status"], ethics["open"], ethics["text"]) == ("open", "statements.ethics", "")
    assert next(r for r in rows if r["item"] == "23a")["where"].startswith("report.html#endpoint-0")


def test_the_pages_are_whole_private_and_lead_somewhere(every_kind: Path, hostile: Path):
    for folder in (every_kind, hostile):
        report = _Reader((folder / "report.html").read_text(encoding="utf-8"))
        for name in ("checklists.html", "model_card.html"):
            file = folder / name
            page = _Reader(file.read_text(encoding="utf-8"))
            assert page.open == []
            assert len(page.ids) == len(set(page.ids))
            assert {x[1:] for x in page.links} <= set(page.ids)
            for address in page.addresses:
                where, _, anchor = address.partition("#")
                assert address == "data:," or (folder / where).is_file(), address
                assert not anchor or anchor in report.ids, f"{address} leads nowhere"
            assert page.elements.count("script") == 1, "only our own"
            assert file.stat().st_mode & 0o077 == 0


def test_statements_are_text_and_not_markup(tmp_path: Path):
    run = make_run(tmp_path / "run", make_results(("binary",)))
    (run / "statements.json").write_text(json.dumps({"ethics": HOSTILE, "license": HOSTILE, "funding": 7}))
    write_report(run)
    for name in ("checklists.html", "model_card.html"):
        text = (run / name).read_text(encoding="utf-8")
        assert HOSTILE not in text
        assert "&lt;script&gt;" in text
    assert HOSTILE not in (run / "model_card.md").read_text(encoding="utf-8")
    assert _row(open_run(run), "tripod", "18a").status == "open", "a number is no statement"


def test_the_card_has_mitchells_sections_and_the_numbers_of_the_run(every_kind: Path):
    folder = open_run(every_kind)
    card = model_card(folder)
    assert [p.title for p in card] == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    head = card[6].grids[0]
    assert [row[0] for row in head.rows] == [e.name for e in folder.results.cohort.endpoints]
    from cohortium.report.words import estimate_text, headline_metric, headline_row, ordered_endpoints, pick

    e = ordered_endpoints(folder.results)[0]
    row = headline_row(folder.results, e.name)
    assert head.rows[0][4] == estimate_text(pick(row.estimates, *headline_metric(folder.results, e)))
    text = model_card_markdown(folder)
    assert text.count("\n## ") == 9
    assert "*open: statements.intended_use in the study file*" in text


def test_results_of_an_older_version_are_filled_too(every_kind: Path):
    """Before schema 1.3 there were no choices, definitions and shapes."""
    folder = open_run(every_kind)
    c = folder.results.cohort
    cohort = dataclasses.replace(
        c,
        modalities=[dataclasses.replace(m, shape="") for m in c.modalities],
        endpoints=[dataclasses.replace(e, definition="") for e in c.endpoints],
    )
    old = dataclasses.replace(_with(folder, choices={}), results=dataclasses.replace(folder.results, cohort=cohort))
    assert sum(len(x.rows) for x in checklists(old)) == 52 + 19 + 34
