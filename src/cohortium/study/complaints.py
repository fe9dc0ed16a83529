"""Pydantic's complaints about a study file, rewritten for the person who wrote the file."""

from __future__ import annotations

import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cohortium.errors import StudyError, did_you_mean
from cohortium.study.reading import Document

_MOST = 8


def study_error(e: ValidationError, document: Document, name: str, model: type[BaseModel]) -> StudyError:
    """One :class:`StudyError` that lists what is wrong, each with its line; at most eight."""
    lines: list[tuple[int, str]] = []
    for error in _relevant(e.errors(include_url=False), document):
        keys = _keys(error["loc"], document)
        if error["type"] == "value_error" and keys not in document.lines:
            keys = keys[:-1]  # the last part is the tag of a union, which the file does not show as a key
        line = document.line((*keys, _tag(error)) if error["type"] == "union_tag_invalid" else keys)
        where = f"line {line}: " if line else ""
        text = f"{where}{_sentence(error, keys, model)}"
        if text not in [t for _, t in lines]:
            lines.append((line or 0, text))
    lines.sort(key=lambda x: x[0])
    texts = [t for _, t in lines]
    if len(texts) == 1:
        return StudyError(f"{name}, {texts[0]}" if lines[0][0] else f"{name}: {texts[0]}")
    more = f"\n  … and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return StudyError(f"{name} has {len(texts)} mistakes:\n  " + "\n  ".join(texts[:_MOST]) + more)


def _keys(loc: tuple[int | str, ...], document: Document) -> tuple[str | int, ...]:
    """The part of a location that the file knows: tags of unions are skipped, a missing last key is kept."""
    keys: tuple[str | int, ...] = ()
    for i, part in enumerate(loc):
        if (*keys, part) in document.lines or i == len(loc) - 1:
            keys = (*keys, part)
    return keys


def _relevant(errors: list[Any], document: Document) -> list[Any]:
    """Of the branches of a union only the one that fits the shape of what was written."""
    out = []
    for error in errors:
        loc = error["loc"]
        branch = str(loc[-1]) if loc else ""
        scalar_branch = branch in ("str", "int", "float", "bool") and (*loc[:-1],) and error["type"] != "missing"
        if scalar_branch and isinstance(error.get("input"), dict):
            continue
        if scalar_branch and branch != "str":
            continue
        if error["type"] in ("model_type", "model_attributes_type") and any(
            other["loc"][:-1] == loc[:-1] and other is not error and str(other["loc"][-1]) == "str" for other in errors
        ):
            continue
        out.append(error)
    return out or errors


def _dotted(keys: tuple[str | int, ...]) -> str:
    return ".".join(str(k) for k in keys) or "the study"


def _tag(error: Any) -> str:
    """The key that says which branch of a union is meant."""
    return "shape" if "shape" in str(error.get("ctx", {}).get("discriminator")) else "kind"


def _found(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if value is None:
        return "nothing"
    names = {dict: "a map of keys", list: "a list", str: "a text", int: "a number", float: "a number"}
    kind = names.get(type(value), type(value).__name__)
    return f"{kind} ({value})" if isinstance(value, str | int | float) and len(str(value)) < 40 else kind


def _sentence(error: Any, keys: tuple[str | int, ...], model: type[BaseModel]) -> str:
    kind, ctx = error["type"], error.get("ctx", {})
    where, found = _dotted(keys), _found(error.get("input"))
    if kind == "extra_forbidden":
        parent = _dotted(keys[:-1])
        known = _fields(model, error["loc"][:-1])
        return f"there is no key '{keys[-1]}' in {parent}.{did_you_mean(str(keys[-1]), known)}"
    if kind == "missing":
        return f"'{keys[-1]}' is missing in {_dotted(keys[:-1])}."
    if kind == "value_error":
        return f"{where}: {ctx.get('error', error['msg'])}".rstrip(".") + "."
    if kind in ("literal_error", "enum"):
        return f"{where} is {found}; expected {ctx.get('expected')}."
    if kind == "union_tag_not_found":
        return f"{where} needs 'kind': {ctx.get('expected_tags', 'binary, multiclass, ordinal, continuous, survival, competing_risks')}."
    if kind == "union_tag_invalid":
        tags = [t.strip(" '") for t in str(ctx.get("expected_tags", "")).split(",")]
        return f"{where}.{_tag(error)} is '{ctx.get('tag')}'.{did_you_mean(str(ctx.get('tag')), tags)}"
    if kind == "string_type":
        quote = ' Put it in quotes: "…".' if not isinstance(error.get("input"), dict | list | None) else ""
        return f"{where}: expected a text, found {found}.{quote}"
    if kind == "string_pattern_mismatch":
        return f"{where} is {found}; use letters, digits, spaces and _ . - only, beginning with a letter or digit."
    if kind in ("model_type", "model_attributes_type", "dict_type", "dict_attributes_type"):
        return f"{where}: expected a map of keys, found {found}."
    if kind in ("list_type", "tuple_type"):
        return f"{where}: expected a list, such as [a, b], found {found}."
    return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}; found {found}."


def _fields(model: Any, loc: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model at ``loc``."""
    at: Any = model
    for part in loc:
        at = _step(at, part)
    models = _models(at)
    return sorted({f for m in models for f in m.model_fields})


def _step(at: Any, part: int | str) -> Any:
    models = _models(at)
    for m in models:
        if part in m.model_fields:
            field: FieldInfo = m.model_fields[str(part)]
            return field.annotation
    origin, args = get_origin(at), get_args(at)
    if origin is dict:
        return args[1]
    if origin in (list, tuple):
        return args[0]
    # A tag of a discriminated union, or the name of a union's branch.
    for m in models:
        kind = m.model_fields.get("kind") or m.model_fields.get("shape")
        if m.__name__ == part or (kind is not None and part in get_args(kind.annotation)):
            return m
    if origin in (Union, types.UnionType):
        for a in args:
            if get_origin(a) in (dict, list):
                return _step(a, part)
    return at


def _models(at: Any) -> list[type[BaseModel]]:
    if isinstance(at, type) and issubclass(at, BaseModel):
        return [at]
    if get_origin(at) is Annotated:
        return _models(get_args(at)[0])
    if get_origin(at) in (Union, types.UnionType):
        return [m for a in get_args(at) for m in _models(a)]
    return []
