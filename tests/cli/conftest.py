"""A small cohort as a user would have it, one finished run of it, and the command called in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cohortium.cli import main

SETTINGS = """\
models: [linear]
evaluation: {repeats: 1, folds: 3, inner_folds: 3}
"""


@dataclass(frozen=True)
class Called:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object and nothing else."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Call = Callable[..., Called]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """The command; it never leaves but by SystemExit, and never shows a traceback."""

    def run(*arguments: object) -> Called:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Called(int(left.value.code or 0), out, err)

    return run


def write_tables(folder: Path, n: int = 90, seed: int = 0, first: int = 0) -> Path:
    """``clinical.csv`` with the outcome, ``rna.csv`` for three quarters of the patients."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    ids = [f"{first + i:04d}" for i in range(n)]
    x, y = rng.normal(size=(n, 2)).round(3), rng.normal(size=(n, 6)).round(3)
    response = np.where(x[:, 0] + y[:, 0] + rng.normal(size=n) > 0, "yes", "no")
    clinical = pd.DataFrame({"patient": ids, "age": x[:, 0], "size": x[:, 1], "response": response})
    clinical.to_csv(folder / "clinical.csv", index=False)
    rna = pd.DataFrame(y, columns=[f"g{i}" for i in range(6)])
    rna.insert(0, "patient", ids)
    rna[rng.random(n) < 0.75].to_csv(folder / "rna.csv", index=False)
    return folder


@dataclass(frozen=True)
class Done:
    """A cohort's folder and a finished run of it."""

    folder: Path
    run: Path

    @property
    def study(self) -> Path:
        return self.folder / "study.yaml"


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    base = tmp_path_factory.mktemp("cli")
    folder = write_tables(base / "cohort")
    for arguments in (
        ["init", str(folder), "--endpoint", "response"],
        ["run", str(folder / "study.yaml"), "--out", str(base / "run"), "--learners", "late", "--jobs", "1", "--quiet"],
    ):
        if arguments[0] == "run":
            file = folder / "study.yaml"
            file.write_text(file.read_text() + SETTINGS)
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert not left.value.code, arguments
    return Done(folder, base / "run")
