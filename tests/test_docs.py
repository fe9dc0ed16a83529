"""Documentation holds: its examples are read, its tables are those of the code, its links and commands exist."""

from __future__ import annotations

import ast
import re
import shlex
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cohortium.schema import declare, deep, federation, federation_network, images, notes, shapes, variants
from cohortium.study import parse_study, spec
from cohortium.study.reading import parse

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
STUDY_FILE = ROOT / "docs" / "study-file.md"

# What a fragment of a study file stands in.
AROUND: dict[str, Any] = {
    "name": "fragment",
    "cohort": {"units": {"file": "units.csv"}, "modalities": {"clinical": {"file": "clinical.csv"}}},
    "endpoints": {"os": {"kind": "survival", "time": "days", "event": "died", "time_unit": "days"}},
}


@lru_cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(language: str) -> list[Any]:
    """(page, line, info, text) of every fenced block in a language."""
    out = []
    for page in PAGES:
        for m in re.finditer(r"^```(\w+)([^\n]*)\n(.*?)^```", text_of(page), re.M | re.S):
            if m[1] == language:
                line = text_of(page)[: m.start()].count("\n") + 1
                out.append(pytest.param(m[2].strip(), m[3], id=f"{page.name}:{line}"))
    return out


@pytest.mark.parametrize(("info", "text"), blocks("yaml"))
def test_study_files_in_the_documentation_are_valid(info: str, text: str) -> None:
    if info != "fragment":
        parse_study(text, "study.yaml")
        return
    data = {**AROUND, **parse(text, "fragment.yaml").data}
    spec.StudySpec.model_validate(data)


@pytest.mark.parametrize(("info", "text"), blocks("python"))
def test_python_in_the_documentation_uses_names_that_exist(info: str, text: str) -> None:
    from importlib import import_module

    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("cohortium"):
            room = import_module(str(node.module))
            assert all(hasattr(room, a.name) for a in node.names), ast.unparse(node)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "cohortium":
            assert hasattr(import_module("cohortium"), node.attr), node.attr


def models() -> dict[str, type[BaseModel]]:
    rooms = (declare, deep, federation, federation_network, images, notes, shapes, variants, spec)
    found = [value for room in rooms for value in vars(room).values()]
    kept = [m for m in found if isinstance(m, type) and issubclass(m, declare.Declaration)]
    return {m.__name__: m for m in kept if m is not declare.Declaration}


def own_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields that no documented parent has; the tag of a kind stands in its heading."""
    parents = [b for b in model.__mro__[1:] if b is not declare.Declaration and b.__name__ in models()]
    inherited = {f for p in parents for f in models()[p.__name__].model_fields}
    return {k: f for k, f in model.model_fields.items() if k not in inherited and k not in ("kind", "shape")}


def default_text(field: FieldInfo) -> str | None:
    """How a table shows the default; None where it points to another section."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return None
    if value is None:
        return "none"
    if value == "":
        return '`""`'
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table_after(marker: str) -> dict[str, str]:
    """key -> default of the table behind ``<!-- fields: … -->``."""
    text = text_of(STUDY_FILE)
    assert marker in text, f"docs/study-file.md has no table marked {marker}"
    lines = text[text.index(marker) + len(marker) :].lstrip().splitlines()
    rows = [line.strip("| ").split("|") for line in lines[2 : lines.index("")]]
    return {row[0].strip(" `"): row[1].strip() for row in rows}


@pytest.mark.parametrize("name", sorted(models()))
def test_every_field_of_the_study_file_is_documented_with_its_default(name: str) -> None:
    fields = own_fields(models()[name])
    table = table_after(f"<!-- fields: {name} -->")
    assert list(table) == list(fields)
    wrong = {k: table[k] for k, f in fields.items() if default_text(f) not in (None, table[k])}
    assert wrong == {}


def test_every_choice_of_the_study_file_is_documented() -> None:
    schema = str(spec.StudySpec.model_json_schema())
    choices = {c for group in re.findall(r"'enum': \[([^]]*)\]", schema) for c in re.findall(r"'([^']+)'", group)}
    text = text_of(STUDY_FILE)
    assert len(choices) > 30
    assert {c for c in choices if c not in text} == set()


