"""Messages of federated studies as bytes and back: canonical JSON, arrays as base64 of little-endian float64.

No pickle, no code: what is read is one of the known records with exactly its fields and types, or it is refused. Equal
messages have equal bytes, so that a digest stands for what was sent.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import types
import typing
from functools import cache, lru_cache
from typing import Any

import numpy as np

from cohortium.contracts import (
    federation,
    federation_baseline,
    federation_network,
    federation_preparing,
    federation_private,
    federation_secure,
    federation_trees,
)


class MessageError(ValueError):
    """Bytes that are no message; the text says what is wrong with them, and holds nothing of them."""


MOST_BYTES = 512 * 1024 * 1024
"""A longer message is refused before it is read."""

_MODULES = (
    federation,
    federation_preparing,
    federation_trees,
    federation_secure,
    federation_private,
    federation_network,
    federation_baseline,
)
"""Modules of contracts whose records may be sent."""

_FAMILIES = ("cohortium.contracts.federation", "cohortium.federation_coordinator.state")
"""Modules that hold base classes: a field of such a type holds any record below it."""

_RECORDS: dict[str, type] = {
    c.__name__: c for m in _MODULES for c in vars(m).values() if isinstance(c, type) and dataclasses.is_dataclass(c)
}


ANSWERS: tuple[type, ...] = (
    *federation.ANSWERS,
    *(c for c in _RECORDS.values() if hasattr(c, "LEAVES") and c not in federation.ANSWERS),
)
"""All that may leave a site."""


def encode(message: Any) -> bytes:
    """The bytes of a record of :mod:`cohortium.contracts.federation`."""
    body = {"type": type(message).__name__, **_plain_fields(message)}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode(data: bytes, *more: type) -> Any:
    """The record of bytes; of those of :mod:`cohortium.contracts.federation`, or one of ``more``. Raises :class:`MessageError`."""
    if len(data) > MOST_BYTES:
        raise MessageError("the message is too long")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise MessageError("the message is no JSON") from e
    known = _RECORDS | {m.__name__: m for m in more}
    if not isinstance(body, dict) or body.get("type") not in known:
        raise MessageError("the message is of no known type")
    return _record(known[body.pop("type")], body, known)


def digest(data: bytes) -> str:
    """BLAKE2b of bytes, 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def holds(message: Any) -> dict[str, str]:
    """Field -> what of it is in the message: shape of an array, length of a list, else the kind of value."""
    out = {}
    for f in dataclasses.fields(message):
        value = getattr(message, f.name)
        if isinstance(value, np.ndarray):
            out[f.name] = " x ".join(map(str, value.shape))
        elif isinstance(value, tuple):
            out[f.name] = _members(value) or f"list of {len(value)}"
        else:
            out[f.name] = {int: "integer", float: "number", str: "text"}.get(type(value), "record")
    return out


def _members(several: tuple[Any, ...]) -> str:
    """Of a list of records that hold messages: how many of each kind, and what the first of them holds."""
    inner = [x for v in several if dataclasses.is_dataclass(v) for x in vars(v).values() if dataclasses.is_dataclass(x)]
    kinds: dict[str, list[Any]] = {}
    for x in inner:
        kinds.setdefault(type(x).__name__, []).append(x)
    said = []
    for name, found in kinds.items():
        fields = ", ".join(f"{k} {v}" for k, v in holds(found[0]).items() if k not in federation.ENVELOPE)
        said.append(f"{len(found)} {name} ({fields})")
    return "; ".join(said)


def _plain_fields(record: Any) -> dict[str, Any]:
    kind: type = type(record)
    hints = _hints(kind)
    return {f.name: _plain(getattr(record, f.name), _kind(hints[f.name])) for f in dataclasses.fields(record)}


@cache
def _kind(hint: Any) -> Any:
    """A field's hint without the possibility of None."""
    options = [o for o in typing.get_args(hint) if o is not type(None)]
    return options[0] if typing.get_origin(hint) in (typing.Union, types.UnionType) else hint


