"""The page of ``subtype``: records and pictures put into their template."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.subtypes import Difference, Group, Marker, SubtypeResults
from cohortium.report.figures import subtypes as figures
from cohortium.report.html import render
from cohortium.report.page import Tile
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count, names, number, value_text

LEVEL = 0.05
VALIDATE = (
    "Subtypes found in one cohort are a hypothesis. They need to be found again in other patients, measured elsewhere, "
    "before anything is built on them."
)


def subtype_page(
    r: SubtypeResults,
    xy: NDArray[np.float64],
    code: NDArray[np.int64] | None,
    consensus: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
) -> str:
    """One HTML file without outside references.

    xy: (n, 2) of the clustered units. code: (n,) their subtypes. consensus: matrix and subtypes of its rows; None without
    subtypes.
    """
    drawings = [figures.evidence(r), figures.where(xy, code, r)]
    if consensus is not None:
        drawings.append(figures.consensus(*consensus, r))
    lines = [figures.survival([c for c in r.curves if c.endpoint == d.name], d, r) for d in r.differences]
    return render(
        "subtypes.html.j2",
        name=r.study,
        title=r.title,
        answer=answer(r),
        caveats=caveats(r),
        tiles=_tiles(r),
        drawings=drawings,
        candidates=_candidates(r),
        clusters=_clusters(r) if r.clusters else None,
        endpoints=_differences(r, "endpoint"),
        design=_differences(r, "design"),
        survival=[d for d in lines if d is not None],
        sources=_sources(r) if r.sources else None,
        markers=[(s.modality, _markers(r, s.modality)) for s in r.sources if _of(r, s.modality)],
        notes=[n[0].upper() + n[1:] + "." for n in r.notes],
        how=how(r),
        facts=[("study", r.study), ("seed", str(r.seed)), ("version", r.version), ("representation", r.method)],
    )


def answer(r: SubtypeResults) -> str:
    """The finding in a sentence or two."""
    p = p_text(r.p)
    if r.forced:
        verdict = "there is no evidence that there are any" if r.p > r.level else "there is evidence of clusters"
        return f"{r.n_clusters} clusters were asked for and made; {verdict} (test of no clusters: p {p})."
    if not r.n_clusters:
        return (
            f"No subtypes were found: the {r.n_clustered:,} clustered units look like one cloud, be it long, skewed or with "
            f"outliers (test of no clusters: p {p}). That is an answer: differences between these patients are gradual, or not in what was measured."
        )
    sizes = names([f"{c.name} with {count(c.n, 'unit')}" for c in r.clusters], most=8)
    return f"{count(r.n_clusters, 'subtype')} were found: {sizes} (test of no clusters: p {p})."


def caveats(r: SubtypeResults) -> list[str]:
    """What a reader has to know before anything else."""
    out = []
    if r.forced and r.p > r.level:
        out.append(
            "The number of clusters was forced. Any cloud can be cut into pieces; nothing says that these pieces are subtypes. "
            "Do not report them as such."
        )
    elif r.forced:
        out.append("The number of clusters was given, not found.")
    weak = [c.name for c in r.clusters if c.stability < 0.6]
    if weak:
        out.append(f"{names(weak)}: found again in too few parts of the cohort to be trusted (stability below 0.6).")
    made_of = [d.name for d in r.differences if d.role == "design" and (d.p_holm or 1.0) < LEVEL]
    if made_of:
        out.append(f"The clusters differ in {names(made_of)}: they may be made of how the data were collected.")
    return [*out, VALIDATE] if r.n_clusters and not (r.forced and r.p > r.level) else out


def how(r: SubtypeResults) -> list[str]:
    """How it was done, for the page."""
    shared = (
        "A latent variable counts by the share of variance that it explains in at least two modalities."
        if r.shared
        else "A latent variable counts by the share of variance that it explains."
    )
    return [
        f"The modalities were summarised by {count(r.latent, 'latent variable')} ({r.method}), from whatever each unit has. {shared} "
        "A unit of which less is known is expected nearer to the middle, and is not taken for another kind because of that. "
        "Endpoints, and units' sites and batches, were not looked at.",
        f"Each number of clusters was tried in the cohort and in {r.draws} clouds of the same size, shape, tails and missing "
        "modalities that have one mode in every direction. Subtypes are reported when the strongest evidence over all numbers "
        f"exceeds that of all but {100 * r.level:g}% of the clouds: so rarely are subtypes found where there are none.",
        "Clusters are those of k-means that allows for what is not known; 100 parts of 80% of the units were clustered again, and each "
        "unit's confidence is its probability averaged over them.",
        "Features of a modality were tested against clusters formed from the other modalities alone: a feature that helped to "
        "form a cluster differs between clusters even where there are none. Differences in the subtypes themselves are shown as "
        "naive effects and are too large.",
    ]


def p_text(p: float | None) -> str:
    """``= 0.032`` or ``< 0.001``."""
    return "not known" if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _tiles(r: SubtypeResults) -> list[Tile]:
    without = f"{r.n_without:,} without any modality" if r.n_without else "all have a modality"
    out = [
        Tile("subtypes", str(r.n_clusters) if r.n_clusters else "none", "forced" if r.forced else "found by the rule"),
        Tile("p of no clusters", value_text(r.p), f"{r.draws} clouds without clusters"),
        Tile("units", f"{r.n_units:,}", without),
        Tile("modalities", str(len(r.modalities)), names(list(r.modalities), most=4)),
    ]
    if r.clusters:
        least = min(r.clusters, key=lambda c: c.stability)
        out.append(Tile("least stable", value_text(least.stability), f"{least.name}, of 1"))
    return out


def _candidates(r: SubtypeResults) -> Table:
    rows = [
        [Cell(str(c.clusters)), Cell(value_text(c.separation, True)), Cell(value_text(c.valley, True))]
        for c in r.candidates
    ]
    strong = [i for i, c in enumerate(r.candidates) if c.clusters == r.n_clusters]
    return Table(
        ["clusters", "separation", "valley"], rows, strong, "Standard deviations above clouds without clusters."
    )


def _clusters(r: SubtypeResults) -> Table:
    rows = [
        [
            Cell(c.name),
            Cell(f"{c.n:,}", f"{100 * c.share:.0f}%"),
            Cell(value_text(c.stability), _trust(c.stability)),
            Cell(value_text(c.within)),
            Cell(value_text(c.between)),
            Cell(value_text(c.confidence)),
        ]
        for c in r.clusters
    ]
    note = (
        "Stability: how much of a cluster is found again in parts of the cohort (Jaccard index, 0 to 1). Consensus: how often two units of "
        "a cluster are together, and how often with units of the nearest other. Confidence: median probability of its units."
    )
    return Table(
        ["subtype", "units", "stability", "consensus inside", "with the nearest", "confidence"], rows, note=note
    )


def _trust(stability: float) -> str:
    """Hennig 2007, Comput Stat Data Anal 52:258."""
    words = (
        (0.85, "very stable"),
        (0.75, "stable"),
        (0.6, "a pattern, its borders doubtful"),
        (-1.0, "not to be trusted"),
    )
    return next(word for least, word in words if stability >= least)


def _differences(r: SubtypeResults, role: str) -> Table | None:
    found = [d for d in r.differences if d.role == role]
    if not found:
        return None
    head = ["endpoint" if role == "endpoint" else "compared", "p", *(c.name for c in r.clusters)]
    rows = []
    for d in found:
        value = (
            Cell("–", d.reason or "")
            if d.p is None
            else Cell(p_text(d.p).removeprefix("= "), f"Holm {p_text(d.p_holm)}")
        )
        clear = d.p_holm is not None and d.p_holm < LEVEL
        rows.append(
            [
                Cell(d.name, " · ".join(x for x in (d.quantity, d.test) if x)),
                Cell(value.text, value.small, "clear" if clear else ""),
            ]
            + ([_group(d, g) for g in d.groups] or [Cell("–") for _ in r.clusters])
        )
    note = "Corrected for all rows of the table (Holm). One unit of each patient."
    return Table(head, rows, note=note)


def _group(d: Difference, g: Group) -> Cell:
    if g.value is None:
        return Cell("–", count(g.n, "unit"))
    interval = "" if g.low is None else f"{_plain(g.low)} to {_plain(g.high)}; "
    if d.kind in ("survival", "continuous", "ordinal"):
        of = f"{g.n:,}" if g.n_events is None else f"{count(g.n_events, 'event')} in {g.n:,}"
        return Cell(_plain(g.value), f"{interval}{of}")
    which = g.subtype[g.subtype.index("(") :] if "(" in g.subtype else ""
    return Cell(f"{100 * g.value:.0f}% {which}".rstrip(), f"{g.n_events:,} of {g.n:,}")


def _plain(x: float | None) -> str:
    return number(x, 3).replace("-", "−")


def _sources(r: SubtypeResults) -> Table:
    rows = []
    for s in r.sources:
        tested = Cell("not tested", mark="") if s.found is None else Cell(f"{s.found:,}", f"of {s.features:,} features")
        agreement = "–" if s.agreement is None else value_text(s.agreement)
        remark = [Cell(s.reason or "–", mark="prose")] if any(x.reason for x in r.sources) else []
        rows.append([Cell(s.modality), Cell(f"{s.n:,}"), tested, Cell(agreement), *remark])
    note = (
        "Agreement: adjusted Rand index between the subtypes and the clusters that the other modalities give by themselves (1: the same, "
        "0: as by chance). Where it is low, the markers mark other clusters than these."
    )
    head = [
        "modality",
        "units",
        "markers, q < 0.05",
        "agreement",
        *(["remarks"] if any(x.reason for x in r.sources) else []),
    ]
    return Table(head, rows, note=note)


def _of(r: SubtypeResults, modality: str) -> list[Marker]:
    return [m for m in r.markers if m.modality == modality]


def _markers(r: SubtypeResults, modality: str) -> Table:
    own = _of(r, modality)
    tested = any(m.q is not None for m in own)
    rows = []
    for m in own:
        q = [Cell(p_text(m.q).removeprefix("= "))] if tested else []
        effects = m.effects if tested else m.naive
        cells = [
            Cell(
                "–" if v is None else value_text(v, True),
                "" if not tested else f"naive {_or_dash(m.naive[k])}",
                "clear" if abs(v or 0.0) >= 0.8 else "",
            )
            for k, v in effects.items()
        ]
        rows.append([Cell(m.feature), *q, *cells])
    what = (
        "against clusters formed without this modality"
        if tested
        else "in the subtypes themselves: too large, and not tested"
    )
    note = f"Difference to the other units in standard deviations, {what}. Bold: 0.8 or more. All features are in markers.csv."
    return Table(["feature", *(["q"] if tested else []), *(c.name for c in r.clusters)], rows, note=note)


def _or_dash(v: float | None) -> str:
    return "–" if v is None else value_text(v, True)