def test_metrics_and_their_defaults_are_documented() -> None:
    from cohortium.metrics import METRICS, default_metrics
    from cohortium.schema import EndpointKind

    text = text_of(ROOT / "docs" / "estimates.md")
    for kind in EndpointKind:
        row = next(line for line in text.splitlines() if line.startswith(f"| {kind.value} |"))
        usual, further = (re.findall(r"`(\w+)`", cell) for cell in row.split("|")[2:4])
        assert tuple(usual) == default_metrics(kind)
        assert {*usual, *further} == {m.name for m in METRICS.values() if kind in m.kinds}


def test_learners_are_documented() -> None:
    from cohortium.learners import DeepSpec, JointSpec, LearnerConfig, plan
    from cohortium.schema import Endpoint, EndpointKind

    endpoint = Endpoint("y", EndpointKind.BINARY, ("no", "yes"))
    text = text_of(ROOT / "docs" / "estimates.md")
    config = LearnerConfig(reference=("a",), deep=(DeepSpec("x"),), joint=(JointSpec("x"),), probes=False)
    for info in plan(config, endpoint, ["a", "b"]):
        name = re.sub(r"single:\w+", "single:<modality>", info.name).replace(":x", ":<name>")
        assert f"| `{name}` |" in text, name


def test_formats_are_documented() -> None:
    from typing import get_args

    from cohortium.sources.formats import format_of

    rows = re.findall(r"^\| `(\w+)` \| ((?:`\.\w+` ?)+)\|", text_of(ROOT / "docs" / "formats.md"), re.M)
    names = get_args(declare.FileSource.model_fields["format"].annotation)
    assert [name for name, _ in rows] == [n for n in names if n != "auto"]
    for name, endings in rows:
        for ending in re.findall(r"`(\.\w+)`", endings):
            assert format_of(Path(f"table{ending}")) == name


def test_results_are_documented() -> None:
    from dataclasses import fields

    from cohortium.contracts.results import AddedValueRow, EndpointRecord, Finding, LeaderboardRow, Results

    text = text_of(ROOT / "docs" / "formats.md")
    for record in (Results, LeaderboardRow, AddedValueRow, EndpointRecord, Finding):
        assert {f.name for f in fields(record) if f"`{f.name}`" not in text} == set(), record.__name__


def test_rooms_are_documented_in_the_order_of_the_layers() -> None:
    import tomllib

    contracts = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(c for c in contracts if c["type"] == "layers")["layers"]
    rooms = [name.strip(" ()") for layer in layers for name in layer.split("|")]
    documented = re.findall(r"^\| `(\w+)` \|", text_of(ROOT / "docs" / "contributors.md"), re.M)
    assert [d for d in documented if d in rooms] == [r for r in rooms if (ROOT / "src" / "cohortium" / r).exists()
                                                    or (ROOT / "src" / "cohortium" / f"{r}.py").exists()]  # fmt: skip


def test_findings_are_documented() -> None:
    text = text_of(ROOT / "docs" / "checks.md")
    documented = set(re.findall(r"^\| `(\w+)", text, re.M))
    made: set[str] = set()
    for path in (ROOT / "src" / "cohortium" / "checks").glob("*.py"):
        names = re.findall(r'f?"((?:\{role\}_)?[a-z_]+):\{|"(duplicate_patients)"', path.read_text(encoding="utf-8"))
        made |= {a or b for a, b in names}
    made = {n.replace("{role}", role) for n in made for role in ("site", "batch")}
    assert documented == made


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cohortium.study import run
    from tests.study import cohort_files

    folder = tmp_path_factory.mktemp("documented")
    return run(cohort_files.write(folder / "cohort"), folder / "run", jobs=1).folder


