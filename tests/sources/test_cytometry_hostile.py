"""FCS files that are none, or broken, and declarations that do not fit: one clear error, never an id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import DataError
from tests.sources import fcs_files as files
from tests.sources.fcs_files import spillover

PLACE = r"^folder 'fcs', entry 3 of 6 by name"


def keywords(**given: Any) -> dict[str, Any]:
    return {"keywords": {f"${k}": v for k, v in given.items()}}


WRITTEN: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({"version": "1.0"}, r" is FCS of another version than 2.0 to 3.2"),
    "histograms": (keywords(MODE="C"), r" holds histograms, not events \(\$MODE\)"),
    "texts as values": ({"kind": "A"}, r": values are of type A \(\$DATATYPE\), or of several; one of I, F and D"),
    "types that differ": (keywords(P3DATATYPE="D") | {"version": "3.2"}, r": values are of type F .* or of several"),
    "odd bits": (keywords(P4B="12") | {"kind": "I"}, r": a channel has values of 12 bits \(\$PnB\), which is not read"),
    "float of 16 bits": (keywords(P4B="16"), r": a channel has values of 16 bits \(\$PnB\)"),
    "mixed byte order": (keywords(BYTEORD="3,4,1,2"), r": bytes are in the order 3,4,1,2 \(\$BYTEORD\)"),
    "more events than there are": ({"events": 100_000}, r" is truncated: of 100,000 events 400 are there"),
    "more channels than there are": (keywords(PAR="9"), r": the keyword \$P9B is missing"),
    "no channels": (keywords(PAR="0"), r" says that it has 0 channels"),
    "negative events": (keywords(TOT="-5"), r" says that it has -5 events"),
    "no number of channels": (keywords(PAR=None), r": the keyword \$PAR is missing. Export it again"),
    "a word for a number": (keywords(P3R="many"), r": a keyword that tells how values are stored is no number"),
    "a word for a size": (keywords(PAR="eight"), r": a keyword that tells how values are stored is no number"),
    "no step of time": (keywords(TIMESTEP="0"), r": a keyword that tells how values are stored is no number"),
    "two data sets": (keywords(NEXTDATA="5000"), r" holds several data sets. Export each into a file of its own"),
    "values begin elsewhere": (keywords(BEGINDATA="700"), r": header and keywords differ in where values begin"),
    "values beyond the end": (keywords(ENDDATA="9999999"), r" is truncated: of 400 events 400 are there"),
    "values end early": (keywords(ENDDATA="2000"), r" is truncated: of 400 events \d+ are there"),
    "one marker twice": (
        {"markers": ("", "", "", "CD3", "", "CD4", "cd3", "")},
        r": the detectors 'FITC-A' and 'APC-A' are both called 'cd3'. Say which under channels",
    ),
    "one detector twice": (
        {"detectors": (*files.DETECTORS[:5], "X-A", "X-A", "Time"), "markers": [""] * 8},
        r": the detectors 'X-A' and 'X-A' are both called 'X-A'",
    ),
    "spillover of texts": (keywords(SPILLOVER="2,FITC-A,PE-A,1,x,0,1"), r": the spillover matrix .* cannot be read"),
    "spillover too short": (keywords(SPILLOVER="2,FITC-A,PE-A,1,0"), r": the spillover matrix .* cannot be read"),
    "spillover of others": (
        keywords(SPILLOVER=spillover(["FITC-A", "BV421-A"], np.eye(2))),
        r": the spillover matrix names 'BV421-A', which is no detector of the file",
    ),
    "spillover without inverse": (
        keywords(SPILLOVER=spillover(["FITC-A", "PE-A"], np.ones((2, 2)))),
        r": the spillover matrix has no inverse. Export it again with its matrix, or say compensate: false",
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_files_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    given, message = WRITTEN[name]
    written = files.write_folder(tmp_path)
    files.write_fcs(tmp_path / "fcs" / "p02.fcs", written[2], **given)
    with pytest.raises(DataError, match=PLACE + message) as e:
        files.read(tmp_path)
    assert "p02" not in str(e.value)


def test_files_of_somebody_else_are_not_opened(tmp_path: Path) -> None:
    files.write_folder(tmp_path)
    (tmp_path / "fcs" / "other.fcs").write_text("not FCS at all")
    found = files.read(tmp_path)
    assert found.unmatched["flow"] == 1 and "1 of 7 files are nobody's of this cohort" in found.notes["flow"]


BYTES = {
    "a text": (lambda raw: b"Event,CD3,CD4\n1,200,300\n" * 50, r" is no FCS file, whatever its ending says"),
    "another format": (lambda raw: b"\x89HDF\r\n\x1a\n" + raw, r" is no FCS file, whatever its ending says"),
    "nothing": (lambda raw: b"", r" is empty \(0 bytes\)"),
    "cut in the header": (lambda raw: raw[:30], r" is truncated: it ends within its header"),
    "cut in the keywords": (lambda raw: raw[:300], r" is truncated: it ends within its keywords"),
    "cut in the values": (lambda raw: raw[:-1000], r" is truncated"),
    "the last byte": (lambda raw: raw[:-1], r" is truncated"),
    "a header of words": (lambda raw: raw[:10] + b"  begin     end " + raw[26:], r" has a broken header"),
    "keywords before the header": (lambda raw: raw[:10] + b"       5      40" + raw[26:], r" has a broken header"),
    "endless keywords": (lambda raw: raw[:10] + b"      5899999999" + raw[26:], r" has a broken header"),
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_fcs_file(tmp_path: Path, name: str) -> None:
    change, message = BYTES[name]
    files.write_folder(tmp_path)
    path = tmp_path / "fcs" / "p02.fcs"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=PLACE + message) as e:
        files.read(tmp_path)
    assert "p02" not in str(e.value)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_are_read_or_refused(tmp_path: Path, seed: int) -> None:
    files.write_folder(tmp_path, keywords={"$SPILLOVER": spillover(["FITC-A", "PE-A"], np.eye(2) + 0.1)})
    path, rng = tmp_path / "fcs" / "p02.fcs", np.random.default_rng(seed)
    whole = path.read_bytes()
    refused = 0
    for _ in range(60):
        out = bytearray(whole)
        for k in rng.integers(900, size=rng.integers(1, 12)):
            out[k] = rng.integers(256)
        path.write_bytes(bytes(out))
        try:
            files.read(tmp_path)
        except DataError as e:
            refused += 1
            assert "p02" not in str(e) and ("entry 3 of 6" in str(e) or str(e).startswith("'fcs'"))
    assert refused > 10


def test_what_other_readers_refuse(tmp_path: Path) -> None:
    """No number of events (2.0), blanks for numbers in the header, separators that mean something elsewhere, empty values."""
    written = files.write_folder(tmp_path)
    path = tmp_path / "fcs" / "p02.fcs"
    expected = files.read(tmp_path).cohort.modalities["flow"]

    def same() -> None:
        found = files.read(tmp_path).cohort.modalities["flow"]
        assert list(found.features.index) == ["CD3", "CD4", "CD8"]
        np.testing.assert_array_equal(found.values, expected.values)  # type: ignore[attr-defined]

    files.write_fcs(path, written[2], version="2.0", keywords={"$TOT": None})
    same()
    files.write_fcs(path, written[2], large=True)
    raw = path.read_bytes()
    path.write_bytes(raw[:26] + b" " * 32 + raw[58:])
    same()
    for separator in "^.*(+":
        files.write_fcs(path, written[2], delimiter=separator, keywords={"$COM": "a" + separator + "b"})
        same()
    files.write_fcs(path, written[2], keywords={"$OP": "", "P1DISPLAY": ""})
    same()


def test_zero_events_everywhere(tmp_path: Path) -> None:
    files.write_folder(tmp_path, events=0)
    with pytest.raises(DataError, match=r"^'fcs': nobody of modality 'flow' has 100 events; the most is 0"):
        files.read(tmp_path)


def test_channels_that_are_not_there(tmp_path: Path) -> None:
    files.write_folder(tmp_path)
    with pytest.raises(
        DataError, match=r"^'fcs': no file of modality 'flow' has the channel 'CD33'. Did you mean 'CD3'"
    ):
        files.read(tmp_path, channels=["CD4", "CD33"])
    written = files.write_folder(tmp_path, markers=("", "", "", "CD3", "", "CD3", "CD8", ""))
    with pytest.raises(DataError, match=r"entry 1 of 6 by name: 'CD3' is the marker of 'FITC-A' and 'PE-A'"):
        files.read(tmp_path, channels=["CD3"])
    assert files.read(tmp_path, channels=["FITC-A"]).cohort.modalities["flow"].n_features == 1
    for i, x in enumerate(written):
        files.write_fcs(tmp_path / "fcs" / f"p{i:02d}.fcs", x[:, :2], files.DETECTORS[:2], ("", ""))
    with pytest.raises(DataError, match=r"^'fcs': no file has a channel beside time and scatter. Name channels"):
        files.read(tmp_path)


def test_folders(tmp_path: Path) -> None:
    files.write_folder(tmp_path)
    for folder, message in (
        ("nowhere", r"^The folder 'nowhere' of FCS files does not exist"),
        ("units.csv", r"^The folder 'units.csv' of FCS files is a file; expected a folder"),
    ):
        with pytest.raises(DataError, match=message):
            files.read(tmp_path, folder=folder)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "p00.csv").write_text("CD3\n1\n")
    with pytest.raises(DataError, match=r"^The folder 'empty' holds no FCS file \(.fcs\)"):
        files.read(tmp_path, folder="empty")
    with pytest.raises(DataError, match=r"^'fcs': a name of a file is empty, or id_rule does not fit it"):
        files.read(tmp_path, id_rule={"split": "_", "part": 1})
    (tmp_path / "fcs" / "p05.fcs").rename(tmp_path / "p05.fcs")
    (tmp_path / "fcs" / "p05.fcs").symlink_to(tmp_path / "p05.fcs")
    with pytest.raises(DataError, match=r"^folder 'fcs', entry 6 of 6 by name leads out of the folder, through a link"):
        files.read(tmp_path)


def test_indices(tmp_path: Path) -> None:
    files.write_folder(tmp_path)
    (tmp_path / "empty").mkdir()

    def refused(rows: list[tuple[Any, Any]], message: str, **source: Any) -> None:
        pd.DataFrame(rows, columns=["id", "path"]).to_csv(tmp_path / "index.csv", index=False)
        with pytest.raises(DataError, match=message) as e:
            files.read(tmp_path, file="index.csv", **source)
        assert "p0" not in str(e.value)

    good = ("p00", "fcs/p00.fcs")
    refused([good, ("p01", "fcs/p99.fcs")], r"^index.csv, row 3: what 'path' names is missing")
    refused([good, ("p01", "units.csv")], r"^index.csv, row 3: what 'path' names is no FCS file \(.fcs\)")
    refused([good, ("p01", "empty")], r"^index.csv, row 3: what 'path' names holds no FCS file")
    refused([good, ("p01", None)], r"^index.csv, row 3: the cell of 'path' is empty")
    refused([(None, "fcs/p00.fcs")], r"^index.csv, row 2: the cell of 'id' is empty")
    refused([good, good], r"^index.csv, row 3: this file is listed in row 2 already")
    refused([good, ("p01", "../outside.fcs")], r"^index.csv, row 3 leads out of the folder")
    refused([good], r"^index.csv .*no column 'who'", id="who")
    refused([("x", "fcs/p00.fcs")], r"^'index.csv': no file of modality 'flow' belongs to the cohort")
