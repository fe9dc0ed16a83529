"""Optional packages, asked for where they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cohortium.errors import MissingExtra


def require(module: str, *, extra: str, purpose: str) -> Any:
    """Import ``module`` or say which extra brings it.

    Raises :class:`MissingExtra` naming ``pip install 'cohortium[extra]'``.
    """
    try:
        return import_module(module)
    except ImportError as e:
        raise MissingExtra(
            f"{purpose} needs the package '{module.split('.')[0]}', which is not installed. "
            f"Install it with: pip install 'cohortium[{extra}]'"
        ) from e
