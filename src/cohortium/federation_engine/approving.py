"""The approval of a site's person: kept in the kit, for one plan and one list of what leaves, before anything does."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cohortium.contracts.federation_leaving import LeavingPreview
from cohortium.contracts.federation_wire import MessageError, decode
from cohortium.study.federating import NOT_APPROVED, Ask, failed

if TYPE_CHECKING:
    from cohortium.contracts.federation import FederationPlan
    from cohortium.federation_site import Site

FILE = "approval.json"


def read_approvals(kit: Path) -> list[dict[str, Any]]:
    """All approvals of a kit, oldest first; none where the file is missing or damaged: then it is asked again."""
    try:
        found = json.loads((kit / FILE).read_text(encoding="utf-8"))
        return [a for a in found if {"plan", "digest"} <= set(a)]
    except (OSError, ValueError, TypeError):
        return []


def approved(kit: Path, plan: str, digest: str | None = None) -> bool:
    """Whether a person approved this plan, and this list of what leaves (any, where none is given)."""
    return any(a["plan"] == plan and digest in (None, a["digest"]) for a in read_approvals(kit))


def write_approval(kit: Path, leaving: LeavingPreview, by: str) -> None:
    """Add an approval: who, when, which plan, and the whole list that was shown."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    one = {
        "by": by, "at": now, "site": leaving.site, "study": leaving.study, "endpoint": leaving.endpoint, "plan": leaving.plan,
        "digest": leaving.digest, "features": leaving.features, "levels": leaving.levels,
        "messages": [
            {"message": m.kind, "within": m.within, "largest": m.largest, "fields": {f: how for f, _, how in m.fields}}
            for m in leaving.messages
        ],
    }  # fmt: skip
    file = kit / FILE
    part = file.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(json.dumps([*read_approvals(kit), one], indent=1, ensure_ascii=False), encoding="utf-8")
    part.replace(file)


def permitted(kit: Path, site: Site, plan: FederationPlan) -> bool:
    """Whether a person approved what would leave with the data as they are now; a site that would say nothing needs no approval."""
    from cohortium.study.previewing import preview_of

    leaving = preview_of(site, plan)
    return bool(leaving.reason) or approved(kit, leaving.plan, leaving.digest)


def approved_only(kit: Path, name: str, ask: Ask) -> Ask:
    """A site that answers questions of approved plans alone: its study file may have changed since it was started."""

    def answer(data: bytes) -> bytes:
        try:
            plan = str(decode(data).plan)
        except (MessageError, AttributeError):
            plan = ""
        if not approved(kit, plan):
            return failed(name, data, NOT_APPROVED)
        return ask(data)

    return answer