def test_run_folder_is_as_documented(run_folder: Path) -> None:
    import pyarrow.parquet as pq

    rows = dict(re.findall(r"^\| `([\w.]+)/?` \| (.*) \|$", text_of(ROOT / "docs" / "formats.md"), re.M))
    written = {p.name for p in run_folder.iterdir() if not p.name.startswith(".")}
    assert written <= set(rows)
    assert {n for n in rows if "." in n} - {"validation.json", "map.parquet"} <= written
    for name in (n for n in written if n.endswith(".parquet")):
        said = set(re.findall(r"\w+", rows[name]))
        columns = {c for c in pq.read_schema(run_folder / name).names if not c.startswith("p_")}
        assert columns <= said, name
    assert not [p for p in (run_folder / "model").rglob("*") if p.suffix not in ("", ".json", ".safetensors", ".txt")]


def test_predictions_are_as_documented(run_folder: Path) -> None:
    from cohortium.study import predict

    said = re.findall(
        r"`(?:<endpoint>\.)?(\w+?)_?(?:<\w+>)?`", text_of(ROOT / "docs" / "formats.md").split("## Writes")[2]
    )
    for column in predict(run_folder, run_folder.parent / "cohort").columns:
        name = column.partition(".")[2] or column
        assert any(name == s or name.startswith(f"{s}_") for s in said), column


def test_results_are_read_as_documented(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run_folder.parent)
    code = next(
        b for b in re.findall(r"```python\n(.*?)```", text_of(ROOT / "docs" / "formats.md"), re.S) if "run/" in b
    )
    exec(compile(code, "docs/formats.md", "exec"), {})
    metric, value, low, high = capsys.readouterr().out.split()
    assert metric == "roc_auc" and float(low) <= float(value) <= float(high)


def test_links_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            at = (page.parent / file).resolve() if file else page
            if not at.exists() or (anchor and anchor not in anchors(at)):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def commands() -> dict[str, Any]:
    import typer

    from cohortium.cli.federate import app

    group: Any = typer.main.get_command(app)
    inside = {f"{n} {m}": c for n, g in group.commands.items() for m, c in getattr(g, "commands", {}).items()}
    return {**group.commands, **inside}


def test_every_command_and_option_is_documented() -> None:
    page = text_of(ROOT / "docs" / "commands.md")
    for name, command in commands().items():
        assert re.search(rf"^#+ .*cohortium {name}\b", page, re.M), f"no heading in docs/commands.md for {name}"
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        silent = [p.opts[0] for p in options if f"{p.opts[0]}" not in page]
        assert silent == [], name


def test_command_lines_in_the_documentation_are_ones_that_exist() -> None:
    known = commands()
    lines = [
        (page.name, m[1])
        for page in PAGES
        for m in re.finditer(r"^(?:    |\t)?\$? ?(?:\.venv/bin/)?(cohortium [a-z]+\b[^\n]*)$", text_of(page), re.M)
    ]
    assert len(lines) > 5
    for page_name, line in lines:
        words = shlex.split(line, comments=True)
        name = " ".join(words[1:3]) if getattr(known.get(words[1]), "commands", None) else words[1]
        assert name in known, f"{page_name}: {line}"
        options = {o for p in known[name].params for o in [*p.opts, *p.secondary_opts]} | {"--help", "--debug"}
        assert {w.split("=")[0] for w in words[2:] if w.startswith("-")} <= options, f"{page_name}: {line}"


def test_what_each_message_exposes_is_in_the_threat_model() -> None:
    from cohortium.contracts.federation_wire import ANSWERS

    text = text_of(ROOT / "docs" / "threat_model.md").split("<!-- messages -->")[1]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", text, re.M)
    assert rows == [(t.__name__, ", ".join(t.LEAVES), t.EXPOSES) for t in ANSWERS]


def test_messages_of_federated_fits_are_documented() -> None:
    from cohortium.contracts.federation_wire import ANSWERS

    text = text_of(ROOT / "docs" / "federation.md").split("<!-- messages -->")[1]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*) \|$", text, re.M)
    assert rows == [(t.__name__, f, said) for t in ANSWERS for f, said in t.LEAVES.items()]


def test_messages_of_networks_across_sites_are_documented() -> None:
    from cohortium.contracts.federation_network import NETWORK_ANSWERS

    text = text_of(ROOT / "docs" / "federation_network.md").split("<!-- messages -->")[1]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*) \|$", text, re.M)
    assert rows == [(t.__name__, f, said) for t in NETWORK_ANSWERS for f, said in t.LEAVES.items()]
