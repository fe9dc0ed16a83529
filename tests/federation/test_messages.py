"""What leaves a site: declared field by field, suppressed where few patients share it, and read back strictly."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from cohortium.contracts.federation import ENVELOPE, AskSchema, AskTrials, Column, SiteSums, TrialQuestion
from cohortium.contracts.federation_wire import ANSWERS, MessageError, decode, encode
from cohortium.federation_site.encoding import columns_of, schema_of
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut


def test_every_field_that_leaves_is_declared():
    for kind in ANSWERS:
        fields = [f.name for f in dataclasses.fields(kind)]
        assert [f for f in fields if f not in ENVELOPE] == list(kind.LEAVES), kind.__name__
        assert fields[:3] == list(ENVELOPE)


def test_messages_are_read_back_as_they_were():
    s = SiteSums("a", "p", 3, 0.1 + 0.2, np.array([1e-300, -0.0, np.pi]), np.arange(9.0).reshape(3, 3))
    again = decode(encode(s))
    assert encode(again) == encode(s) and again.loss == s.loss
    np.testing.assert_array_equal(again.hessian, s.hessian)


@pytest.mark.parametrize("change", [
    lambda b: b.update(type="State"), lambda b: b.update(more=1), lambda b: b.pop("loss"), lambda b: b.update(loss="1"),
    lambda b: b.update(round=True), lambda b: b.update(round=1.5), lambda b: b.update(gradient=[1, 2]),
    lambda b: b["gradient"].update(shape=[5]), lambda b: b["gradient"].update(shape=[-1]), lambda b: b["gradient"].update(float64="!"),
    lambda b: b["gradient"].update(shape=[1, 1, 3]), lambda b: b.update(site=None), lambda b: b.update(hessian={"__reduce__": 1}),
])  # fmt: skip
def test_what_is_no_message_is_refused(change):
    body = json.loads(encode(SiteSums("a", "p", 3, 1.0, np.ones(3), np.eye(3))))
    change(body)
    with pytest.raises(MessageError):
        decode(json.dumps(body).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff\xfe", b"null", b"[" * 100_000])
def test_bytes_that_are_none(data):
    with pytest.raises(MessageError):
        decode(data)


def rare():
    """A site of 40 in which three patients have a level that nobody else has, and two a value."""
    d = cut.table().head(40).assign(site="a")
    d["grade"] = ["odd"] * 3 + ["low", "high"] * 18 + ["low"]
    d["size"] = [7.0, 8.0] + [0.0] * 38
    return cut.site("a", d, "survival")


def test_levels_of_few_are_not_named_and_their_cells_are_unknown():
    site = rare()
    said = {f.name: f for f in schema_of(site, 10)}
    assert said["grade"].levels == ("high", "low")
    assert set({f.name: f for f in schema_of(site, 3)}["grade"].levels) == {"high", "low", "odd"}
    columns = [Column("clinical", "grade", "level", n, ("high", "low", "odd")) for n in ("low", "odd")]
    x = columns_of(site, [*columns, Column("clinical", "size", "numeric", "", ())], 10)
    assert np.isnan(x[:3, :2]).all() and not np.isnan(x[3:, :2]).any() and (x[3:, 1] == 0).all()
    assert np.isnan(x[:, 2]).all()  # all others have the same: who is unknown would be seen


def test_patients_are_counted_not_units():
    site = rare()
    twins = dataclasses.replace(site, patient=np.r_[np.zeros(20, int), np.arange(20)])
    low = next(c for c in schema_of(twins, 10) if c.name == "grade")
    assert twins.patients() == 20 and "low" in low.levels
    assert twins.patients(np.arange(40) < 20) == 1


def test_patients_of_rare_levels_change_no_sum():
    """Whatever the three patients' other level would be: what leaves is the same to the bit."""
    made = cut.plan("survival", least_cell=10, least_events=5)
    others = cut.sites("survival")

    def sent(site):
        return [
            m.digest
            for m in drive(made, {**{n: asking(s, made) for n, s in others.items()}, "a": asking(site, made)}).messages
        ]

    site = rare()
    f = site.features[2]
    values = f.values.copy()
    values[:3] = [3.0, 3.0, 3.0]
    hidden = dataclasses.replace(f, levels=(*f.levels, "other"), values=values)
    same = dataclasses.replace(site, features=(*site.features[:2], hidden, site.features[3]))
    assert sent(site) == sent(same)
    seen = dataclasses.replace(f, values=np.where(np.arange(40) < 3, 0.0, f.values))
    assert sent(site) != sent(dataclasses.replace(site, features=(*site.features[:2], seen, site.features[3])))


def test_no_row_of_a_site_is_in_its_messages():
    """The size of what leaves does not grow with the patients."""
    made, d = cut.plan("binary"), cut.table()
    sizes = []
    for times in (1, 3):
        many = {
            str(s): asking(cut.site(str(s), g.loc[g.index.repeat(times)], "binary"), made) for s, g in d.groupby("site")
        }
        messages = [m for m in drive(made, many).messages if m.kind == "SiteSums"]
        sizes.append(max(m.size for m in messages) - min(len(m.site) for m in messages))
    assert abs(sizes[0] - sizes[1]) < 60


def test_only_questions_and_answers_about_a_fit_stand_in_those_of_the_evaluation():
    fine = TrialQuestion("", 0, AskSchema("p", 1))
    assert decode(encode(AskTrials("p", 1, (fine,)))) == AskTrials("p", 1, (fine,))
    for kind in ("AskTrials", "SiteSchema", "LinearModel", "Fit", "object", None, 3):
        body = json.loads(encode(AskTrials("p", 1, (fine,))))
        body["trials"][0]["question"]["type"] = kind
        with pytest.raises(MessageError):
            decode(json.dumps(body).encode())
