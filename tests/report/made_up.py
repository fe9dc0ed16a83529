"""Records of any type with something in every field, to fill a page."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any


def made_up(kind: Any, /, **given: Any) -> Any:
    """A value of a type: of a record every field, of a list one element, of a union the first that is not None."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{f.name: given.get(f.name, made_up(hints[f.name])) for f in dataclasses.fields(kind)})
    if origin is list:
        return [made_up(inside[0])]
    if origin is tuple:
        return tuple(made_up(k) for k in inside if k is not ...)
    if origin is dict:
        return {made_up(inside[0]): made_up(inside[1])}
    if origin in (types.UnionType, typing.Union):
        return made_up(next(k for k in inside if k is not type(None)))
    if origin is typing.Literal:
        return inside[0]
    return {str: "alpha", int: 9, float: 0.5, bool: True, Any: "beta"}[kind]
