"""Federated studies between real processes, on NVIDIA FLARE: kits, server, sites, and the lead who starts a study.

The engine carries bytes; what is in them is the business of :mod:`cohortium.federation_coordinator` and
:mod:`cohortium.federation_site`. May know: study and all below, nvflare (extra ``federated``). May not know: the command line.
Only ``coordinator`` and ``executor`` import nvflare at the top: the engine finds its classes there by name.
"""

from __future__ import annotations

from typing import Any

_PUBLIC = {
    "make_kits": "kits",
    "run_server": "processes",
    "run_site": "processes",
    "start_study": "starting",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from importlib import import_module

        return getattr(import_module(f"cohortium.federation_engine.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'cohortium.federation_engine' has no attribute {name!r}")
