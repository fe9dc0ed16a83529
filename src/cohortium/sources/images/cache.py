"""Embeddings kept in a private folder beside the study file, by content of the image and version of the encoder.

Numbers only: no ids, no names of files. Deleting the folder loses time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np

from cohortium.sources.images.pixels import Floats

FOLDER = ".cohortium_cache"


class Cache:
    """The embeddings of one encoder. names: of columns, known once something was read or written.

    writable: False when nothing can be kept there; embedding then works and starts anew next time.
    """

    def __init__(self, root: Path, version: str) -> None:
        name = hashlib.blake2b(version.encode(), digest_size=12).hexdigest()
        self.folder = root / FOLDER / "images" / name
        self.names: list[str] = []
        self.writable = True

    def read(self) -> dict[bytes, Floats]:
        """Hash of an image -> (k, p) rows of its planes. A damaged file is passed over: its images are done again."""
        out: dict[bytes, Floats] = {}
        for file in sorted(self.folder.glob("*.npz")) if self.folder.is_dir() else []:
            try:
                with np.load(file, allow_pickle=False) as z:
                    keys, ends, values, names = z["keys"], z["ends"], z["values"], [str(n) for n in z["names"]]
                parts = np.split(values, ends[:-1])
                whole = len(keys) == len(parts) and len(values) == ends[-1] and values.shape[1] == len(names)
            except Exception:  # zipfile, zlib and numpy raise many kinds; all mean a file that was cut off
                continue
            if whole and (not self.names or names == self.names):
                self.names = names
                out.update({bytes(k): p for k, p in zip(keys, parts, strict=True)})
        return out

    def write(self, rows: dict[bytes, Floats], names: list[str]) -> None:
        """Keep rows: a file of its own, whole or not at all, readable by its owner only."""
        self.names = names
        if not self.writable:
            return
        keys = np.array([np.frombuffer(k, dtype=np.uint8) for k in rows])
        values = np.concatenate(list(rows.values())).astype(np.float32)
        ends = np.cumsum([len(v) for v in rows.values()])
        try:
            for folder in (self.folder.parents[1], self.folder.parent, self.folder):
                folder.mkdir(mode=0o700, exist_ok=True)
            target = self.folder / f"{hashlib.blake2b(keys.tobytes(), digest_size=12).hexdigest()}.npz"
            handle, part = tempfile.mkstemp(dir=self.folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as f:
                    np.savez(f, keys=keys, ends=ends, values=values, names=np.array(names))
                Path(part).replace(target)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(part).unlink()
                raise
        except OSError:  # a folder that only others may write to: the work is done, and not kept
            self.writable = False
