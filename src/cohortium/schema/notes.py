"""Declaration of a modality of shape ``texts``: clinical notes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from cohortium.schema.declare import Declaration, IdRule, Where


class NotesSource(Declaration):
    """A modality of shape ``texts``: a table with columns of text, or a folder with a text file per note."""

    shape: Literal["texts"]
    file: str | None = Field(None, description="CSV (plain, gz, xz) or Parquet, a row per note")
    folder: str | None = Field(None, description="instead: a folder of UTF-8 files <id>.txt or <id>__anything.txt")
    id: str | None = Field(None, description="column of the file: whose note it is")
    of: Literal["patient", "unit"] = Field("patient", description="whether ids name patients or units")
    columns: list[str] = Field(default_factory=list, description="columns of text; joined in this order")
    time: str | None = Field(None, description="column: when the note became known; later notes are not seen")
    time_unit: Literal["minutes", "hours", "days", "weeks", "months", "years"] | None = Field(
        None, description="times are numbers, counted in this unit from the patient's own zero"
    )
    timezone: str | None = Field(None, description="zone of times that carry none, such as Europe/Berlin")
    resolution: Literal["auto", "day"] = Field(
        "auto", description="day: only the date is true, whatever hour is written; known when the day is over"
    )
    no_time: Literal["error", "drop"] = Field("error", description="notes whose cell of time is empty")
    where: Where | None = Field(None, description="rows to use, as for files")
    id_rule: IdRule = IdRule()
    deidentify: bool = Field(True, description="replace dates, numbers of records and phones, addresses and the like")
    representation: Literal["tfidf", "minilm"] = Field(
        "tfidf", description="tfidf: words and pairs of words, learned in each fold; minilm: a frozen language model"
    )
    keywords: dict[str, list[str]] = Field(
        default_factory=dict, description="name -> phrases; a feature that knows affirmed from negated"
    )
    absent_reason: Literal["not_measured", "failed_qc", "not_at_site", "withheld", "after_index"] = "not_measured"

    @field_validator("keywords")
    @classmethod
    def _phrases(cls, given: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, phrases in given.items():
            if not name.strip() or not phrases or not all(any(c.isalnum() for c in p) for p in phrases):
                raise ValueError("each keyword needs a name and phrases, such as {effusion: [pleural effusion]}")
        return given

    @model_validator(mode="after")
    def _complete(self) -> NotesSource:
        if (self.file is None) == (self.folder is None):
            raise ValueError("give either file (a table with columns of text) or folder (a text file per note)")
        if self.file is not None and (self.id is None or not self.columns):
            raise ValueError("file needs id (column: whose note it is) and columns (of text)")
        if self.folder is not None and (self.id or self.columns or self.time or self.where):
            raise ValueError("folder takes no id, columns, time or where: those are columns of a file")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("a column of text is named twice")
        return self

    @property
    def paths(self) -> list[str]:
        """Files and folders that it reads."""
        return [str(self.file if self.file is not None else self.folder)]
