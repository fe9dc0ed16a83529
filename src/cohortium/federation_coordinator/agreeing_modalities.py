"""Columns of sites that need not have the same modalities: of each modality, what the sites that have it agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cohortium.contracts.federation import Column, SiteSchema
from cohortium.federation_coordinator.agreeing import agree


def agree_by_modality(
    schemas: Mapping[str, SiteSchema], modalities: tuple[str, ...], least: int, what: str = "encoder"
) -> tuple[tuple[Column, ...], dict[str, str], list[str]]:
    """As :func:`cohortium.federation_coordinator.agreeing.agree`, for each modality among the sites that have it."""
    columns: list[Column] = []
    left: dict[str, str] = {}
    notices: list[str] = []
    for m in modalities:
        having = {
            s: replace(a, features=tuple(f for f in a.features if f.modality == m))
            for s, a in schemas.items()
            if any(f.modality == m for f in a.features)
        }
        if not having:
            notices.append(f"No site has modality '{m}': not used.")
            continue
        found, gone, said = agree(having, least)
        columns += found
        left |= gone
        notices += said
        lacking = [f"'{s}'" for s in schemas if s not in having]
        if lacking:
            notices.append(f"Modality '{m}' is lacking at {', '.join(lacking)}: its {what} is that of the others.")
        if len(having) == 1:
            notices.append(f"Modality '{m}' is known to one site only: its {what} is that site's alone.")
    return tuple(columns), left, notices
