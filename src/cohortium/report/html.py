"""The page: records and drawings put into the template, written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cohortium.report.figures.style import Drawing
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
    Beside it ``figures/NAME.svg`` and ``figures/NAME.csv``: every figure as a picture that stands alone, and its numbers.
    Raises :class:`RunFolderError` when the folder is missing or unfinished.
    """
    from cohortium.report.checklists import checklists, checklists_csv
    from cohortium.report.checklists.page import checklists_page, model_card_page
    from cohortium.report.modelcard import model_card_markdown

    run_folder = Path(run_folder)
    folder = open_run(run_folder)
    lists, context = checklists(folder), page(folder)
    pages = {
        "checklists.html": checklists_page(folder, lists),
        "checklists.csv": checklists_csv(lists),
        "model_card.html": model_card_page(folder),
        "model_card.md": model_card_markdown(folder),
        "report.html": render("report.html.j2", **context),
    }
    figures = Path(tempfile.mkdtemp(dir=run_folder, prefix=".figures-"))
    try:
        for d in drawings(context):
            _write(figures / f"{d.name}.svg", d.file)
            _write(figures / f"{d.name}.csv", d.table)
        for name, text in pages.items():
            _write(run_folder / name, text)
        shutil.rmtree(run_folder / "figures", ignore_errors=True)
        figures.rename(run_folder / "figures")
    except BaseException:
        shutil.rmtree(figures, ignore_errors=True)
        raise
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


def drawings(context: Any) -> Iterator[Drawing]:
    """Every drawing of a page, in the order in which it is given."""
    if isinstance(context, Drawing):
        yield context
    elif isinstance(context, Mapping):
        for x in context.values():
            yield from drawings(x)
    elif isinstance(context, list | tuple):
        for x in context:
            yield from drawings(x)


MOST_BYTES = 7_000_000
"""Of a page that holds every picture twice, once to look at and once to take away; a larger one leaves the second out."""


def render(template: str, **context: Any) -> str:
    """A template of the report filled in; what is not given is an error."""
    text = _filled(template, True, context)
    return text if len(text.encode()) <= MOST_BYTES else _filled(template, False, context)


def _filled(template: str, pictures: bool, context: Mapping[str, Any]) -> str:
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    return str(_environment(pictures).get_template(template).render(script=_SCRIPT, script_hash=digest, **context))


@lru_cache
def _environment(pictures: bool) -> Any:
    """Templates, compiled once for all pages of a process."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cohortium.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    environment.filters["css_text"] = _css_text
    environment.globals["pictures"] = pictures
    return environment


# The only script: on a narrow screen the table of contents starts folded, and what is folded is printed all the same by browsers
# that do not know ``::details-content``. Its hash is the only one the page allows.
_SCRIPT = (
    'if (matchMedia("(max-width: 60rem)").matches) document.querySelector(".toc details").removeAttribute("open");'
    "let folded = [];"
    'addEventListener("beforeprint", () => { folded = [...document.querySelectorAll("main details:not([open])")];'
    " for (const d of folded) d.open = true; });"
    'addEventListener("afterprint", () => { for (const d of folded) d.open = false; });'
)


def _css_text(text: object) -> str:
    """A text as a string of a style sheet: everything but letters, digits and blanks escaped."""
    return '"' + "".join(c if c.isalnum() or c == " " else f"\\{ord(c):x} " for c in str(text)) + '"'


def _breakable(text: object) -> str:
    """Escaped text that may be broken after the joints of long names (never inside a number): phones are narrow."""
    from markupsafe import Markup, escape

    return Markup(_JOINT.sub(r"\g<0><wbr>", str(escape(text))))


_JOINT = re.compile(r"_(?=\w)|(?<=[^\W\d_])[./:](?=[^\W\d_])")
