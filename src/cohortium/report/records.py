"""``results.json``: written byte for byte the same, read back into the frozen records, with a JSON Schema."""

from __future__ import annotations

import dataclasses
import json
import math
from functools import cache
from typing import Any

import numpy as np

from cohortium.contracts.results import SCHEMA_VERSION, Results
from cohortium.errors import RunFolderError

# Maps whose order carries no meaning are sorted. ``classes`` keeps its order (the order of the codes), so do
# ``excluded`` (the order in which rows were lost) and ``settings`` (the order in which they are best read).
_SORTED_MAPS = frozenset({"kinds", "chosen_inside", "hashes", "versions"})


def to_json(results: Results) -> str:
    """The text of ``results.json``: UTF-8, indented, floats by ``repr``, NaN and infinity as null.

    Equal records give equal text, whatever the order in which unordered maps were filled.
    """
    return json.dumps(_plain(results), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Results:
    """The records of a ``results.json``.

    Raises :class:`RunFolderError` when the text is no JSON, of a newer schema, or does not fit the schema.
    """
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as e:
        raise RunFolderError(
            f"results.json is not JSON (line {e.lineno}: {e.msg}). It may have been cut short; run the study again."
        ) from e
    found = tree.get("schema_version") if isinstance(tree, dict) else None
    if not isinstance(found, str) or found.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise RunFolderError(
            f"results.json has schema_version {found!r}; this version of cohortium reads {SCHEMA_VERSION!r}. "
            "Use the cohortium that wrote it, or run the study again."
        )
    from pydantic import ValidationError

    try:
        results: Results = _adapter().validate_python(tree)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise RunFolderError(
            f"results.json does not fit its schema: {first['msg']} at '{where}' ({e.error_count()} in all). "
            "Run the study again to write it anew."
        ) from e
    return results


def results_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of ``results.json``, made from the records."""
    schema = _adapter().json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Cohortium results",
        **{k: v for k, v in schema.items() if k != "title"},
    }


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Results)


def _plain(x: Any, name: str = "") -> Any:
    """``x`` as JSON types. ``name``: the field it stands in, which says whether a map is sorted."""
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return {f.name: _plain(getattr(x, f.name), f.name) for f in dataclasses.fields(x)}
    if isinstance(x, dict):
        keys = sorted(x, key=str) if name in _SORTED_MAPS else list(x)
        return {str(k): _plain(x[k]) for k in keys}
    if isinstance(x, set | frozenset):
        return sorted((_plain(v) for v in x), key=lambda v: json.dumps(v, sort_keys=True))
    if isinstance(x, list | tuple):
        return [_plain(v) for v in x]
    if isinstance(x, np.ndarray):
        return _plain(x.tolist())
    if isinstance(x, np.generic):
        return _plain(x.item())
    if isinstance(x, float):
        return x if math.isfinite(x) else None
    if x is None or isinstance(x, bool | int):
        return x
    return str(x)
