"""Results on standard output: one JSON object for machines, tables and sentences for people."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from cohortium.contracts import Estimate
    from cohortium.contracts.results import Finding
    from cohortium.study import Comparison, Imputation, RunResult, Similar


FAR = 0.99
"""A unit that is more unusual than so many of the study's is said to be so."""

LITTLE = 0.002
"""A latent variable that explains less than this of every modality explains nothing."""


def say(text: str = "") -> None:
    """One line (or several) on standard output."""
    print(text, flush=True)


def emit(data: dict[str, Any]) -> None:
    """One JSON object on standard output; a number that is not finite is null."""
    print(json.dumps(_plain(data), indent=1, allow_nan=False), flush=True)


def _plain(x: Any) -> Any:
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return _plain(dataclasses.asdict(x))
    if isinstance(x, dict):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [_plain(v) for v in x]
    if isinstance(x, Path):
        return str(x)
    if hasattr(x, "item"):
        x = x.item()
    return None if isinstance(x, float) and not math.isfinite(x) else x


def result(found: RunResult, as_json: bool, quiet: bool) -> None:
    """The answer, the leaderboard and where the report is; for machines ``results.json`` and the paths."""
    report = found.folder / "report.html"
    if as_json:
        records = json.loads((found.folder / "results.json").read_text(encoding="utf-8"))
        emit({**records, "run": found.folder, "report": report, "resumed": found.resumed})
        return
    if quiet:
        return
    from cohortium.report import answer, leaderboard_text

    if found.resumed:
        say("This run was finished already; nothing was fitted anew.\n")
    for text in answer(found.results):
        _print(text)
    say()
    for e in found.results.cohort.endpoints:
        _print(leaderboard_text(found.results, e.name))
    say(f"Report: {report}")
    say(
        "Checklists and model card stand beside it; what only a person can say, the study file takes under 'statements'."
    )


def findings(found: Sequence[Finding], study: str, as_json: bool) -> bool:
    """Findings of ``check``; True when one of them would stop a run."""
    stops = [f for f in found if f.grade == "serious" and not f.acknowledged]
    if as_json:
        emit({"study": study, "stops": bool(stops), "findings": list(found)})
        return bool(stops)
    for f in found:
        say(f"{f.grade}{' (acknowledged)' if f.acknowledged else ''}  {f.name}\n  {f.message}")
    counts = {g: sum(f.grade == g for f in found) for g in ("serious", "warning", "note")}
    say(f"{counts['serious']} serious, {counts['warning']} warnings, {counts['note']} notes.")
    if stops:
        names = ", ".join(f"'{f.name}'" for f in stops)
        say(f"The serious ones stop a run. Mend them, or put what you accept under 'acknowledge': [{names}].")
    return bool(stops)


def estimates(title: str, found: Sequence[Estimate]) -> None:
    """A table of one endpoint's metrics."""
    table = _table(title, "metric", "horizon", "value", "95% interval", "n", "events")
    for e in found:
        table.add_row(e.metric, _number(e.horizon), *_value(e), str(e.n), "" if e.n_events is None else str(e.n_events))
    _print(table)


def comparisons(found: Sequence[Comparison]) -> None:
    """A table of two runs' learners, endpoint by endpoint."""
    for endpoint in dict.fromkeys(c.endpoint for c in found):
        table = _table(endpoint, "learner A", "learner B", "metric", "A", "B", "A minus B", "95% interval")
        reasons = []
        for c in (c for c in found if c.endpoint == endpoint):
            metric = c.a.metric if c.a.horizon is None else f"{c.a.metric} at {_number(c.a.horizon)}"
            a, b = _number(c.a.value), _number(c.b.value)
            table.add_row(c.learner_a, c.learner_b, metric, a, b, *_value(c.difference, reason=False))
            if c.difference.value is None and c.difference.reason:
                reasons.append(c.difference.reason)
        _print(table)
        for reason in dict.fromkeys(reasons):
            say(f"No differences: {reason}.")


def embedding(found: AnnData, file: Path, as_json: bool, quiet: bool) -> None:
    """What was embedded and on whom it was fitted; the share of each modality that the latent variables explain."""
    facts = dict(found.uns["cohortium"])
    shares = {c.removeprefix("explained_"): found.var[c].to_numpy() for c in found.var if c.startswith("explained_")}
    if as_json:
        explained = {n: [float(x) for x in v] for n, v in shares.items()}
        emit({"file": file, "n_units": found.n_obs, "size": found.n_vars, **facts, "explained": explained})
        return
    if quiet:
        return
    most = 8
    say(f"Share of each modality's variance that the latent variables ({facts['method']}) explain:")
    table = _table(None, "modality", "units", "all", *(str(k + 1) for k in range(min(found.n_vars, most))))
    for name, share in shares.items():
        cells = ["" if x < 0.0005 else f"{x:.3f}" for x in share[:most]]
        table.add_row(name, str(int(found.obs[f"has_{name}"].sum())), f"{share.sum():.3f}", *cells)
    _print(table)
    if max(v.max() for v in shares.values()) < LITTLE:
        say("The features have next to nothing in common: there is no structure to be represented.")
    plural = "" if found.n_vars == 1 else "s"
    say(f"Wrote {file}: {found.n_obs} units, {found.n_vars} latent variable{plural} in X_joint; {facts['note']}.")
    if facts["n_without_any_modality"]:
        say(f"{facts['n_without_any_modality']} units have no modality: they stand at 0, with standard deviation 1.")


