"""The page of ``audit``: whether anything of a test unit reached a model."""

from __future__ import annotations

from cohortium.contracts.audit import TRIALS, AuditResults, Permuted, Trial
from cohortium.report.html import render
from cohortium.report.page import Tile
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count, learner_name, metric_name, names, value_text

_MARKS = {"clean": "", "accused": "worse", "not shown": "unclear"}


def audit_page(r: AuditResults) -> str:
    """One HTML file without outside references."""
    return render(
        "audit.html.j2",
        name=r.study,
        title=r.study,
        answer=answer(r),
        accused=[accusation(n, found) for n, found in r.accused.items()],
        tiles=_tiles(r),
        trials=_trials(r),
        permuted=_permuted(r) if r.permuted else None,
        ledger=_ledger(r),
        warnings=r.warnings,
        notes=r.notes,
        facts=[
            ("study", r.study),
            ("plan", r.plan),
            ("version", r.version),
            ("seed", str(r.seed)),
            ("took", f"{r.seconds:,.0f} s"),
        ],
    )


def answer(r: AuditResults) -> str:
    """The finding in a sentence or two."""
    folds = count(r.folds, "outer fold")
    learners = len({t.learner for t in r.trials if t.learner})
    if r.accused:
        return (
            f"{names(list(r.accused), most=6)} {'does' if len(r.accused) == 1 else 'do'} not pass: something of the test units "
            "reaches them. Their estimates, and those of what is built on them, are not to be believed."
        )
    text = (
        f"Nothing leaked in {folds}: with garbage in place of values, labels and presence of the test units, "
        f"{'the one learner was' if learners == 1 else f'all {learners} learners were'} fitted to the same model to the bit."
    )
    unlike = sorted(
        {learner_name(t.learner) for t in r.trials if t.trial == "record" and t.verdict == "not shown" and t.difference}
    )
    if unlike:
        text += f" But {names(unlike, most=4)} did not give the numbers of the run again: what was audited is not what was run."
    return text


def accusation(name: str, found: list[str]) -> str:
    """``plugin:peek: the fitted model with garbage in the test rows changed``."""
    said = {
        "model": "the model changed with garbage in the test rows",
        "prediction": "predictions changed with the outcomes of test units",
        "alone": "the prediction of a unit depends on who is predicted beside it",
        "separation": "training and test are not apart",
        "shuffled labels": "it predicts labels that nothing can tell",
    }
    return f"{learner_name(name)}: {names([said[f] for f in found], most=9)}."


def _tiles(r: AuditResults) -> list[Tile]:
    models = [t for t in r.trials if t.trial == "model"]
    clean = sum(t.verdict == "clean" for t in models)
    tiles = [
        Tile("outer folds fitted again", str(r.folds), "drawn by the study's seed"),
        Tile("models the same to the bit", f"{clean} of {len(models)}", "with garbage in the test rows"),
        Tile(
            "units on both sides",
            "0" if not any(t.trial == "separation" and t.verdict == "accused" for t in r.trials) else "some",
        ),
    ]
    if r.permuted:
        clean = sum(p.verdict == "clean" for p in r.permuted)
        tiles.append(
            Tile("at chance on shuffled labels", f"{clean} of {len(r.permuted)}", count(r.permuted[0].n, "shuffle"))
        )
    return tiles


def _trials(r: AuditResults) -> Table:
    """A row per learner and a column per trial: the worst verdict over the folds."""
    head = ["learner", "garbage in test rows", "garbage for test outcomes", "asked in halves", "the run's numbers"]
    columns = ("model", "prediction", "alone", "record")
    body = []
    for name in dict.fromkeys(t.learner for t in r.trials if t.learner):
        cells = [Cell(learner_name(name))]
        for column in columns:
            cells.append(_cell([t for t in r.trials if t.learner == name and t.trial == column]))
        body.append(cells)
    note = f"Columns: {'; '.join(f'{h}: {TRIALS[c]}' for h, c in zip(head[1:], columns, strict=True))}. In brackets: largest difference."
    return Table(head, body, note=note)


def _cell(trials: list[Trial]) -> Cell:
    order = ("accused", "not shown", "clean")
    worst = min(trials, key=lambda t: (order.index(t.verdict), -(t.difference or 0.0)))
    difference = "" if worst.difference is None else "none" if worst.difference == 0 else f"{worst.difference:.1e}"
    words = {"accused": "differs", "clean": "the same", "not shown": "not shown"}[worst.verdict]
    return Cell(words, f"({difference})" if difference else worst.seen, _MARKS[worst.verdict])


def _permuted(r: AuditResults) -> Table:
    metric = r.permuted[0]
    head = ["learner", "shuffled labels", "true labels", "p above chance"]
    body = [
        [Cell(learner_name(p.learner), p.endpoint), _value(p.shuffled, p), _value(p.true, p), _p(p)] for p in r.permuted
    ]
    return Table(head, body, note=(
        f"Trained on shuffled labels; {metric_name(metric.metric)} on test units, mean of {count(metric.n, 'shuffle')}, against the "
        f"shuffled labels and the true ones: by chance {metric.chance:g}. p: one-sided t, for the higher of the two."
    ))  # fmt: skip


def _value(x: float | None, p: Permuted) -> Cell:
    return Cell(value_text(x), mark=_MARKS[p.verdict])


def _p(p: Permuted) -> Cell:
    return Cell("–" if p.p is None else f"{p.p:.2g}", mark=_MARKS[p.verdict])


def _ledger(r: AuditResults) -> Table:
    head = ["fold", "fitted", "training units", "digest of who"]
    body = [
        [Cell(f"{x.repeat + 1}.{x.fold + 1}", x.endpoint), Cell(x.part), Cell(f"{x.units:,}"), Cell(x.digest)]
        for x in r.ledger
    ]
    return Table(head, body, note="Inner folds lie inside these units. The digest is of pseudonyms, in order.")
