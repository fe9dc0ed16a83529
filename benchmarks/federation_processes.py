"""Three sites and a coordinator as processes with mutual TLS: undisturbed, and with a site killed after round 2 and the server in
round 3, each started again a second later. Prints seconds, bytes, and whether the model is that of the same study in one process.

usage: PYTHONPATH=.:src python benchmarks/federation_processes.py [--method linear|trees|network] [--secure]
(needs pip install 'cohortium[federated,secure,deep]'; about two minutes)
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.federation.processes import SITES, Federation
from tests.federation.sites import table

SAID = {
    "linear": "",
    "trees": "method: trees, trees: {rounds: 10, depth: 2, bins: 8}, ",
    "network": "method: network, network: {rounds: 10, width: 16, batch: 16}, ",
}


def model(found: dict[str, Any]) -> list[float]:
    """Every number of the model."""
    if found["network"] is not None:
        return numbers(found["network"]["model"]) + found["network"]["losses"]
    if found["trees"] is not None:
        return numbers([found["trees"][k] for k in ("splits", "values", "edges", "losses")])
    return [c["estimate"] for c in found["coefficients"]]


def numbers(said: object) -> list[float]:
    """All numbers of a record, and the letters of its texts: arrays of messages are texts."""
    if isinstance(said, dict):
        return [x for k in sorted(said) for x in numbers(said[k])]
    if isinstance(said, list):
        return [x for s in said for x in numbers(s)]
    if isinstance(said, str):
        return [float(ord(c)) for c in said]
    return [float(said)] if isinstance(said, int | float) else []


def once(federation: Federation, out: str, kill: bool) -> list[float]:
    """The model of one study; its facts are printed."""
    log: list[str] = []
    begin = time.perf_counter()
    started = federation.start(out)
    if kill:
        site = federation.kill_after_round(2, "south", log)
        while not log:
            time.sleep(0.01)
        federation.kill_in_round(3, "server", log).join()
        site.join()
    _, err = started.communicate(timeout=600)
    if started.returncode:
        raise SystemExit(err)
    found = json.loads((federation.root / out / "federation.json").read_text())
    sent = [m["size"] for m in found["messages"] if m["to"] == "coordinator"]
    asked = [m["size"] for m in found["messages"] if m["to"] == "site"]
    facts = {
        "seconds in all": round(time.perf_counter() - begin, 1),
        "rounds": found["rounds"],
        "seconds by round": [round(s, 2) for s in found["seconds"]],
        "median seconds": round(float(np.median(found["seconds"])), 2),
        "bytes from sites": sum(sent),
        "largest answer": max(sent),
        "bytes to sites": sum(asked),
        "largest question": max(asked),
        "left out": [s["site"] for s in found["sites"] if s["left"]],
        "happened": log,
        "lead saw": err.split("\n")[:-1],
    }
    print(out, json.dumps(facts, indent=1), flush=True)
    return model(found)


def simulated(federation: Federation) -> list[float]:
    """The model of the same study in one process: the sites' files one below the other."""
    here = federation.root / "together"
    here.mkdir()
    d = table()
    d[d.site.isin(SITES)].to_csv(here / "data.csv", index=False)
    (here / "study.yaml").write_text(federation.text)
    done = federation.command("simulate", here / "study.yaml", "--by", "site", "--out", here / "out")
    _, err = done.communicate(timeout=600)
    if done.returncode:
        raise SystemExit(err)
    return model(json.loads((here / "out" / "federation.json").read_text()))


def main() -> None:
    """An undisturbed study, then one with two kills by the same processes, and the same study simulated."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--method", choices=sorted(SAID), default="linear")
    parser.add_argument("--secure", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        federation = Federation(Path(name))
        said = SAID[asked.method] + ("secure: true, " if asked.secure else "")
        federation.text = federation.text.replace("federation: {", "federation: {" + said)
        begin = time.perf_counter()
        federation.prepare()
        print(f"kits: {time.perf_counter() - begin:.1f} s")
        try:
            for process in ("server", *SITES):
                federation.up(process)
            calm = once(federation, "calm", False)
            rough = once(federation, "kills", True)
        finally:
            federation.down()
        alone = simulated(federation)
    print("numbers of the model:", len(calm), "finite:", bool(np.isfinite(calm).all()))
    for what, other in (("with kills", rough), ("simulated", alone)):
        print(f"largest difference, {what}:", max(abs(a - b) for a, b in zip(calm, other, strict=True)))


if __name__ == "__main__":
    main()