def imputation(found: Imputation, folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Scores of every method on the hidden cells; what stands out; where the tables are."""
    n = 0 if found.values is None else len(found.values)
    if as_json:
        emit({"target": found.target, "method": found.method, "n_imputed": n, "folder": folder,
              "scores": predictions(found.scores), "notes": list(found.notes)})  # fmt: skip
        return
    if quiet:
        return
    first = found.scores.iloc[0]
    say(
        f"'{found.target}' hidden on purpose, {first['n_features']} features, {first['n_cells']} cells; medians over features:"
    )
    table = _table(None, "method", "correlation", "95% interval", "minus ridge", "95% interval", "R²",
                   "error (sd)", "90% holds", "width (sd)")  # fmt: skip
    for _, row in found.scores.iterrows():
        ends = [_between(row[f"{k}_low"], row[f"{k}_high"]) for k in ("correlation", "difference")]
        cells = (_known(row["correlation"]), ends[0], _known(row["difference"]), ends[1], _known(row["r2"]))
        table.add_row(row["method"], *cells, _known(row["rmse"]), _known(row["coverage"]), _known(row["width"]))
    _print(table)
    error = found.scores.set_index("method")["rmse"]
    if error[found.method] > error.min():
        say(f"{error.idxmin()} was closer here than {found.method}: --method {error.idxmin()}")
    for note in found.notes:
        say(f"Note: {note}.")
    if folder is None:
        say("Only scored; with --out FOLDER the tables are written.")
    else:
        say(f"Wrote {folder}: {n} units by {found.method}. These values are predicted, not measured.")


def likeness(found: Similar, as_json: bool) -> None:
    """The nearest units by each modality and by all, and how unusual the unit is."""
    if as_json:
        emit({"unit": found.unit, "modalities": list(found.modalities), "lacks": list(found.lacks),
              "neighbours": predictions(found.neighbours), "unusual": predictions(found.unusual),
              "notes": list(found.notes)})  # fmt: skip
        return
    lacks = f"; lacks {', '.join(found.lacks)}" if found.lacks else ""
    say(f"Unit {found.unit} is compared by {', '.join(found.modalities)}{lacks}.\n")
    say("Most similar first; in brackets how many standard deviations nearer than the study's mean unit:")
    by = list(found.unusual["by"])
    table = _table(None, "", *by, "in common")
    cells = {b: list(rows.itertuples()) for b, rows in found.neighbours.groupby("by", sort=False)}
    first = cells.get(by[0], [])
    common = [f"{len(c.shared.split())} of {len(found.modalities)}" for c in first]
    for i in range(max((len(c) for c in cells.values()), default=0)):
        row = [f"{c[i].unit} ({c[i].similarity:.1f})" if i < len(c := cells.get(b, [])) else "" for b in by]
        table.add_row(str(i + 1), *row, common[i] if i < len(first) else "")
    _print(table)
    say("How unusual it is: mean distance to its nearest units, beside what is usual in the study:")
    table = _table(None, "by", "distance", "usual", "further off than")
    for _, r in found.unusual.iterrows():
        table.add_row(
            r["by"], _known(r["distance"]), _known(r["usual"]), f"{100 * r['share']:.0f}% of the study's units"
        )
    _print(table)
    far = [str(r["by"]) for _, r in found.unusual.iterrows() if r["share"] >= FAR]
    if far:
        say(f"Unlike the study's units by {', '.join(far)}: the most similar ones there are not similar.")
    for note in found.notes:
        say(f"Note: {note}.")


def _known(x: float) -> str:
    return "–" if x != x else f"{x:.3f}"


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None or low != low else f"{low:.3f} to {high:.3f}"


def predictions(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """One record per unit."""
    rows: list[dict[str, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return rows


def _value(e: Estimate, reason: bool = True) -> tuple[str, str]:
    if e.value is None:
        return "–", (e.reason or "") if reason else ""
    return _number(e.value), "" if e.low is None else f"{_number(e.low)} to {_number(e.high)}"


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:.3f}".rstrip("0").rstrip(".") if x == round(x) else f"{x:.3f}"


def _table(title: str | None, *columns: str) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heading = None if title is None else Text(title)
    table = Table(box=box.SIMPLE_HEAD, title=heading, title_justify="left", pad_edge=False)
    for c in columns:
        table.add_column(c, overflow="fold")
    return table


def _print(what: Any) -> None:
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, markup=False)
    if not sys.stdout.isatty():
        console.width = max(console.width, 120)
    console.print(what, soft_wrap=isinstance(what, str) and not sys.stdout.isatty())
