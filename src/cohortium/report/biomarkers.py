"""The page of ``biomarkers``: records put into their template, and the words that the command prints too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cohortium.contracts.biomarkers import Association, BiomarkerResults, Enrichment, Group
from cohortium.report.html import render
from cohortium.report.page import Tile
from cohortium.report.panel import panel_tables, panel_text
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count, names, number, value_text

if TYPE_CHECKING:
    import pandas as pd

EFFECTIVE = {"survival": "event", "continuous": "unit"}
MODELS = {
    "survival": "Cox regression",
    "binary": "logistic regression",
    "ordinal": "proportional-odds regression",
    "continuous": "linear regression",
    "multiclass": "analysis of variance of the feature",
}


def biomarker_page(r: BiomarkerResults, table: pd.DataFrame) -> str:
    """One HTML file without outside references. table: a row for each feature."""
    from cohortium.report.figures import biomarkers as figures

    drawings = [figures.volcano(r, table), figures.forest(r)]
    return render(
        "biomarkers.html.j2",
        name=r.study,
        title=r.title,
        question=question(r),
        answer=answer(r),
        caveats=caveats(r),
        tiles=_tiles(r),
        drawings=[d for d in drawings if d is not None],
        groups=groups_table(r),
        sources=_sources(r),
        panel=None if r.panel is None else panel_text(r.panel),
        panel_tables=[] if r.panel is None else panel_tables(r.panel),
        enrichment=[(e.file, _sets(e), _background(e)) for e in r.enrichment],
        notes=[n[0].upper() + n[1:] + "." for n in r.notes],
        how=how(r),
        facts=[
            ("study", r.study), ("endpoint", r.endpoint), ("seed", str(r.seed)), ("version", r.version),
            ("false discovery rate", f"{r.fdr:g}"), ("draws of knockoffs", str(r.draws)),
            ("adjusted for", ", ".join(r.adjusted) or "nothing"),
        ],
    )  # fmt: skip


def question(r: BiomarkerResults) -> str:
    """What was asked, of whom."""
    rest = f" beyond {names(r.adjusted)}" if r.adjusted else ""
    of = "" if r.kind == "continuous" else f", {_effective(r)}"
    return (
        f"On which of {r.n_features:,} features, in {count(r.n_groups, 'group')} of look-alikes, does {r.endpoint} "
        f"depend{rest}? {count(r.n_patients, 'patient')}{of}."
    )


def answer(r: BiomarkerResults) -> str:
    """The finding in three sentences."""
    alone = f"By themselves {r.associated:,} of {r.n_features:,} features are associated with it (q ≤ {r.fdr:g})."
    if not r.n_tested:
        return f"{alone} Nothing was tested given all other features: {r.refused}."
    rest = f"Given all other features{_beyond(r)}, {r.n_given:,} of {count(r.n_tested, 'tested group')} are (q ≤ {r.fdr:g})"
    if r.refused:
        return f"{alone} {rest}. Knockoffs make no list: {r.refused}."
    if not r.n_found:
        return f"{alone} {rest}; knockoffs make no list, which at this rate needs {_shortest(r)} clear groups."
    return f"{alone} {rest}; the list of knockoffs, of which at most {100 * r.fdr:g}% are expected to be false, holds {r.n_found:,}."


def caveats(r: BiomarkerResults) -> list[str]:
    """What a reader has to know before anything else."""
    out = []
    if r.screening:
        out.append(
            f"More than two features for each patient: {r.screening:,} units were spent on choosing {count(r.n_tested, 'group')} to test, and the "
            "other groups were not tested given all others."
        )
    if r.n_found and r.draws == 1:
        shares = [g.again for g in r.groups if g.selected and g.again is not None]
        weak = sum(s < 0.5 for s in shares)
        if weak:
            out.append(
                f"{weak} of the {r.n_found} groups found are found by fewer than half of further draws of knockoffs: the list "
                "as a whole keeps its rate, those groups are its least certain part."
            )
    if len(r.joint) > 1:
        out.append(
            f"{names([' with '.join(s) for s in r.joint])} share too few units to be looked at jointly: each is judged by its "
            "own features and units, and their e-values are combined."
        )
    if r.kind != "continuous" and r.n_effective < 50:
        out.append(
            f"{_effective(r)[0].upper()}{_effective(r)[1:]}: only strong effects can be found, and what is found looks stronger than it is."
        )
    out.append(
        "Found is not caused: what is not measured may stand behind it. A list needs to be confirmed in other patients."
    )
    return out


def how(r: BiomarkerResults) -> list[str]:
    """How it was done, for the page."""
    adjusted = f", adjusted for {names(r.adjusted)} ({count(r.covariates, 'column')})" if r.adjusted else ""
    tests = {"t": "t-tests", "F": "F-tests", "score": "score tests"}.get(r.test, "tests")
    out = [
        f"Alone: {MODELS[r.kind]} on each feature by itself{adjusted}; {tests}, corrected for all features of all modalities "
        "(Benjamini-Hochberg). Effects are per standard deviation, of features with two values for the higher against the "
        f"lower. Each feature is tested in the units that have its modality."
    ]
    if r.n_tested:
        screened = (
            f" Features outnumber units more than twice: {r.screening:,} units chose the groups that are tested and lend the "
            "test no evidence of their own."
            if r.screening
            else ""
        )
        out.append(
            "Knockoffs: features that correlate (mean absolute correlation 0.5 and more) form groups, without a look at the "
            "endpoint. Every group gets a copy that has the same correlations with everything else and by construction nothing to do "
            "with the endpoint; a group is found when a sparse model prefers it to its copy clearly and often enough. What is tested: "
            f"does the endpoint depend on the group given all other features that the same units have{_beyond(r)}? A unit that lacks a "
            "modality lacks it in original and copy alike; nothing is imputed. The rate holds when the features' joint "
            f"distribution is close to a Gaussian copula, and whatever the model of the endpoint.{screened}"
        )
        out.append(
            "Given all others, one by one: what the other features say of the endpoint (lasso) and of the group (the joint distribution "
            "above) is taken from both, and the remainders are compared: a p-value for each group, corrected over the tested groups "
            "(Benjamini-Hochberg). It can find a few groups where knockoffs can make no list."
        )
        if r.draws > 1:
            out.append(
                f"E-values of {r.draws} draws of knockoffs were averaged, which makes the list shorter and steadier."
            )
    s = r.stability
    if s is not None:
        out.append(
            f"Stability selection: in each of {s.halves} halves of the patients the {count(s.each, 'group')} that enter the lasso "
            f"first are taken; stable are those taken in at least {100 * s.threshold:g}% of the halves. Among them the expected "
            f"number of false selections is at most {s.bound:.2g}. That is a number, not a share of the list."
        )
    out.append(
        "Folds: in how many of five parts of the patients the effect of the group's leading member has the same sign; sites likewise."
    )
    return out


def effect_text(a: Association) -> str:
    """``0.42 (0.10 to 0.74)``."""
    if a.effect is None:
        return "–"
    where = f" in {a.level}" if a.level else ""
    interval = "" if a.low is None else f" ({value_text(a.low, True)} to {value_text(a.high, True)})"
    return f"{value_text(a.effect, True)}{interval}{where}"


def members_text(g: Group, most: int = 3) -> str:
    """The leading member first."""
    rest = [m for m in g.members if m != g.lead.feature]
    return names([g.lead.feature, *rest], most=most)


def parts_text(part: tuple[int, int] | list[int] | None) -> str:
    """``5/5``."""
    return "–" if part is None else f"{part[0]}/{part[1]}"


def q_text(q: float | None) -> str:
    """Three decimals, or a power of ten."""
    return "–" if q is None else f"{q:.3f}" if q >= 0.001 else f"{q:.0e}"


def _beyond(r: BiomarkerResults) -> str:
    return f" and {names(r.adjusted)}" if r.adjusted else ""


def _shortest(r: BiomarkerResults) -> int:
    return int(-(-1 // r.fdr))


def _effective(r: BiomarkerResults) -> str:
    if r.kind == "survival":
        return count(r.n_effective, "event")
    return f"{count(r.n_effective, 'unit')} outside the largest class"


def _tiles(r: BiomarkerResults) -> list[Tile]:
    found = "–" if r.refused else str(r.n_found)
    out = [
        Tile(
            "found given all others",
            found,
            "not looked at" if r.refused else f"of {count(r.n_tested, 'group')}, FDR {r.fdr:g}",
        ),
        Tile("associated alone", f"{r.associated:,}", f"of {r.n_features:,} features, q ≤ {r.fdr:g}"),
        Tile("patients", f"{r.n_patients:,}", "" if r.kind == "continuous" else _effective(r)),
    ]
    if r.stability is not None:
        out.append(Tile("stable", str(r.stability.found), f"at most {r.stability.bound:.2g} expected to be false"))
    return out


def groups_table(r: BiomarkerResults) -> Table:
    """A row for each group of the records."""
    head = ["group", "modality", r.quantity, "q alone", "q given others", "knockoffs", "in draws", "stability", "folds"]
    sites = any(g.sites for g in r.groups)
    rows = []
    for g in r.groups:
        more = "" if len(g.members) == 1 else f"{count(len(g.members), 'feature')}: {members_text(g, 6)}"
        mark = "clear" if g.selected else ""
        rows.append(
            [
                Cell(g.lead.feature, more, mark), Cell(g.modality), Cell(effect_text(g.lead), f"n {g.lead.n:,}"),
                Cell(q_text(g.lead.q)),
                Cell(q_text(g.q_given) if g.tested else "not tested", "", "clear" if (g.q_given or 1.0) <= r.fdr else ""),
                Cell("found" if g.selected else "–", "", mark),
                Cell("–" if g.again is None else f"{100 * g.again:.0f}%"),
                Cell("–" if g.stability is None else f"{100 * g.stability:.0f}%", "stable" if g.stable else ""),
                Cell(parts_text(g.folds)), *([Cell(parts_text(g.sites))] if sites else []),
            ]
        )  # fmt: skip
    note = (
        "Groups found by knockoffs first, then those with a small q given all others, then by p. Effects are those of the leading member alone, with 95% intervals that are not corrected for "
        "having been chosen: the largest look larger than they are. All features are in biomarkers.csv."
    )
    return Table([*head, *(["sites"] if sites else [])], rows, [i for i, g in enumerate(r.groups) if g.selected], note)


def _sources(r: BiomarkerResults) -> Table:
    rows = [
        [
            Cell(s.modality), Cell(f"{s.n:,}"), Cell(f"{s.features:,}"), Cell(f"{s.groups:,}"), Cell(f"{s.univariate:,}"),
            Cell(f"{s.tested:,}"), Cell(f"{s.given:,}"), Cell(f"{s.found:,}"),
        ]
        for s in r.sources
    ]  # fmt: skip
    return Table(
        [
            "modality",
            "units",
            "features",
            "groups",
            f"alone, q ≤ {r.fdr:g}",
            "groups tested",
            "given all others",
            "knockoffs",
        ],
        rows,
    )


def _sets(e: Enrichment) -> Table:
    rows = [
        [
            Cell(s.name), Cell(str(s.size)), Cell("up" if s.direction > 0 else "down"), Cell(q_text(s.q), f"p {q_text(s.p)}"),
            Cell(number(s.correlation, 2)), Cell(str(s.listed), f"q {q_text(s.over_q)}"),
        ]
        for s in e.sets
    ]  # fmt: skip
    note = (
        "Up: a higher value goes with a higher endpoint, or an earlier event. q: members against all other measured features, allowing for "
        "their correlation (CAMERA). Listed: members that are associated alone, and whether they are too many (hypergeometric)."
    )
    return Table(["gene set", "measured", "direction", "q", "correlation", "listed"], rows, note=note)


def sets_text(r: BiomarkerResults) -> list[str]:
    """Of each file of gene sets those that are shifted."""
    out = []
    for e in r.enrichment:
        good = [s for s in e.sets if s.q <= r.fdr]
        listed = names([f"{s.name} ({'+' if s.direction > 0 else '−'})" for s in good], most=8)
        out.append(
            f"{e.file}: {len(good)} of the sets shown are shifted at q {r.fdr:g}{': ' + listed if listed else ''}."
        )
    return out


def _background(e: Enrichment) -> str:
    return f"{e.known:,} of the {e.background:,} tested features of {e.modality} are in a set; these {e.background:,} are the background."
