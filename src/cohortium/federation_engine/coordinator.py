"""The coordinator's half of the engine: rounds between sites, each stored before it is asked, so that a restarted one goes on."""

from __future__ import annotations

import base64
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from cohortium.contracts.federation_wire import decode, digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import State, begin, joined, question, restore, step, store
from cohortium.federation_coordinator.checking import read_answer
from cohortium.federation_engine.names import ANSWER, END, QUESTION, ROUNDS, STATE, TASK
from cohortium.study.federating import message_row


class Coordinator(Controller):
    """plan: as JSON in base64 (the engine reads braces as variables). sites: all that the study is to have. without: sites whose answers are no longer waited for.
    anew: whether what an earlier job stored is left aside. seconds: that an answer is waited for before the job ends, to be taken up by the next one."""

    def __init__(self, plan: str, sites: list[str], without: list[str], anew: bool, seconds: float) -> None:
        super().__init__(task_check_period=0.05)
        self.plan_coded, self.sites, self.without = plan, sites, without
        self.anew, self.seconds = anew, seconds

    def start_controller(self, fl_ctx: FLContext) -> None:
        """At the end of a job the engine looks for downloads of torch's that are under way, and imports torch for that: seconds, where
        it is installed. Messages here are bytes, and there are none."""
        sys.modules.setdefault("nvflare.app_opt.pt.tensor_downloader", None)  # type: ignore[arg-type]  # an import fails, as without torch

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to tidy: every round is stored already."""

    def process_result_of_unknown_task(self, *_: Any, **__: Any) -> None:
        """An answer that came too late: the round is over."""

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Rounds until the fit is done, or a site is silent."""
        plan = decode(base64.b64decode(self.plan_coded))
        folder = Path(str(fl_ctx.get_prop(FLContextKey.WORKSPACE_ROOT))) / "studies" / digest(encode(plan))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        stored = folder / STATE
        if self.anew:
            stored.unlink(missing_ok=True)
            (folder / ROUNDS).unlink(missing_ok=True)
        state = restore(stored.read_bytes()) if stored.exists() else begin(plan, self.sites)
        state = joined(state, {c.name for c in self._engine.get_clients()} - set(self.without))
        end: dict[str, Any] = {"waiting": []}
        try:
            while state.phase != "done" and not abort_signal.triggered:
                _replace(stored, store(state))
                state, silent = self._round(state, folder, abort_signal, fl_ctx)
                if silent:
                    end = {"waiting": silent, "round": state.round}
                    break
            if state.phase == "done":
                end = {"state": store(state).decode()}
        except FederationError as e:
            end = {"error": str(e)}
        if "waiting" not in end or end["waiting"]:
            self._finish(end, stored, folder, fl_ctx)

    def _round(self, state: State, folder: Path, abort: Signal, fl_ctx: FLContext) -> tuple[State, list[str]]:
        """The state after a round and nobody, or the same state and the sites that are silent."""
        begun = time.perf_counter()
        asked = encode(question(state))
        here = [s for s in state.here if s not in self.without]
        known = {c.name for c in self._engine.get_clients()}
        got: dict[str, bytes] = {}

        def received(client_task: ClientTask, fl_ctx: FLContext) -> None:
            said = client_task.result.get(ANSWER) if isinstance(client_task.result, Shareable) else None
            if isinstance(said, bytes):
                got[client_task.client.name] = said
            client_task.result = None

        data = Shareable()
        data[QUESTION] = asked
        targets = [s for s in here if s in known]
        if targets:
            task = Task(TASK, data, timeout=max(1, int(self.seconds)), result_received_cb=received)
            self.broadcast_and_wait(task, fl_ctx, targets=targets, min_responses=len(targets), abort_signal=abort)
        silent = sorted(set(here) - set(got))
        if silent or abort.triggered:
            return state, silent
        rows = [message_row(asked, state.round, s, "site") for s in here]
        rows += [message_row(got[s], state.round, s, "coordinator") for s in here]
        after = step(state, {s: read_answer(got[s], s, state) for s in here})
        seconds = time.perf_counter() - begun
        with (folder / ROUNDS).open("a", encoding="utf-8") as f:
            f.write(json.dumps({"seconds": seconds, "messages": [asdict(r) for r in rows]}) + "\n")
        return after, []

    def _finish(self, end: dict[str, Any], stored: Path, folder: Path, fl_ctx: FLContext) -> None:
        """Leave the end where the lead's download of the job finds it; a fit that ended is begun anew next time."""
        rounds = folder / ROUNDS
        if rounds.exists():
            end["rounds"] = [json.loads(line) for line in rounds.read_text(encoding="utf-8").splitlines()]
        workspace = self._engine.get_workspace()
        _replace(Path(workspace.get_run_dir(fl_ctx.get_job_id())) / END, json.dumps(end).encode())
        if "waiting" not in end:
            stored.unlink(missing_ok=True)
            rounds.unlink(missing_ok=True)


def _replace(file: Path, data: bytes) -> None:
    part = file.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(data)
    part.replace(file)
