"""Three sites and a coordinator as processes with mutual TLS: undisturbed, and with a site killed in round 2 and the server in
round 3, each started again a second later. Prints seconds and the largest difference between the coefficients.

usage: PYTHONPATH=.:src python benchmarks/federation_processes.py [--secure]   (needs pip install 'cohortium[federated]'; about three minutes)
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.federation.processes import SITES, Federation


def once(federation: Federation, out: str, kills: list[tuple[int, str]]) -> tuple[list[float], dict[str, object]]:
    """Coefficients and facts of one study."""
    log: list[str] = []
    begin = time.perf_counter()
    started = federation.start(out)
    for number, name in kills:
        federation.kill_in_round(number, name, log).join()
    _, err = started.communicate(timeout=600)
    if started.returncode:
        raise SystemExit(err)
    found = json.loads((federation.root / out / "federation.json").read_text())
    sent = [m["size"] for m in found["messages"] if m["to"] == "coordinator"]
    facts = {
        "seconds in all": round(time.perf_counter() - begin, 1),
        "seconds by round": [round(s, 2) for s in found["seconds"]],
        "bytes from sites": sum(sent),
        "largest message": max(sent),
        "left out": [s["site"] for s in found["sites"] if s["left"]],
        "happened": log,
        "lead saw": err.split("\n")[:-1],
    }
    return [c["estimate"] for c in found["coefficients"]], facts


def main() -> None:
    """An undisturbed study, then one with two kills, by the same processes."""
    with tempfile.TemporaryDirectory() as name:
        federation = Federation(Path(name))
        if "--secure" in sys.argv:
            federation.text = federation.text.replace("federation: {", "federation: {secure: true, ")
        begin = time.perf_counter()
        federation.prepare()
        print(f"kits: {time.perf_counter() - begin:.1f} s")
        try:
            for process in ("server", *SITES):
                federation.up(process)
            calm, facts = once(federation, "calm", [])
            print("undisturbed (from the start of the processes):", json.dumps(facts, indent=1))
            warm, facts = once(federation, "warm", [])
            print("again, processes up:", json.dumps(facts, indent=1))
            rough, facts = once(federation, "rough", [(2, "south"), (3, "server")])
            print("with kills:", json.dumps(facts, indent=1))
        finally:
            federation.down()
    print("coefficients:", calm)
    print("largest difference, again:", max(abs(a - b) for a, b in zip(calm, warm, strict=True)))
    print("largest difference, with kills:", max(abs(a - b) for a, b in zip(calm, rough, strict=True)))


if __name__ == "__main__":
    main()
