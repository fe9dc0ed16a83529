"""A study file from YAML text: line-aware, without YAML 1.1's surprises.

``yes``, ``no``, ``on`` and ``off`` stay texts (they are values of clinical columns), ``001`` stays a text (it
is an id), dates stay texts; a key given twice is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cohortium.errors import StudyError

_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_NULL = ("", "~", "null", "Null", "NULL")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_MAX_NODES = 100_000

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """What the file says (``data``) and on which line (1 = first) each path of keys stands."""

    data: dict[str, Any]
    lines: dict[Path_, int] = field(default_factory=dict)

    def line(self, path: Path_) -> int | None:
        """Line of the longest prefix of ``path`` that the file has."""
        for k in range(len(path), 0, -1):
            if path[:k] in self.lines:
                return self.lines[path[:k]]
        return None


def read_text(file: Path) -> str:
    """The text of a study file. Raises :class:`StudyError` when it is missing, a folder or not UTF-8."""
    if not file.exists():
        raise StudyError(
            f"No study file at {file}. Give the path of a study.yaml, or let 'cohortium init FOLDER' propose one."
        )
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise StudyError(f"{file} is not UTF-8 text (byte {e.start}). Save it as UTF-8.") from e
    except OSError as e:
        raise StudyError(f"{file} cannot be read: {e.strerror}.") from e


def parse(text: str, name: str) -> Document:
    """The document of a YAML text. ``name``: the file's name, for messages.

    Raises :class:`StudyError` for bad YAML, an empty file, a top level that is no map, a key given twice.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(e, "problem", None) or str(e).splitlines()[0]
        hint = " Indent with spaces, not tabs." if "\\t" in str(problem) else ""
        raise StudyError(f"{name}{where}: this is not valid YAML ({problem}).{hint}") from e
    if node is None:
        raise StudyError(f"{name} is empty. 'cohortium init FOLDER' proposes a study file.")
    if not isinstance(node, yaml.MappingNode):
        raise StudyError(f"{name}: expected keys such as 'name:' and 'cohort:' at the top level.")
    builder = _Builder(name)
    data = builder.build(node, ())
    return Document(data, builder.lines)


class _Builder:
    """Plain data from YAML nodes, noting lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Path_, int] = {}
        self.n = 0

    def build(self, node: yaml.Node, path: Path_) -> Any:
        self.n += 1
        if self.n > _MAX_NODES or len(path) > 50:
            raise StudyError(f"{self.name}: too large or too deeply nested for a study file.")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(v, (*path, i)) for i, v in enumerate(node.value)]
        return self._scalar(node)

    def _map(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise StudyError(f"{self.name}, line {line}: a key must be a plain word.")
            key = str(key_node.value)
            if key in out:
                first = self.lines[(*path, key)]
                raise StudyError(f"{self.name}, line {line}: '{key}' is given twice (first on line {first}).")
            self.lines[(*path, key)] = line
            out[key] = self.build(value_node, (*path, key))
        return out

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = node.value
        if node.style is not None or node.tag == "!!str":
            return text
        if text in _NULL:
            return None
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        if _INT.match(text):
            return int(text)
        if _FLOAT.match(text):
            return float(text)
        return text
