"""A study: the typed study file and where it stands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from cohortium.errors import StudyError, did_you_mean
from cohortium.study.spec import EvaluationSpec, StudySpec

PRESETS = {
    "quick": {"repeats": 1, "folds": 5},
    "default": {"repeats": 3, "folds": 5},
    "thorough": {"repeats": 10, "folds": 5},
}


def declared(x: Any) -> Any:
    """What declarations say beyond their defaults, as JSON holds it; of each its class, since shapes differ by that alone."""
    if isinstance(x, BaseModel):
        said = {"": type(x).__name__}
        for name, field in type(x).model_fields.items():
            value = getattr(x, name)
            if field.is_required() or value != field.get_default(call_default_factory=True):
                said[name] = declared(value)
        return said
    if isinstance(x, Mapping):
        return {str(k): declared(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [declared(v) for v in x]
    return to_jsonable_python(x)


@dataclass(frozen=True)
class Study:
    """A study file, read and checked. folder: where its relative paths start. text: the file as written."""

    spec: StudySpec
    path: Path
    folder: Path
    text: str

    @property
    def evaluation(self) -> EvaluationSpec:
        """How performance is estimated: the preset, where the study file does not say itself."""
        given = self.spec.evaluation.model_fields_set
        own = {k: v for k, v in PRESETS[self.spec.preset].items() if k not in given}
        return self.spec.evaluation.model_copy(update=own)

    @property
    def models(self) -> tuple[str, ...]:
        """Model families inside the learners: the quick preset takes linear ones unless the file names them."""
        if self.spec.preset == "quick" and "models" not in self.spec.model_fields_set:
            return ("linear",)
        return tuple(self.spec.models)

    @property
    def hash(self) -> str:
        """What the study asks of ``run``, as 32 hexadecimal digits; title, statements, ``federation`` and comments do not count.

        What is at its default does not count either: keys that a later version adds leave the hash as it is."""
        silent = ("title", "statements", "federation", "evaluation", "models")
        facts = {k: v for k, v in declared(self.spec).items() if k not in silent}
        facts["evaluation"] = declared(self.evaluation)
        facts["models"] = list(self.models)
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()

    def having(
        self, learners: Sequence[str] | None = None, preset: str | None = None, folder: Path | None = None
    ) -> Study:
        """The study with other learners, another preset, or its data in another folder.

        Raises :class:`StudyError` for an unknown preset.
        """
        update: dict[str, Any] = {}
        if learners is not None:
            update["learners"] = list(learners)
        if preset is not None:
            if preset not in PRESETS:
                raise StudyError(f"No preset called '{preset}'.{did_you_mean(preset, PRESETS)}")
            update["preset"] = preset
        spec = self.spec.model_copy(update=update)
        if "preset" in update:
            # model_copy marks updated fields as set; evaluation and models keep what the file itself set.
            object.__setattr__(spec, "__pydantic_fields_set__", set(self.spec.model_fields_set) | {"preset"})
        return replace(self, spec=spec, folder=folder or self.folder)


def load_study(path: str | Path) -> Study:
    """Read a study file, or the ``study.yaml`` of a folder.

    Raises :class:`StudyError` naming the line and what to write instead, for bad YAML, unknown or repeated keys,
    wrong types and names that are not declared.
    """
    from cohortium.study.reading import read_text

    file = Path(path)
    if file.is_dir():
        file = file / "study.yaml"
    text = read_text(file)
    return Study(parse_study(text, file.name), file, file.parent, text)


def parse_study(text: str, name: str) -> StudySpec:
    """The typed study of a YAML text; ``name`` is the file's name in messages. Raises :class:`StudyError`."""
    from pydantic import ValidationError

    from cohortium.study.complaints import study_error
    from cohortium.study.reading import parse

    document = parse(text, name)
    try:
        spec = StudySpec.model_validate(document.data)
    except ValidationError as e:
        raise study_error(e, document, name, StudySpec) from e
    return spec


def study_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the study file, for editors."""
    schema = StudySpec.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Cohortium study file",
        **{k: v for k, v in schema.items() if k != "title"},
    }
