"""Figures taken away: pictures that stand alone, tables of what they draw, in the page and beside it."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
import stat
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from cohortium.report import from_json, html, to_json, write_report
from cohortium.report.figures.data import csv_text, standalone
from cohortium.report.figures.style import draw, luminance, readable_on
from tests.report.runs import make_results

SVG = "{http://www.w3.org/2000/svg}"


def read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, float_precision="round_trip")


def light(folder: Path) -> Path:
    """A run of little to draw."""
    r = make_results(("binary",), modalities=("a", "b"), n=60)
    r = dataclasses.replace(
        r, calibration=[], decisions=[], subgroups=[], coverage=[], learning_curve=[], added_value=[]
    )
    (folder / "results.json").write_text(to_json(r), encoding="utf-8")
    return folder


def test_every_figure_of_the_page_is_a_picture_and_a_table(every_kind: Path) -> None:
    text = (every_kind / "report.html").read_text(encoding="utf-8")
    figures = re.findall(r"<figure.*?</figure>", text, re.S)
    names = []
    for f in figures:
        links = dict(re.findall(r'<a download="([^"]+)" href="data:[^"]*?;base64,([^"]*)"', f))
        (svg,), (csv,) = ([n for n in links if n.endswith(e)] for e in (".svg", ".csv"))
        assert svg[:-4] == csv[:-4] and re.fullmatch(r"[\w-]+\.svg", svg)
        for name in (svg, csv):
            assert base64.b64decode(links[name]).decode() == (every_kind / "figures" / name).read_text(encoding="utf-8")
        names += [svg, csv]
    assert len(figures) > 30 and len(set(names)) == len(names)
    assert sorted(names) == sorted(p.name for p in (every_kind / "figures").iterdir())


def test_every_picture_stands_alone(every_kind: Path, hostile: Path) -> None:
    for file in [*(every_kind / "figures").glob("*.svg"), *(hostile / "figures").glob("*.svg")]:
        text = file.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == f"{SVG}svg" and root.findtext(f"{SVG}title") and root.findtext(f"{SVG}desc")
        ground = root.find(f"{SVG}rect")
        assert ground is not None and ground.get("fill") == "#ffffff" and ground.get("width") == root.get("width")
        assert "var(" not in text and "style=" not in text and "<script" not in text and "url(http" not in text
        ids = {e.get("id") for e in root.iter()}
        links = {e.get("{http://www.w3.org/1999/xlink}href") for e in root.iter(f"{SVG}use")}
        assert {x[1:] for x in links} <= ids and set(re.findall(r"url\(#([^)]+)\)", text)) <= ids
        sized = [e for e in root.iter(f"{SVG}text")]
        assert sized and all(e.get("font-size") for e in sized)


def test_every_table_reads_and_holds_what_is_drawn(every_kind: Path, hostile: Path) -> None:
    for file in [*(every_kind / "figures").glob("*.csv"), *(hostile / "figures").glob("*.csv")]:
        assert len(read(file)) > 0, file.name
    r = from_json((every_kind / "results.json").read_text(encoding="utf-8"))
    board = read(every_kind / "figures" / "e0-board.csv").set_index("learner")
    rows = {x.learner: x.estimates[0] for x in r.leaderboard if x.endpoint == "os" and x.estimates[0].value is not None}
    assert set(board.index) == set(rows)
    for name, e in rows.items():
        assert tuple(board.loc[name, ["value", "low", "high"]]) == (e.value, e.low, e.high)
    presence = read(every_kind / "figures" / "presence.csv")
    assert dict(presence[presence["what"] == "modality"][["modalities", "units"]].to_numpy()) == {
        m.name: m.n_units for m in r.cohort.modalities
    }
    few = [p.n_units for p in r.cohort.patterns if p.n_units < 5]
    named = presence.loc[presence["what"] == "pattern", "units"].astype(int)
    assert named.sum() == r.cohort.n_units - sum(few) and (named >= 5).all()
    smooth = read(every_kind / "figures" / "e1-smooth-0.csv")
    curve = next(x for x in r.calibration if x.endpoint == "recurrence" and x.learner == "auto").curve
    own = smooth[smooth["of"] == "auto"]
    assert own["predicted"].tolist() == curve.at and own["observed"].dropna().tolist() == [
        v for v in curve.value if v is not None
    ]
    net = read(every_kind / "figures" / "e1-dca-0.csv")
    assert net.loc[net["of"] == "treat all", "net_benefit"].tolist() == r.decisions[-1].treat_all.value
    flow = read(every_kind / "figures" / "flow.csv")
    assert flow.loc[flow["box"] == "units in the study", "units"].item() == r.cohort.n_units


def test_confusion_and_survival_are_counts_of_the_predictions(every_kind: Path) -> None:
    confusion = read(every_kind / "figures" / "e2-perf-confusion.csv")
    frame = pd.read_parquet(every_kind / "predictions.parquet").query(
        "endpoint == 'subtype' and learner == 'auto' and repeat == 0"
    )
    truth = pd.read_parquet(every_kind / "outcomes.parquet").query("endpoint == 'subtype'").set_index("unit")["label"]
    p = frame[[c for c in frame if c.startswith("p_")]].dropna(axis=1)
    named = p.columns.to_numpy()[p.to_numpy().argmax(1)]
    counted = pd.crosstab(truth.loc[frame["unit"]].to_numpy(), named)
    for row in confusion.itertuples():
        assert counted.loc[row.true].get(f"p_{row.predicted}", 0) == row.units
    km = read(every_kind / "figures" / "e0-perf-km.csv")
    assert set(km["group"]) == {"low", "middle", "high"} and km.groupby("group")["at_risk"].max().sum() == 288


def test_files_are_private_and_of_this_report_only(tmp_path: Path) -> None:
    run = light(tmp_path)
    (run / "figures").mkdir()
    (run / "figures" / "old.svg").write_text("<svg/>")
    write_report(run)
    files = list((run / "figures").iterdir())
    assert files and not (run / "figures" / "old.svg").exists() and not list(run.glob(".figures-*"))
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    assert stat.S_IMODE((run / "figures").stat().st_mode) == 0o700


def test_a_page_that_would_be_heavy_leaves_its_second_pictures_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = light(tmp_path)
    monkeypatch.setattr(html, "MOST_BYTES", 60_000)
    text = write_report(run).read_text(encoding="utf-8")
    assert '.svg" href=' not in text and '.csv" href=' in text and list((run / "figures").glob("*.svg"))


def test_cells_are_full_numbers_and_no_formulas() -> None:
    text = csv_text([{"a": 1 / 3, "b": None}, {"a": float("nan"), "b": '=HYPERLINK("x")', "c": "x, y"}])
    frame = pd.read_csv(io.StringIO(text))
    assert frame["a"].tolist()[0] == 1 / 3 and frame["a"].isna().tolist() == [False, True]
    assert frame["b"].iloc[1] == '\'=HYPERLINK("x")' and frame["c"].iloc[1] == "x, y"


def test_styles_become_attributes_and_win() -> None:
    svg = draw(lambda f: f.subplots().plot([0, 1], label="a"), width=100, height=80, alt='a < b & "c"', key="k")
    root = ElementTree.fromstring(standalone(svg, "T<", 'a < b & "c"'))
    assert root.findtext(f"{SVG}title") == "T<" and root.findtext(f"{SVG}desc") == 'a < b & "c"'
    made = standalone(
        '<svg viewBox="0 0 9 9" a="b"><path fill="red" style="fill: #0072b2; stroke: none"/></svg>', "t", "d"
    )
    path = ElementTree.fromstring(made).find(f"{SVG}path")
    assert path is not None and path.attrib == {"fill": "#0072b2", "stroke": "none"}


def test_text_on_colour_can_be_read() -> None:
    import matplotlib

    for share in range(101):
        ground = matplotlib.colormaps["Blues"](share / 100)
        ink = readable_on(ground)
        a, b = sorted((luminance([int(ink[i : i + 2], 16) / 255 for i in (1, 3, 5)]), luminance(ground)))
        assert (b + 0.05) / (a + 0.05) >= 4.5
