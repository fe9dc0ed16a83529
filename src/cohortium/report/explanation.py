"""The page of ``explain``: records put into their template, and the sentences that the command says too."""

from __future__ import annotations

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.explanations import Explanation, FeatureWorth, ModalityWorth
from cohortium.report.figures import explanation as figures
from cohortium.report.html import render
from cohortium.report.page import Tile
from cohortium.report.randomised import randomised_table, randomised_text, stays
from cohortium.report.tables import Cell, Table, difference_cell, estimate_cell
from cohortium.report.words import count, estimate_text, interval_text, learner_name, metric_name, names, value_text

SHOWN = 20
"""Features in figures and tables; all are in ``features.csv``."""

NOT_CAUSES = (
    "This explains the model, not the disease: what moves a prediction need not cause anything, and a cause of which "
    "something else tells as well may move nothing."
)


def explanation_page(r: Explanation) -> str:
    """One HTML file without outside references; it holds no ids."""
    curve = None if r.deletion is None else figures.deletion(r)
    return render(
        "explanation.html.j2",
        name=r.study,
        title=r.title,
        answer=answer(r),
        caveats=caveats(r),
        tiles=_tiles(r),
        worth=figures.worth(r),
        modalities=modality_table(r),
        features=figures.features(r, SHOWN) if r.features else None,
        feature_table=feature_table(r) if r.features else None,
        curve=curve,
        deletion=deletion_text(r),
        deletion_table=None if r.deletion is None else _deletion_table(r),
        randomised=randomised_text(r),
        randomised_table=randomised_table(r),
        skipped=[f"{m} {why}." for m, why in r.skipped.items()],
        notes=[n[0].upper() + n[1:] + "." for n in r.notes],
        how=how(r),
        facts=[
            ("study", r.study),
            ("endpoint", r.endpoint),
            ("learner", r.learner),
            ("seed", str(r.seed)),
            ("version", r.version),
        ],
    )


def answer(r: Explanation) -> str:
    """What is explained, and the leading modalities."""
    metric, learner = metric_name(r.metric), learner_name(r.learner)
    text = (
        f"{learner} on {r.endpoint}: {metric} {estimate_text(r.full)} on {count(r.n_units, 'held-out unit')} in {count(r.n_folds, 'fold')}; "
        f"with no modality {value_text(r.nothing.value)}."
    )
    clear = [m for m in r.modalities if m.worth.low is not None and m.worth.low > 0]
    if clear:
        said = names(
            [f"{m.modality} {value_text(m.worth.value, True)} ({interval_text(m.worth, True)})" for m in clear], most=4
        )
        return f"{text} Clearly above zero: {said}."
    return f"{text} Of no modality the interval lies above zero."


def caveats(r: Explanation) -> list[str]:
    """What a reader has to know before anything else."""
    out = [NOT_CAUSES]
    gap = None if r.deletion is None else r.deletion.gap
    if gap is not None and gap.value is not None and gap.value <= 0:
        out.append(
            "The order of the features does not hold: deleting them in random order costs as much. Do not read it."
        )
    elif gap is not None and gap.low is not None and gap.low <= 0:
        out.append("The order of the features is not clearly better than a random one.")
    if r.randomised is not None and stays(r.randomised):
        out.append(
            "Features keep much of their order when the network's weights are random: see whether they tell of what was learned."
        )
    return out


def deletion_text(r: Explanation) -> str | None:
    """Whether the order of features holds."""
    d = r.deletion
    if d is None:
        return None
    half = (len(d.steps) - 1) // 2
    return (
        f"Without the {count(d.steps[half], 'feature')} that move predictions most, {metric_name(r.metric)} is "
        f"{value_text(d.ordered[half].value)}; without as many at random, {value_text(d.random[half].value)}. "
        f"Mean gap over all steps {estimate_text(d.gap, True)}."
    )


