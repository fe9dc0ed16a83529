"""One modality's file -> a table of the cohort's units, with notes of what was done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cohortium.cohort import Table
from cohortium.errors import DataError, did_you_mean_column
from cohortium.schema import ColumnKind
from cohortium.schema.declare import ModalitySource
from cohortium.schema.joint import IMPUTED
from cohortium.sources import transforms
from cohortium.sources.columns import ColumnReader, align, level_name
from cohortium.sources.feature_ids import check_space, stripped
from cohortium.sources.formats import find, read_raw
from cohortium.sources.ids import apply_leniently, apply_rule, hint, lengths
from cohortium.sources.raw import Raw, column_of


class ModalityReader:
    """Reads one modality.

    units: the cohort's unit table (index: unit id; column ``patient``). reserved: columns of the file that are ids,
    design or endpoints. expected: features of a fitted study, to which the file is fitted; a declared column may
    then be missing. After :meth:`table`: notes, left_out (columns that are no features), unmatched (rows that
    belong to no unit), transform (what was done to values, in words).
    """

    def __init__(
        self,
        name: str,
        source: ModalitySource,
        root: Path,
        id_name: str | None,
        units: pd.DataFrame,
        reserved: set[str],
        expected: pd.DataFrame | None = None,
    ) -> None:
        self.name, self.source, self.units = name, source, units
        self.reserved, self.expected = reserved, expected
        self.path = find(root, source.file)
        self.notes: list[str] = []
        self.left_out: list[str] = []
        self.unmatched = 0
        self.turned: np.ndarray | None = None
        self.transform = "" if source.transform == "none" else transforms.FORMULA[source.transform]
        self.by_row = source.transform in transforms.BY_ROW
        self.raw = self._without_versions(self._oriented(read_raw(root, source, id_name)))

    def table(self) -> Table:
        """Values of the units that the file has. Raises :class:`DataError`."""
        ids = apply_rule(self.raw.labels, self.source.id_rule, self.raw.name)
        frame = self._columns(self.raw.frame)
        rows = np.arange(len(ids))
        keep, position = self._matched(ids)
        order = self._latest_order(keep)
        if not keep.all():
            frame, rows, position = frame[keep], rows[keep], position[keep]
        kinds, levels = self._declared(frame)

        def place(row: int, feature: str) -> str:
            return self._place(rows[row], feature)

        reader = ColumnReader(self.raw.name, kinds, levels, place, self.by_row)
        values, features = reader.read(frame, self.source.id_space)
        self.notes += reader.notes
        self.left_out += reader.dates
        if not len(features):
            raise DataError(
                f"{self.raw.name}: no feature is left for modality '{self.name}'. Its other columns are ids, endpoints or left out."
            )
        if self.expected is None:
            check_space(list(map(str, features.index)), self.source.id_space, self.raw.name, self.name)
        if self.by_row:
            values = self._row_by_row(values, features, rows, place)
        values, position = self._merge(values, position, rows, features, order)
        self._transform(values, features)
        empty = np.isnan(values).all(axis=1)
        if empty.any():
            self.notes.append(f"{int(empty.sum())} row(s) without any value count as not having the modality")
            values, position = values[~empty], position[~empty]
        table = self._broadcast(values, position, features)
        if self.expected is None:
            return table
        table, more = align(table, self.expected, self.raw.name)
        self.notes += more
        return table

    def _place(self, row: int, feature: str) -> str:
        if self.turned is not None:
            at = int(np.flatnonzero(self.raw.frame.columns == feature)[0])
            return f"{self.raw.name}, row {self.feature_rows[at]}, column {self.turned[row]}"
        return f"{self.raw.name}, row {self.raw.rows[row]}, column '{feature}'"

    def _oriented(self, raw: Raw) -> Raw:
        how, rule = self.source.orientation, self.source.id_rule
        if how == "units_in_rows" or self.source.format in ("h5ad", "h5mu", "npy"):
            return raw
        wanted = set(self.units.index) | set(self.units["patient"])
        named = np.array([v in wanted for v in apply_leniently(raw.frame.columns, rule)], dtype=bool)
        if how == "auto":
            in_rows = sum(v in wanted for v in apply_leniently(raw.labels.dropna(), rule))
            if named.sum() <= in_rows:
                return raw
            self.notes.append(
                f"units are in the columns (features × units): {int(named.sum())} column names are unit ids; turned"
            )
        features = raw.labels
        if features.isna().any() or (features == "").any():
            raise DataError(f"{raw.name}, row {raw.row_of(features.isna() | (features == ''))}: no feature name.")
        if features.duplicated().any():
            raise DataError(
                f"{raw.name}, row {raw.row_of(features.duplicated())}: the feature name stands in an earlier row too. Make "
                "feature names unique."
            )
        columns = np.asarray(raw.frame.columns, dtype=object)
        self.turned, self.feature_rows = np.arange(len(columns)) + 2, raw.rows
        if named.any() and not named.all():
            # Descriptions beside the values would make texts of all of them.
            self.unmatched = int((~named).sum())
            self.notes.append(f"{self.unmatched} further column(s) are no unit and are not used")
            raw = Raw(raw.path, raw.labels, raw.frame.loc[:, named], raw.id_name)
            columns, self.turned = columns[named], self.turned[named]
        frame = _turned(raw.frame)
        frame.columns = pd.Index(features.to_numpy(dtype=object))
        return Raw(raw.path, pd.Series(columns, dtype=object), frame, "column names")

    def _without_versions(self, raw: Raw) -> Raw:
        """Feature ids without their versions, where that is asked for."""
        if not self.source.strip_version:
            return raw
        names = list(map(str, raw.frame.columns))
        # Excluded columns keep their names: that is how one of several versions is left out.
        new = stripped(names, self.reserved | self._unwanted, raw.name)
        changed = sum(a != b for a, b in zip(names, new, strict=True))
        self.notes.append(f"versions were taken off the ids of {changed:,} features")
        frame = raw.frame.copy(deep=False)
        frame.columns = pd.Index(new, dtype=object)
        return Raw(raw.path, raw.labels, frame, raw.id_name)

    @property
    def _unwanted(self) -> set[str]:
        source = self.source
        return {*source.exclude, *source.recorded_after_index, *([source.latest_by] if source.latest_by else [])}

    def _columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        source, names = self.source, list(map(str, frame.columns))
        known, fitted = set(names), self.expected is not None
        lists = {
            "columns": source.columns or [],
            "exclude": source.exclude,
            "recorded_after_index": source.recorded_after_index,
        }
        for what, listed in lists.items():
            for c in listed:
                if c not in known and not fitted:
                    raise DataError(
                        f"{what} of modality '{self.name}' names '{c}', which is no column of {self.raw.name}.{did_you_mean_column(c, names)}"
                    )
        unwanted = self._unwanted
        if known >= IMPUTED and not unwanted >= IMPUTED:
            raise DataError(
                f"{self.raw.name} holds values that 'cohortium impute' predicted, not measurements (columns "
                f"{' and '.join(sorted(IMPUTED))}). A study tested on the units they were learned from tests nothing. If you mean "
                f"to use them, say so in modality '{self.name}': exclude: [{', '.join(sorted(IMPUTED))}]."
            )
        summaries = [c for c in names if transforms.SUMMARY.match(c)] if source.transform == "cpm_log" else []
        if summaries:
            unwanted = unwanted | set(summaries)
            self.notes.append(f"reads that belong to no feature are not counted: {', '.join(summaries)}")
        wanted = [c for c in source.columns if c in known] if source.columns is not None else names
        taken = [c for c in wanted if c in self.reserved and c not in unwanted]
        if taken and source.columns is not None:
            raise DataError(
                f"modality '{self.name}' asks for column '{taken[0]}', which is an id, design or endpoint column of the study: "
                "it cannot be a predictor too."
            )
        if taken:
            self.notes.append(f"columns of endpoints and design are no features: {', '.join(taken)}")
        self.left_out += [c for c in source.recorded_after_index if c in known]
        keep = [c for c in dict.fromkeys(wanted) if c not in unwanted and c not in self.reserved]
        frame = frame.copy(deep=False)
        frame.columns = pd.Index(names, dtype=object)
        return frame if keep == names else frame[keep]

    def _declared(self, frame: pd.DataFrame) -> tuple[dict[str, ColumnKind], dict[str, list]]:
        """Kinds and levels: the study file's, or those of the features that a model was fitted on."""
        if self.expected is None:
            return dict(self.source.kinds), dict(self.source.levels)
        kinds = {}
        old = dict(zip(self.expected.index, self.expected["levels"], strict=True))
        for c, dtype in zip(frame.columns, frame.dtypes, strict=True):
            if c not in old:
                continue
            numbers = pd.api.types.is_numeric_dtype(dtype)
            if old[c] is None and not numbers:
                kinds[c] = ColumnKind.NUMERIC
            elif old[c] is not None and not (numbers and tuple(old[c]) == ("0", "1")):
                kinds[c] = ColumnKind.NOMINAL
        return kinds, {}

    def _matched(self, ids: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """(n,) bool: the row belongs to a unit; (n,) position of the unit, or of the patient."""
        found = pd.Index(ids.to_numpy(dtype=object))
        position = self.units.index.get_indexer(found)
        self.by_patient = not (position >= 0).any()
        if self.by_patient:
            self.patients = pd.Index(self.units["patient"].unique())
            position = self.patients.get_indexer(found)
            if not (position >= 0).any():
                raise DataError(self._no_match(list(ids)))
            self.notes.append("rows are patients: each patient's values are given to all their units")
        strangers = int((position < 0).sum())
        if strangers:
            self.unmatched += strangers
            self.notes.append(f"{strangers} of {len(ids)} row(s) have an id that is no unit; they are not used")
        return position >= 0, position

    def _no_match(self, ids: list[str]) -> str:
        advice = hint(ids, self.units.index)
        known = set(self.units.index)
        # A column that was not read as ids may have lost its leading zeros.
        loose = known | {v.lstrip("0") for v in known}
        for c in self.raw.frame.columns if self.raw.frame.shape[1] <= 200 and not advice else []:
            if self.raw.frame[c].dropna().map(level_name).isin(loose).mean() > 0.5:
                advice = f" Column '{c}' holds unit ids: say id: {c}."
                break
        where = f"in column '{self.raw.id_name}'" if self.raw.id_name else "in the first column"
        if self.turned is not None:
            where = "in the column names"
        return (
            f"{self.raw.name}: no row of modality '{self.name}' belongs to a unit. Ids {where} have {lengths(ids)} characters, "
            f"the unit table's have {lengths(known)}.{advice} Is the id column right, and the orientation?"
        )

    def _latest_order(self, keep: np.ndarray) -> np.ndarray | None:
        by = self.source.latest_by
        if by is None:
            return None
        column = column_of(self.raw, by)[keep]
        number = pd.to_numeric(column, errors="coerce")
        if number.notna().sum() < column.notna().sum():
            date = pd.to_datetime(column, errors="coerce", format="mixed")
            number = (date - pd.Timestamp(0)).dt.total_seconds()
        if (number.isna() & column.notna()).any() or number.isna().all():
            raise DataError(
                f"{self.raw.name}: latest_by names '{by}', whose cells are neither all numbers nor all dates."
            )
        return number.fillna(-np.inf).to_numpy(float)

    def _merge(
        self,
        values: np.ndarray,
        position: np.ndarray,
        rows: np.ndarray,
        features: pd.DataFrame,
        order: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """One row per unit, in the cohort's order; a new array."""
        twice = pd.Series(position).duplicated().to_numpy()
        if not twice.any():
            at = np.argsort(position, kind="stable")
            return np.ascontiguousarray(values[at]), position[at]
        how = self.source.duplicates
        if how == "error":
            first = rows[np.flatnonzero(twice)[0]]
            where = f"column {self.turned[first]}" if self.turned is not None else f"row {self.raw.rows[first]}"
            raise DataError(
                f"{self.raw.name}, {where}: this unit is there before it too ({int(twice.sum())} such row(s)). Say "
                "duplicates: mean, first or latest, or mend the file."
            )
        self.notes.append(f"{int(twice.sum())} further row(s) of the same unit were merged ({how})")
        if how == "mean":
            frame = pd.DataFrame(values).groupby(position, sort=True)
            merged, first = frame.mean(), frame.first()
            coded = features["levels"].notna().to_numpy()
            merged.loc[:, coded] = first.loc[:, coded]
            return np.ascontiguousarray(merged.to_numpy(values.dtype)), merged.index.to_numpy()
        last = -order if order is not None and how == "latest" else np.zeros(len(position))
        at = np.lexsort((np.arange(len(position)), last, position))
        chosen = at[np.unique(position[at], return_index=True)[1]]
        return np.ascontiguousarray(values[chosen]), position[chosen]

    def _row_by_row(
        self, x: np.ndarray, features: pd.DataFrame, rows: np.ndarray, place: transforms.Place
    ) -> np.ndarray:
        """Transforms of each row by itself; a new array."""
        numeric = features["levels"].isna().to_numpy()
        if self.expected is not None:
            # Further columns of a new file are ignored, whatever they hold.
            numeric &= features.index.isin(self.expected.index)
        some, names = x[:, numeric], features.index[numeric]
        if self.source.transform == "m_value":
            transforms.check_betas(some, names, place, self.name)
            made = transforms.m_value(some)
        else:
            transforms.check_counts(some, names, place, self.name)
            made = transforms.cpm_log(some, self._libraries(some, names, rows, place))
        self.notes.append(f"transform {self.source.transform}: {self.transform}")
        out = x.copy()
        out[:, numeric] = made
        return out

    def _libraries(self, x: np.ndarray, names: pd.Index, rows: np.ndarray, place: transforms.Place) -> np.ndarray:
        """(n,) library size of each row: the sum over everything that is counted in the file, used as a feature or not."""
        wanted = 0 if self.expected is None else int(self.expected["levels"].isna().sum())
        if len(names) < (1 - transforms.LACKING) * wanted:
            raise DataError(
                f"{self.raw.name} has {len(names):,} of the {wanted:,} counted features that the model was fitted on: counts "
                f"per million of modality '{self.name}' would be of another total. Give the whole table of counts."
            )
        more = self._counted_beside(set(names))
        library = transforms.library_sizes(x)
        if more:
            others = self.raw.frame[more].iloc[rows].to_numpy(dtype=np.float64)
            transforms.check_counts(others, pd.Index(more, dtype=object), place, self.name)
            library += transforms.library_sizes(others)
        empty = int((library == 0).sum())
        if empty:
            self.notes.append(f"{empty} row(s) without a single count are unknown")
        self.notes.append(f"library sizes are sums over {len(names) + len(more):,} counted columns")
        return library

    def _counted_beside(self, features: set[str]) -> list[str]:
        """Columns of numbers that 'columns' leaves out: no features, and counted all the same."""
        if self.source.columns is None:
            return []
        used, frame = {*features, *self._unwanted, *self.reserved}, self.raw.frame
        return [
            c for c, dtype in zip(map(str, frame.columns), frame.dtypes, strict=True)
            if c not in used and pd.api.types.is_numeric_dtype(dtype) and not transforms.SUMMARY.match(c)
        ]  # fmt: skip

    def _transform(self, x: np.ndarray, features: pd.DataFrame) -> None:
        """In place."""
        how = self.source.transform
        if how == "none" or self.by_row:
            return
        numeric = features["levels"].isna().to_numpy()
        negative = (x < 0).any(axis=0) & numeric
        if negative.any():
            raise DataError(
                f"{self.raw.name}: transform: {how} of modality '{self.name}' needs values of at least 0, and {int(negative.sum())} "
                f"feature(s) have others, '{features.index[np.flatnonzero(negative)[0]]}' first. Are the values logarithms already?"
            )
        x[:, numeric] = np.log1p(x[:, numeric]) / (np.log(2.0) if how == "log2p1" else 1.0)
        self.notes.append(f"transform {how}: {self.transform}")

    def _broadcast(self, values: np.ndarray, position: np.ndarray, features: pd.DataFrame) -> Table:
        if not self.by_patient:
            return Table(self.units.index[position], values, features)
        of_unit = self.patients.get_indexer(self.units["patient"])
        row_of = np.full(len(self.patients), -1)
        row_of[position] = np.arange(len(position))
        at = row_of[of_unit]
        return Table(self.units.index[at >= 0], values[at[at >= 0]], features)


def _turned(frame: pd.DataFrame) -> pd.DataFrame:
    """Transposed; where texts are among the values, each new column gets the type of its own cells."""
    turned = frame.T.reset_index(drop=True)
    if not any(pd.api.types.is_object_dtype(d) for d in frame.dtypes):
        return turned

    columns = {}
    for j in range(turned.shape[1]):
        column = turned.iloc[:, j].infer_objects()
        as_number = pd.to_numeric(column, errors="coerce") if column.dtype == object else column
        columns[j] = as_number if as_number.notna().sum() == column.notna().sum() else column
    return pd.DataFrame(columns)
