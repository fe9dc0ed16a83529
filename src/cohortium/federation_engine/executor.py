"""The site's half of the engine: a question's bytes in, an answer's bytes out."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal

from cohortium.federation_engine.approving import approved_only, permitted
from cohortium.federation_engine.messages_log import append
from cohortium.federation_engine.names import ANSWER, JOURNAL, QUESTION, SEALING, STUDY_VARIABLE, TASK
from cohortium.study.federating import Ask, failed, message_row, site_from_files


class SiteExecutor(Executor):
    """Answers from the study file that the site's own person named when the site was started; a job cannot name another."""

    def __init__(self) -> None:
        super().__init__()
        self._ask: Ask | None = None

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """One question, one answer. Nothing of an error leaves but that there was one."""
        question = shareable.get(QUESTION)
        if task_name != TASK or not isinstance(question, bytes):
            return make_reply(ReturnCode.TASK_UNKNOWN)
        name = fl_ctx.get_identity_name()
        kit = Path(str(fl_ctx.get_prop(FLContextKey.WORKSPACE_ROOT)))
        log = kit / "messages.csv"
        try:
            if self._ask is None:
                ask = site_from_files(
                    name, os.environ[STUDY_VARIABLE], kit, kit / SEALING, kit / JOURNAL, partial(permitted, kit)
                )
                self._ask = approved_only(kit, name, ask)
            answer = self._ask(question)
        except Exception:  # whatever it is, its text may hold what must not leave
            self.logger.exception("the question could not be answered")
            answer = failed(name, question)
        for data, to in ((question, "site"), (answer, "coordinator")):
            append(log, message_row(data, _round(question), name, to))
        reply = make_reply(ReturnCode.OK)
        reply[ANSWER] = answer
        return reply


def _round(question: bytes) -> int:
    from cohortium.contracts.federation_wire import MessageError, decode

    try:
        found: Any = decode(question)
        return int(found.round)
    except (MessageError, AttributeError):
        return 0