def how(r: Explanation) -> list[str]:
    """How it was done, for the page."""
    drawn = (
        "over all coalitions of modalities"
        if r.exact
        else "from random orders of the modalities, each with its reverse; the Monte-Carlo error is given"
    )
    return [
        f"The learner was fitted again on the training part of {r.n_folds} of {r.n_outer} outer folds, as the run had done, and asked about the "
        "units of the test part. Intervals are over folds (Nadeau & Bengio 2003).",
        f"What a modality adds: its Shapley value of the metric, {drawn}. The worth of a coalition is the metric when the model is shown these "
        "modalities only; it predicts from whatever is there, so that nothing is filled in. Values add up to the metric with "
        "everything minus that with nothing. Two modalities that tell the same share what they tell. Where who has what goes with the "
        "outcome, hiding a modality shows what the model makes of its absence, not what it would make of another patient.",
        "Shuffled: values were dealt out anew among the held-out units that have the modality, five times in each fold; the fall is what the "
        "model loses when the values stay usual and belong to somebody else. Features that tell the same cover for each other; "
        "groups with a mean rank correlation of 0.7 or more were shuffled together too.",
        "Features are ordered by how much they move predictions, on which no outcome has a say; the fall of the metric is then no choice "
        "among many. Of wide tables the features that the fitted models lean on most (coefficients, gains of trees) were looked at.",
    ]


def size_text(e: Estimate, percent: bool) -> str:
    """``3.2 points`` of a probability, or the number."""
    if e.value is None:
        return "–"
    return f"{100 * e.value:.1f} points" if percent else value_text(e.value)


def modality_table(r: Explanation) -> Table:
    """Every modality."""
    rows = []
    for m in r.modalities:
        drawn = "" if r.exact else f"; drawn ± {value_text(m.error)}"
        worth = difference_cell(m.worth, "")
        remark = "not used" if not m.used else "" if m.used == r.n_folds else f"used in {m.used} of {r.n_folds} folds"
        rows.append([
            Cell(m.modality, remark), Cell(f"{m.n_units:,}"), Cell(worth.text, worth.small + drawn, worth.mark),
            _moved(m.given, r.percent), difference_cell(m.shuffled, ""), _moved(m.moves, r.percent),
        ])  # fmt: skip
    metric = metric_name(r.metric)
    head = [
        "modality",
        "units",
        f"adds to {metric}",
        "moves a prediction by",
        f"shuffled: {metric} falls by",
        "and predictions move by",
    ]
    note = f"Predictions: {r.quantity}. Moves: mean absolute Shapley value of those who have it. Bold: the interval excludes zero; nothing is corrected for the number of modalities."
    return Table(head, rows, note=note)


def _moved(e: Estimate, percent: bool) -> Cell:
    low, high = (None if x is None else 100 * x if percent else x for x in (e.low, e.high))
    interval = (
        ""
        if low is None or high is None
        else f"{low:.1f} to {high:.1f}"
        if percent
        else f"{value_text(low)} to {value_text(high)}"
    )
    return Cell(size_text(e, percent), interval)


def label_of(f: FeatureWorth) -> str:
    """The feature, or the features that were shuffled together."""
    return f.features[0] if len(f.features) == 1 else f"{names(f.features, most=4)} (together)"


def feature_table(r: Explanation) -> Table:
    """The leading features and groups."""
    rows = []
    for f in r.features[:SHOWN]:
        beside = f"goes with {names(f.group, most=3)}" if f.group else ""
        rows.append(
            [Cell(label_of(f), beside), Cell(f.modality), _moved(f.moves, r.percent), difference_cell(f.shuffled, "")]
        )
    head = ["feature", "modality", "moves predictions by", f"{metric_name(r.metric)} falls by"]
    note = f"Those that move predictions most ({r.quantity}), when shuffled among held-out units. All {len(r.features):,} are in features.csv."
    return Table(head, rows, note=note)


def _deletion_table(r: Explanation) -> Table:
    assert r.deletion is not None
    d = r.deletion
    rows = [
        [Cell(f"{s:,}"), estimate_cell(a), estimate_cell(b)]
        for s, a, b in zip(d.steps, d.ordered, d.random, strict=True)
    ]
    return Table(["features unknown", "most important first", "random order"], rows)


def _tiles(r: Explanation) -> list[Tile]:
    return [
        Tile(metric_name(r.metric), value_text(r.full.value), f"{interval_text(r.full)}, held out".lstrip(", ")),
        Tile("with no modality", value_text(r.nothing.value)),
        Tile("units", f"{r.n_units:,}", f"{r.n_folds} of {r.n_outer} folds"),
        Tile("modalities", str(len(r.modalities)), f"{sum(_leads(m) for m in r.modalities)} clearly add"),
        Tile(
            "features looked at",
            f"{sum(r.n_looked.values()):,}",
            f"of {names(list(r.n_looked), most=3)}" if r.n_looked else "",
        ),
    ]


def _leads(m: ModalityWorth) -> bool:
    return m.worth.low is not None and m.worth.low > 0
