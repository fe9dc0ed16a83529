"""Health records: events that our readers give, counted against counts taken with pandas alone; ten million events.

usage: python benchmarks/records.py [--out runs]
MIMIC-III demo (declared tables, day resolution), eICU demo (minutes from admission), Synthea (OMOP 5.4).
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
from small import synthea as synthea_study

import cohortium

HERE = Path(__file__).parent
DATA = (HERE / "../../shared/data").resolve()


def ours(study: Path) -> pd.Series:
    """Events seen, by unit."""
    cohort = cohortium.load_cohort(cohortium.load_study(study))
    records = cohort.modalities["records"]
    return pd.Series(records.n_events, index=records.units).reindex(cohort.units.index, fill_value=0)


def said(name: str, a: pd.Series, b: pd.Series) -> None:
    b = b.reindex(a.index, fill_value=0)
    print(
        f"{name}: {int(a.sum()):,} events of {len(a)} units; pandas counts {int(b.sum()):,}; units that differ: {int((a != b).sum())}"
    )


def mimic() -> None:
    d = DATA / "mimic3_demo_subset"
    stays = pd.read_csv(d / "ADMISSIONS.csv.gz", parse_dates=["admittime"])
    drugs = pd.read_csv(d / "PRESCRIPTIONS.csv.gz", parse_dates=["startdate"]).dropna(subset=["startdate"])
    both = stays[["hadm_id", "subject_id", "admittime"]].merge(drugs[["subject_id", "startdate"]], on="subject_id")
    # A prescription's day must be over when the first 24 hours are.
    both = both[both["startdate"].dt.normalize() + pd.Timedelta("1D") <= both["admittime"] + pd.Timedelta("24h")]
    counted = both.groupby(both["hadm_id"].astype(str)).size()
    said("MIMIC-III demo", ours(HERE / "studies" / "mimic3_demo.yaml"), counted)


def eicu() -> None:
    d = DATA / "eicu_demo_subset"
    parts = [("lab", "labresultrevisedoffset", "labname"), ("medication", "drugstartoffset", "drughiclseqno"),
             ("treatment", "treatmentoffset", "treatmentstring")]  # fmt: skip
    counted = pd.Series(dtype=int)
    for table, at, code in parts:
        frame = pd.read_csv(d / f"{table}.csv.gz").dropna(subset=[code])
        frame = frame[frame[at] < 24 * 60]
        counted = counted.add(frame.groupby(frame["patientunitstayid"].astype(str)).size(), fill_value=0)
    said("eICU demo", ours(HERE / "studies" / "eicu_demo.yaml"), counted)


def synthea(out: Path) -> None:
    d, study = DATA / "synthea27nj_omop54", synthea_study(out / "synthea")
    dates = {"condition_occurrence": "condition_start_date", "drug_exposure": "drug_exposure_start_date",
             "procedure_occurrence": "procedure_date", "measurement": "measurement_date",
             "observation": "observation_date", "visit_occurrence": "visit_start_date",
             "device_exposure": "device_exposure_start_date"}  # fmt: skip
    counted = pd.Series(dtype=int)
    for table, column in dates.items():
        if (d / f"{table}.parquet").exists():
            frame = pd.read_parquet(d / f"{table}.parquet", columns=["person_id", column])
            frame = frame[pd.to_datetime(frame[column]) < pd.Timestamp("2015-01-01")]
            counted = counted.add(frame.groupby(frame["person_id"].astype(str)).size(), fill_value=0)
    said("Synthea, OMOP 5.4", ours(study), counted)


def many(events: int = 10_000_000, units: int = 20_000, codes: int = 3000) -> None:
    """Featurise ten million events."""
    from cohortium.cohort import Events
    from cohortium.cohort.windows import window_features

    rng = np.random.default_rng(0)
    last = 3650 * 86_400_000_000
    owner, moment = np.sort(rng.integers(0, units, events)), rng.integers(0, last, events)
    moment = moment[np.lexsort((moment, owner))]
    code = (rng.zipf(1.3, events) % codes).astype(np.int32)
    value = np.where(code % 3 == 0, rng.normal(size=events), np.nan)
    bounds = np.searchsorted(owner, np.arange(units + 1))
    names = np.array([f"C{k}" for k in range(codes)], dtype=object)
    index = pd.Index([f"u{k}" for k in range(units)])
    e = Events(index, names, owner, moment, code, value, bounds[:-1], bounds[1:], np.full(units, last + 1))
    begin = time.perf_counter()
    found = window_features(e)
    table = found.table(index, found.supported(units // 100))
    took, peak = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{events:,} events, {units:,} units, {codes:,} codes: {len(found.names):,} features, {table.n_features:,} kept; "
          f"{took:.1f} s on one core, peak {peak:.1f} GB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    args = parser.parse_args()
    mimic()
    eicu()
    synthea(args.out)
    many()


if __name__ == "__main__":
    main()