def _family(hint: Any) -> bool:
    """Whether a hint is a base class, of which any record may stand there: the bytes say which."""
    return isinstance(hint, type) and hint.__module__ in _FAMILIES and not dataclasses.is_dataclass(hint)


def _plain(x: Any, hint: Any = None) -> Any:
    if isinstance(x, np.ndarray):
        little = np.ascontiguousarray(x, dtype="<f8")
        return {"shape": list(x.shape), "float64": base64.b64encode(little.tobytes()).decode()}
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return ({"type": type(x).__name__} if _family(hint) else {}) | _plain_fields(x)
    if isinstance(x, tuple | list):
        return [_plain(v) for v in x]
    if isinstance(x, dict):
        return {k: _plain(v) for k, v in x.items()}
    return float(x) if isinstance(x, np.floating) else x


@lru_cache
def _hints(record: type) -> dict[str, Any]:
    return {k: v for k, v in typing.get_type_hints(record).items() if typing.get_origin(v) is not typing.ClassVar}


def _record(record: type, body: dict[str, Any], known: dict[str, type]) -> Any:
    hints = _hints(record)
    if set(body) != set(hints):
        raise MessageError(f"a {record.__name__} has other fields than it should have")
    return record(**{k: _value(hints[k], v, f"{record.__name__}.{k}", known) for k, v in body.items()})


def _member(family: type, x: Any, where: str, known: dict[str, type]) -> Any:
    """A record of a family, by the name that it says."""
    found = known.get(x.get("type", "")) if isinstance(x, dict) and isinstance(x.get("type"), str) else None
    if found is None or not issubclass(found, family):
        raise MessageError(f"{where} is of no known type")
    return _record(found, {k: v for k, v in x.items() if k != "type"}, known)


@cache
def _taken_apart(hint: Any) -> tuple[Any, tuple[Any, ...], bool, bool]:
    """Origin and arguments of a hint, whether it is a family, and whether a record: asked for each of thousands of values."""
    origin = typing.get_origin(hint)
    record = isinstance(hint, type) and dataclasses.is_dataclass(hint)
    return origin, typing.get_args(hint), _family(hint), record


def _value(hint: Any, x: Any, where: str, known: dict[str, type]) -> Any:
    origin, inner, family, record = _taken_apart(hint)
    if origin in (typing.Union, types.UnionType):
        options = [o for o in inner if o is not type(None)]
        return None if x is None else _value(options[0], x, where, known)
    if family:
        return _member(hint, x, where, known)
    if origin is np.ndarray:
        return _array(x, where)
    if record:
        if not isinstance(x, dict):
            raise MessageError(f"{where} is no record")
        return _record(hint, x, known)
    if origin in (tuple, list):
        if not isinstance(x, list):
            raise MessageError(f"{where} is no list")
        if origin is tuple and inner[-1] is not Ellipsis:
            if len(inner) != len(x):
                raise MessageError(f"{where} has another length")
            return tuple(_value(i, v, where, known) for i, v in zip(inner, x, strict=True))
        return origin(_value(inner[0], v, where, known) for v in x)
    if origin is dict:
        if not isinstance(x, dict):
            raise MessageError(f"{where} is no mapping")
        return {str(k): _value(inner[1], v, where, known) for k, v in x.items()}
    return _scalar(hint, x, where)


def _scalar(hint: Any, x: Any, where: str) -> Any:
    if hint is float and type(x) in (int, float):
        return float(x)
    if type(x) is not hint:
        raise MessageError(f"{where} is of another type")
    return x


def _array(x: Any, where: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        shape = tuple(int(s) for s in x["shape"])
        raw = base64.b64decode(x["float64"], validate=True)
        if set(x) != {"shape", "float64"} or any(s < 0 for s in shape) or len(shape) > 2:
            raise ValueError
        return np.frombuffer(raw, dtype="<f8").astype(np.float64).reshape(shape)
    except (TypeError, KeyError, ValueError, OverflowError) as e:
        raise MessageError(f"{where} is no array") from e
