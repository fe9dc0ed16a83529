"""The page: records and drawings put into the template, written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from cohortium.report.folder import open_run
from cohortium.report.page import page


def write_report(run_folder: Path) -> Path:
    """Write ``report.html`` into a run folder and give its path; beside it ``checklists.html``, ``checklists.csv``,
    ``model_card.html`` and ``model_card.md``.

    Reads ``results.json``, and where they are there ``predictions.parquet``, ``outcomes.parquet`` (figures),
    ``run.json`` (versions, time, memory), ``audit.json``, ``statements.json`` (what the study file states: key -> text) and
    ``validation.json`` (external validation): a list of
    ``{endpoint, data, n, estimates: [Estimate], calibration: [{label?, horizon?, predicted, observed, low?, high?}]}``.
    One file without outside references, readable by its owner only (mode 0600); an old report is replaced in one step.
    Raises :class:`RunFolderError` when the folder is missing or unfinished.
    """
    from cohortium.report.checklists import checklists, checklists_csv
    from cohortium.report.checklists.page import checklists_page, model_card_page
    from cohortium.report.modelcard import model_card_markdown

    run_folder = Path(run_folder)
    folder = open_run(run_folder)
    lists = checklists(folder)
    pages = {
        "checklists.html": checklists_page(folder, lists),
        "checklists.csv": checklists_csv(lists),
        "model_card.html": model_card_page(folder),
        "model_card.md": model_card_markdown(folder),
        "report.html": render("report.html.j2", **page(folder)),
    }
    for name, text in pages.items():
        _write(run_folder / name, text)
    return run_folder / "report.html"


def _write(target: Path, text: str) -> None:
    """Whole or not at all, readable by its owner only."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".report-", suffix=target.suffix)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as f:
            f.write(text)
        Path(temporary).chmod(0o600)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def render(template: str, **context: Any) -> str:
    """A template of the report filled in; what is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cohortium.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    return environment.get_template(template).render(script=_SCRIPT, script_hash=digest, **context)


# The only script: on a narrow screen the table of contents starts folded. Its hash is the only one the page allows.
_SCRIPT = (
    'if (matchMedia("(max-width: 60rem)").matches) document.querySelector(".toc details").removeAttribute("open");'
)


def _breakable(text: object) -> str:
    """Escaped text that may be broken after the joints of long names (never inside a number): phones are narrow."""
    from markupsafe import Markup, escape

    return Markup(_JOINT.sub(r"\g<0><wbr>", str(escape(text))))


_JOINT = re.compile(r"_(?=\w)|(?<=[^\W\d_])[./:](?=[^\W\d_])")
