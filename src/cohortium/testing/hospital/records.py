"""Health-record events of the same patients as MEDS, as OMOP tables and as FHIR resources; clinical notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.testing.hospital.people import People

CONDITIONS = ("44054006", "38341003", "195967001", "13645005", "271737000", "84114007", "73211009", "40930008")
"""SNOMED codes; the first three follow the cause."""

LABS = (
    ("2160-0", 0.9, 0.16, 0.13),
    ("718-7", 13.5, 1.2, -0.8),
    ("2951-2", 140.0, 2.5, 0.0),
    ("1742-6", 26.0, 7.0, 0.0),
)
"""LOINC code, mean, standard deviation, shift per standard deviation of the cause."""

DEATHBED = "305336008"
"""A code that only those who relapse get, after the index time: whoever sees it has looked into the future."""

CONCEPTS = {code: 1000 + k for k, code in enumerate([*CONDITIONS, DEATHBED, *(lab[0] for lab in LABS)])}


def draw_events(people: People, rng: np.random.Generator) -> pd.DataFrame:
    """``subject_id, time, code, numeric_value``, in order of patient and time; after the index time too."""
    rows = []
    for i in np.flatnonzero(people.present["records"].to_numpy()):
        who, index = people.table.index[i], pd.Timestamp(people.table["index_time"].iloc[i])
        cause = people.driver["records"][i]
        for k, code in enumerate(CONDITIONS):
            rate = 1.3 * np.exp(0.4 * cause if k < 3 else 0.0) * (0.6 if k > 4 else 1.0)
            rows += [(who, index - pd.Timedelta(minutes=int(m)), f"SNOMED//{code}", np.nan)
                     for m in rng.integers(60, 700 * 1440, rng.poisson(rate))]  # fmt: skip
        for code, mean, sd, shift in LABS:
            for m in rng.integers(60, 500 * 1440, 1 + rng.poisson(2)):
                value = round(float(mean + shift * cause + sd * rng.normal()), 2)
                rows.append((who, index - pd.Timedelta(minutes=int(m)), f"LOINC//{code}", value))
        if people.table["relapse"].iloc[i] == "yes":
            rows.append(
                (who, index + pd.Timedelta(minutes=int(rng.integers(0, 90_000))), f"SNOMED//{DEATHBED}", np.nan)
            )
    frame = pd.DataFrame(rows, columns=["subject_id", "time", "code", "numeric_value"])
    return frame.sort_values(["subject_id", "time", "code"], kind="stable").reset_index(drop=True)


def write_records(people: People, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """``meds/``, ``omop/`` and ``fhir/``: one and the same events."""
    events = draw_events(people, rng)
    (folder / "meds" / "data").mkdir(parents=True)
    (folder / "meds" / "metadata").mkdir()
    typed = events.assign(
        time=events["time"].astype("datetime64[us]"), numeric_value=events["numeric_value"].astype("float32")
    )
    typed.to_parquet(folder / "meds" / "data" / "0.parquet", index=False)
    about = {"dataset_name": "simulated hospital", "meds_version": "0.3.3"}
    (folder / "meds" / "metadata" / "dataset.json").write_text(json.dumps(about, indent=1) + "\n")
    _write_omop(events, folder / "omop")
    _write_fhir(events, folder / "fhir")
    return {"causal": [f"SNOMED//{c}" for c in CONDITIONS[:3]] + [f"LOINC//{lab[0]}" for lab in LABS if lab[3]]}


def _write_omop(events: pd.DataFrame, folder: Path) -> None:
    folder.mkdir()
    code = events["code"].str.split("//").str[1]
    lab = events["code"].str.startswith("LOINC").to_numpy()
    concept = code.map(CONCEPTS)
    when = events["time"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    base = pd.DataFrame(
        {"person_id": events["subject_id"], "concept": concept, "date": when.str[:10], "datetime": when}
    )
    names = {"concept": "{}_concept_id", "date": "{}_date", "datetime": "{}_datetime"}
    conditions = base[~lab].rename(
        columns={k: v.format("condition" if k == "concept" else "condition_start") for k, v in names.items()}
    )
    measured = base[lab].rename(columns={k: v.format("measurement") for k, v in names.items()})
    measured = measured.assign(value_as_number=events["numeric_value"][lab])
    conditions.to_csv(folder / "condition_occurrence.csv", index=False)
    measured.to_csv(folder / "measurement.csv", index=False)
    snomed = {*CONDITIONS, DEATHBED}
    pd.DataFrame(
        [
            {"concept_id": c, "vocabulary_id": "SNOMED" if k in snomed else "LOINC", "concept_code": k}
            for k, c in CONCEPTS.items()
        ]
    ).to_csv(folder / "concept.csv", index=False)
    pd.DataFrame({"person_id": events["subject_id"].unique()}).to_csv(folder / "person.csv", index=False)


def _write_fhir(events: pd.DataFrame, folder: Path) -> None:
    folder.mkdir()
    system = {"SNOMED": "http://snomed.info/sct", "LOINC": "http://loinc.org"}
    lines: dict[str, list[str]] = {"Condition": [], "Observation": []}
    for k, (who, when, code, value) in enumerate(events.itertuples(index=False, name=None)):
        vocabulary, bare = code.split("//")
        kind = "Condition" if vocabulary == "SNOMED" else "Observation"
        resource: dict[str, Any] = {
            "resourceType": kind,
            "id": f"r{k}",
            "subject": {"reference": f"Patient/{who}"},
            "code": {"coding": [{"system": system[vocabulary], "code": bare}]},
            "recordedDate" if kind == "Condition" else "effectiveDateTime": when.strftime("%Y-%m-%dT%H:%M:%S"),
        }
        if kind == "Observation":
            resource |= {"status": "final", "valueQuantity": {"value": value}}
        lines[kind].append(json.dumps(resource))
    for kind, text in lines.items():
        (folder / f"{kind}.ndjson").write_text("\n".join(text) + "\n", encoding="utf-8")


BAD = ("worsening dyspnoea", "severe fatigue", "unintended weight loss", "progressive pain")
PLAIN = ("appetite good", "sleeps well", "walks daily", "tolerates treatment", "seen with spouse", "no new complaints")


def write_notes(people: People, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """``notes.csv``: two notes a patient; four complaints follow the cause, and negated ones mean nothing.

    Telephone numbers and dates stand in the text, as they do in real notes.
    """
    rows = []
    for i in np.flatnonzero(people.present["notes"].to_numpy()):
        index = pd.Timestamp(people.table["index_time"].iloc[i])
        for _ in range(2):
            day = index - pd.Timedelta(days=int(rng.integers(2, 300)))
            said = [p for p in BAD if rng.random() < 1 / (1 + np.exp(0.7 - 0.85 * people.driver["notes"][i]))]
            denied = [f"denies {p}" for p in BAD if p not in said and rng.random() < 0.5]
            parts = said + denied + list(rng.choice(PLAIN, 3, replace=False))
            text = f"Seen on {day:%d/%m/%Y}. " + ". ".join(p.capitalize() for p in rng.permutation(parts))
            rows.append(
                (people.table.index[i], f"{day:%Y-%m-%dT%H:%M:%S}", f"{text}. Call 555-01{rng.integers(10, 99)}-2345.")
            )
    pd.DataFrame(rows, columns=["patient_id", "time", "text"]).to_csv(folder / "notes.csv", index=False)
    return {"causal": list(BAD)}
