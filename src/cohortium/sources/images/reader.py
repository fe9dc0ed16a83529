"""One modality of images: found, told whose they are, encoded, put into a table or a bag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cohortium.cohort import Bag, Modality, Table
from cohortium.cohort.table import feature_frame
from cohortium.errors import DataError
from cohortium.schema import Presence
from cohortium.schema.images import ImagesSource
from cohortium.sources.ids import apply_rule, hint, lengths
from cohortium.sources.images.arrays import read_arrays
from cohortium.sources.images.cache import Cache
from cohortium.sources.images.embed import Tell, embed, encoder_of
from cohortium.sources.images.formats import images_of
from cohortium.sources.images.listing import File, inside, of_folder, of_path
from cohortium.sources.images.pixels import Floats, Image
from cohortium.sources.images.showing import Seen, seen
from cohortium.sources.times import Times

VERSION = 2
"""Of the decoding: raised when files come to be read as other numbers, so that nothing old is taken from a cache."""


class ImagesReader:
    """Reads one modality of images.

    units: the cohort's unit table (index: unit id; column ``patient``). index: not used, images carry no time. tell: is
    called with the number of images done and of all. After :meth:`read`: notes, unmatched (images of nobody in the
    cohort), paths, why (n,) reason of units without an image.
    """

    def __init__(
        self, name: str, source: ImagesSource, root: Path, units: pd.DataFrame, index: Times | None = None
    ) -> None:
        self.name, self.source, self.root, self.units = name, source, root, units
        self.tell: Tell = lambda done, total: None
        self.notes: list[str] = []
        self.left_out: list[str] = []
        self.paths: list[Path] = []
        self.unmatched = 0

    def read(self) -> Table | Bag:
        """A table where every unit has one image of one plane, else a bag. Raises :class:`DataError`."""
        encoder = encoder_of(self.source, self.root)  # a missing package is said before files are looked through
        images = self._mine()
        cache = Cache(self.root, f"{VERSION} {encoder.version} {self.source.slices} {self.source.tiles}")
        rows, names = embed(images, encoder, cache, self.source.slices, self.tell)
        if not cache.writable:
            self.notes.append("embeddings cannot be kept beside the study file, and are made anew each time")
        return self._put(images, rows, names)

    def show(self) -> list[Seen]:
        """What the encoder was shown of each image, in the order of the rows that :meth:`read` gives. Raises :class:`DataError`."""
        return [seen(i, self.source) for i in self._mine()]

    def _mine(self) -> list[Image]:
        """Images of units of the cohort."""
        if self.source.npz is not None:
            images = self._of_arrays(self.source.npz)
        else:
            images = self._of_files(self._index() if self.source.file is not None else self._folder())
        if not images:
            raise DataError(f"modality '{self.name}': there is no image in '{Path(self.source.paths[0]).name}'.")
        return images

    def _of_arrays(self, npz: str) -> list[Image]:
        from cohortium.sources.formats import find
        from cohortium.sources.named_columns import inside as within

        path = within(find(self.root, npz))
        self.paths.append(path)
        images = read_arrays(path, self.source.arrays, self.source.ids)
        kept = self._known([i.owner for i in images], path.name)
        return [Image(owner, i.key, i.place, i.decode) for i, owner in zip(images, kept, strict=True) if owner]

    def _of_files(self, found: list[tuple[str, list[File]]]) -> list[Image]:
        kept = self._known([owner for owner, _ in found], Path(self.source.paths[0]).name)
        seen: set[str] = set()
        out: list[Image] = []
        burned = 0
        merged: dict[str, list[File]] = {}
        for (_, files), owner in zip(found, kept, strict=True):
            if owner:
                merged.setdefault(owner, []).extend(files)
        for owner, files in merged.items():
            images, has_text = images_of(owner, files, seen, self.source.tiles)
            out, burned = out + images, burned + has_text
            self.paths += [f.path for f in files]
        if burned:
            self.notes.append(
                f"{burned} image(s) say that texts are burned into them (names?): an encoder may learn to read them"
            )
        return out

    def _folder(self) -> list[tuple[str, list[File]]]:
        found, others = of_folder(self.root / str(self.source.folder))
        if others:
            self.notes.append(f"{others} file(s) of the folder are of no format that is read, and were passed over")
        if not found:
            raise DataError(f"modality '{self.name}': the folder '{self.source.folder}' holds no image that is read.")
        return found

    def _index(self) -> list[tuple[str, list[File]]]:
        """Rows of the index, each with its file or folder."""
        from cohortium.sources.formats import find
        from cohortium.sources.named_columns import read_columns

        source = self.source
        index = find(self.root, str(source.file))
        self.paths.append(index)
        frame = read_columns(index, [source.id, source.path])
        out = []
        for k, (owner, path) in enumerate(zip(frame[source.id], frame[source.path], strict=True)):
            place = f"{index.name}, row {k + 2}"
            if pd.isna(owner) or pd.isna(path):
                raise DataError(f"{place}: the cell of '{source.id if pd.isna(owner) else source.path}' is empty.")
            target = index.parent / str(path)
            inside(target, index.parent, place)
            out.append((_text(owner), of_path(target, place)))
        return out

    def _known(self, labels: list[str], place: str) -> list[str]:
        """The id of each label where it is a unit's (or patient's), "" where it is nobody's in the cohort."""
        ids = apply_rule(pd.Series(labels, dtype=object), self.source.id_rule, place)
        whose = self.units.index if self.source.of == "unit" else pd.Index(self.units["patient"].unique())
        known = set(whose)
        kept = [i if i in known else "" for i in ids]
        self.unmatched = kept.count("")
        if self.unmatched:
            self.notes.append(f"{self.unmatched:,} of {len(kept):,} images are nobody's of this cohort")
        if kept and self.unmatched == len(kept):
            raise DataError(
                f"{place}: no image of modality '{self.name}' belongs to the cohort. Ids have {lengths(ids)} characters, the "
                f"cohort's {self.source.of}s have {lengths(whose)}.{hint(list(ids), whose)} Is 'of' right?"
            )
        return kept

    def _put(self, images: list[Image], rows: list[Floats], names: list[str]) -> Table | Bag:
        by_owner: dict[str, list[Floats]] = {}
        for image, r in zip(images, rows, strict=True):
            by_owner.setdefault(image.owner, []).append(r)
        owners = self.units.index if self.source.of == "unit" else self.units["patient"]
        has = np.array([o in by_owner for o in owners])
        self.why = np.where(has, Presence.PRESENT.value, self.source.absent_reason).astype(object)
        parts = [np.concatenate(by_owner[o]) for o in owners[has]]
        units = self.units.index[has]
        length = np.array([len(p) for p in parts])
        values, features = np.concatenate(parts), feature_frame(names)
        self.notes.append(
            f"{len(images):,} image(s) of {len(units):,} units; {len(names)} features each"
            + ("" if (length == 1).all() else f", {_span(length)} images or slices a unit")
        )
        if (length == 1).all():
            return Table(units, values, features)
        return Bag(units, values, np.concatenate([[0], np.cumsum(length)]).astype(np.int64), features)


def _text(cell: object) -> str:
    """An id cell as text: numbers of a Parquet file without a decimal point."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def as_before(modality: Modality, expected: pd.DataFrame, name: str) -> Modality:
    """New units' images in the shape that a model was fitted to. Raises :class:`DataError` when they cannot be.

    expected: the features of training, with the shape in ``attrs``.
    """
    if list(modality.features.index) != list(expected.index):
        raise DataError(
            f"modality '{name}': the encoder gives {modality.n_features} features, and the model was fitted to "
            f"{len(expected)} (or they have other names). Use the encoder of the study."
        )
    shape = expected.attrs.get("shape", modality.shape)
    if modality.shape == shape:
        return modality
    if isinstance(modality, Table):
        return Bag(modality.units, modality.values, np.arange(len(modality.units) + 1), modality.features)
    raise DataError(
        f"modality '{name}': units have several images or slices, and the model was fitted to units with one. Keep one "
        "image a unit."
    )


def _span(length: np.ndarray) -> str:
    low, high = int(length.min()), int(length.max())
    return str(low) if low == high else f"{low} to {high}"
