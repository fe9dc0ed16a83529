"""Predictors to and from disk: JSON for structure, safetensors for arrays, LightGBM text for trees. No pickle."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from cohortium.calibration import IntervalMaker, LowerBoundMaker, Maker, Recalibration, SetMaker
from cohortium.encoders import Encoder, restore_encoder
from cohortium.encoders.raw import restore_raw
from cohortium.errors import RunFolderError
from cohortium.fusion import StackFit
from cohortium.fusion.similarity import Graph
from cohortium.heads.trees import Boosted, Forest
from cohortium.joint.saving import fill, joint_state, restore_joint, strip
from cohortium.learners.deep_node import DeepNode
from cohortium.learners.graph_node import GraphNode
from cohortium.learners.joint_node import JointNode, NetworkNode
from cohortium.learners.nodes import (
    Guarded,
    Input,
    LinearNode,
    Node,
    PresenceNode,
    ScorePredictor,
    StackNode,
    TreeNode,
    ZeroFill,
    ZeroNode,
)
from cohortium.schema import Endpoint, EndpointKind

FORMAT = 4


def predictor_state(predictor: ScorePredictor) -> dict[str, Any]:
    """Nested dicts and lists with arrays as leaves; shared encoders and nodes are stored once."""
    pool: dict[int, int] = {}
    encoders: list[dict[str, Any]] = []

    def put(encoder: Encoder) -> int:
        if id(encoder) not in pool:
            pool[id(encoder)] = len(encoders)
            encoders.append(encoder.state())
        return pool[id(encoder)]

    seen: dict[int, int] = {}
    nodes: list[dict[str, Any]] = []

    def walk(node: Node) -> int:
        if id(node) not in seen:
            state = _node_state(node, put, walk)
            seen[id(node)] = len(nodes)
            nodes.append(state)
        return seen[id(node)]

    root = walk(predictor.node)
    e = predictor.endpoint
    return {
        "format": FORMAT,
        "name": predictor.name,
        "endpoint": {
            "name": e.name,
            "kind": e.kind.value,
            "classes": list(e.classes),
            "time_unit": e.time_unit,
            "horizons": list(e.horizons),
            "model": e.model,
        },
        "finish": predictor.finish,
        "threshold": predictor.threshold,
        "chosen": predictor.chosen,
        "facts": predictor.facts,
        "recalibration": None if predictor.recalibration is None else predictor.recalibration.state(),
        "shift": predictor.shift,
        "maker": None
        if predictor.maker is None
        else {"type": type(predictor.maker).__name__, **predictor.maker.state()},
        "encoders": encoders,
        "nodes": nodes,
        "root": root,
    }


def _inputs(node: LinearNode | TreeNode | DeepNode, put: Any) -> list[dict[str, Any]]:
    return [
        {"modality": i.modality, "encoder": put(i.encoder), "columns": i.columns, "basis": i.basis} for i in node.inputs
    ]


def _node_state(node: Node, put: Any, walk: Any) -> dict[str, Any]:
    if isinstance(node, LinearNode):
        return {
            "type": "linear",
            "kind": node.kind,
            "inputs": _inputs(node, put),
            "coefs": list(node.coefs),
            "n_scores": node.n_scores,
        }
    if isinstance(node, TreeNode):
        model = {f.name: getattr(node.model, f.name) for f in fields(node.model)}
        return {
            "type": "trees",
            "model": type(node.model).__name__,
            "inputs": _inputs(node, put),
            "n_scores": node.n_scores,
            "fields": {k: list(v) if isinstance(v, tuple) else v for k, v in model.items()},
        }
    if isinstance(node, DeepNode):
        return {
            "type": "deep",
            "inputs": _inputs(node, put),
            **{k: getattr(node, k) for k in ("design", "link", "slope", "n_scores", "used")},
            "members": [dict(m) for m in node.members],
            "biases": list(node.biases),
            "presence": None if node.presence is None else list(node.presence),
            "start": None if node.start is None else walk(node.start),
            "items": [None if i is None else i.state() for i in node.items],
            "graph": node.graph.state() if isinstance(node, GraphNode) and node.graph is not None else None,
        }
    if isinstance(node, JointNode):
        return {"type": "joint", "coef": node.coef, "n_scores": node.n_scores, "joint": joint_state(node.joint, put)}
    if isinstance(node, NetworkNode):
        return _network_state(node, put)
    if isinstance(node, StackNode):
        return {
            "type": "stack",
            "children": [walk(c) for c in node.children],
            "stack": node.stack.state(),
            "complete": node.complete,
        }
    if isinstance(node, Guarded):
        return {"type": "guarded", "node": walk(node.node), "needs": list(node.needs)}
    if isinstance(node, ZeroFill):
        return {"type": "zero_fill", "node": walk(node.node)}
    if isinstance(node, PresenceNode):
        return {
            "type": "presence",
            "modalities": list(node.modalities),
            "mean": node.mean,
            "coef": node.coef,
            "n_scores": node.n_scores,
        }
    assert isinstance(node, ZeroNode)
    return {"type": "zero", "n_scores": node.n_scores}


def _network_state(node: NetworkNode, put: Any) -> dict[str, Any]:
    return {
        "type": "vae",
        **{k: getattr(node, k) for k in ("link", "slope", "n_scores")},
        "modalities": list(node.modalities),
        "biases": list(node.biases),
        "presence": None if node.presence is None else list(node.presence),
        "joint": joint_state(node.joint, put),
    }


def restore(state: dict[str, Any]) -> ScorePredictor:
    """The predictor of a state made by :func:`predictor_state`."""
    encoders = [restore_encoder(e) for e in state["encoders"]]
    nodes: list[Node] = []
    for s in state["nodes"]:
        nodes.append(_restore_node(s, encoders, nodes))
    e = state["endpoint"]
    endpoint = Endpoint(
        e["name"],
        EndpointKind(e["kind"]),
        tuple(e["classes"]),
        e["time_unit"],
        tuple(e["horizons"]),
        model=e.get("model", ""),
    )
    return ScorePredictor(
        state["name"],
        endpoint,
        nodes[state["root"]],
        state["finish"],
        state["threshold"],
        state["chosen"],
        state["facts"],
        _restore_maker(state["maker"]),
        recalibration=None if state["recalibration"] is None else Recalibration.restore(state["recalibration"]),
        shift=state["shift"],
    )


def _restore_maker(state: dict[str, Any] | None) -> Maker | None:
    if state is None:
        return None
    kinds: dict[str, type[Maker]] = {k.__name__: k for k in (SetMaker, IntervalMaker, LowerBoundMaker)}
    return kinds[state["type"]].restore(state)


def _restore_node(s: dict[str, Any], encoders: list[Encoder], nodes: list[Node]) -> Node:
    def inputs() -> tuple[Input, ...]:
        return tuple(
            Input(
                i["modality"],
                encoders[i["encoder"]],
                None if i["columns"] is None else np.asarray(i["columns"], dtype=np.intp),
                None if i["basis"] is None else np.asarray(i["basis"], dtype=np.float64),
            )
            for i in s["inputs"]
        )

    kind = s["type"]
    if kind == "linear":
        return LinearNode(
            inputs(), tuple(np.asarray(c, dtype=np.float64) for c in s["coefs"]), s["n_scores"], s["kind"]
        )
    if kind == "trees":
        f = s["fields"]
        model: Forest | Boosted
        if s["model"] == "Forest":
            model = Forest(tuple(f["texts"]), f["link"], tuple(f["base"]), f["slope"])
        else:
            model = Boosted(f["text"], f["rounds"], f["scale"], f["n_scores"], f["slope"])
        return TreeNode(inputs(), model, s["n_scores"])
    if kind == "deep":
        members, biases = tuple(s["members"]), tuple(s["biases"])
        presence = None if s["presence"] is None else (np.asarray(s["presence"][0]), np.asarray(s["presence"][1]))
        start = None if s["start"] is None else nodes[s["start"]]
        items = tuple(None if i is None else restore_raw(i) for i in s.get("items", ()))
        own = (s["design"], members, s["link"], biases, s["slope"], s["n_scores"], presence, start, s["used"], items)
        graph = s.get("graph")
        return DeepNode(inputs(), *own) if graph is None else GraphNode(inputs(), *own, Graph.restore(graph))
    if kind == "joint":
        joint, coef = restore_joint(s["joint"], encoders), np.asarray(s["coef"], dtype=np.float64)
        return JointNode(joint, coef, s["n_scores"])
    if kind == "vae":
        presence = None if s["presence"] is None else (np.asarray(s["presence"][0]), np.asarray(s["presence"][1]))
        joint, names, biases = restore_joint(s["joint"], encoders), tuple(s["modalities"]), tuple(s["biases"])
        return NetworkNode(joint, names, s["link"], biases, s["slope"], s["n_scores"], presence)
    if kind == "stack":
        return StackNode(tuple(nodes[c] for c in s["children"]), StackFit.restore(s["stack"]), s["complete"])
    if kind == "guarded":
        return Guarded(nodes[s["node"]], tuple(s["needs"]))
    if kind == "zero_fill":
        return ZeroFill(nodes[s["node"]])
    if kind == "presence":
        return PresenceNode(tuple(s["modalities"]), np.asarray(s["mean"]), np.asarray(s["coef"]), s["n_scores"])
    return ZeroNode(s["n_scores"])


def save_predictor(predictor: ScorePredictor, folder: Path) -> None:
    """Write ``model.json``, ``arrays.safetensors`` and ``trees_<i>.txt`` into an existing folder."""
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {}
    texts: list[str] = []

    def aside(x: Any) -> Any:
        if isinstance(x, str) and x.startswith("tree\n"):
            texts.append(x)
            return {"$trees": len(texts) - 1}
        return x

    tree = strip(predictor_state(predictor), arrays, aside)
    save_file(arrays or {"empty": np.zeros(1)}, str(folder / "arrays.safetensors"))
    for i, text in enumerate(texts):
        (folder / f"trees_{i}.txt").write_text(text, encoding="utf-8")
    (folder / "model.json").write_text(json.dumps(tree, indent=1), encoding="utf-8")


def load_predictor(folder: Path) -> ScorePredictor:
    """Read what :func:`save_predictor` wrote. Raises RunFolderError when it is not there or of another format."""
    from safetensors.numpy import load_file

    path = folder / "model.json"
    if not path.exists():
        raise RunFolderError(f"There is no fitted model in {folder}: expected {path.name}. Run the study first.")
    arrays = load_file(str(folder / "arrays.safetensors"))

    def trees(x: dict[str, Any]) -> str:
        return (folder / f"trees_{x['$trees']}.txt").read_text(encoding="utf-8")

    state = fill(json.loads(path.read_text(encoding="utf-8")), arrays, trees)
    if state.get("format") != FORMAT:
        raise RunFolderError(f"The model in {folder} has format {state.get('format')}; this version reads {FORMAT}.")
    return restore(state)
