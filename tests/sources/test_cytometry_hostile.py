"""FCS files that are none, or broken, and declarations that do not fit: one clear error, never an id."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import DataError, MissingExtra
from tests.sources import fcs_files as files
from tests.sources.fcs_files import spillover

PLACE = r"^folder 'fcs', entry 3 of 6 by name"


def keywords(**given: Any) -> dict[str, Any]:
    return {"keywords": {f"${k}": v for k, v in given.items()}}


WRITTEN: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({"version": "3.2"}, r" is FCS of another version than 2.0, 3.0 and 3.1"),
    "histograms": (keywords(MODE="C"), r" holds histograms, not events \(\$MODE\)"),
    "texts as values": ({"kind": "A"}, r": values are of type A \(\$DATATYPE\); I, F and D are read"),
    "odd bits": (keywords(P4B="24") | {"kind": "I"}, r": a channel has values of 24 bits \(\$PnB\), which is not read"),
    "float of 16 bits": (keywords(P4B="16"), r": a channel has values of 16 bits \(\$PnB\)"),
    "mixed byte order": (keywords(BYTEORD="3,4,1,2"), r": bytes are in the order 3,4,1,2 \(\$BYTEORD\)"),
    "more events than there are": ({"events": 100_000}, r" is truncated: of 100,000 events 400 fit into it"),
    "more channels than there are": (keywords(PAR="9"), r": a keyword that FCS files must have is missing"),
    "no channels": (keywords(PAR="0"), r" says that it has 0 channels"),
    "negative events": (keywords(TOT="-5"), r" says that it has 8 channels and -5 events"),
    "no number of events": (keywords(TOT=None), r" is no readable FCS file. Export it again"),
    "a word for a number": (keywords(P3R="many"), r" is no readable FCS file. Export it again"),
    "two data sets": (keywords(NEXTDATA="5000"), r" holds several data sets. Export each into a file of its own"),
    "values begin elsewhere": (keywords(BEGINDATA="700"), r": header and keywords differ in where values begin"),
    "values beyond the end": (keywords(ENDDATA="9999999"), r" is truncated: values are said to lie beyond its end"),
    "values end early": (keywords(ENDDATA="2000"), r" is truncated: of 400 events \d+ fit into it"),
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


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_folder(tmp_path)
    real = builtins.__import__

    def absent(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("flowio"):
            raise ImportError(name)
        return real(name, *args, **more)

    import sys

    for module in [m for m in sys.modules if m.startswith("flowio")]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtra, match=r"reading FCS files needs the package 'flowio'.*cohortium\[cytometry\]"):
        files.read(tmp_path)
