"""The log of messages that a site or the server keeps for its own audit: appended to, a line a message."""

from __future__ import annotations

import csv
import datetime
from pathlib import Path

from cohortium.contracts.federation_results import MessageRow

HEAD = ("time", "round", "site", "to", "kind", "bytes", "blake2b", "holds")


def append(file: Path, row: MessageRow) -> None:
    """Add a message; the file is made, readable by its owner only, when it is not there."""
    new = not file.exists()
    if new:
        file.touch(mode=0o600)
    with file.open("a", encoding="utf-8", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        if new:
            out.writerow(HEAD)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        held = "; ".join(f"{k}: {v}" for k, v in row.holds.items())
        out.writerow([now, row.round, row.site, row.to, row.kind, row.size, row.digest, held])
