"""Declarations of the study file about a federated fit (``cohortium federate``)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cohortium.schema.declare import Declaration
from cohortium.schema.federation_network import NetworkSpec


class SelectSpec(Declaration):
    """Of many columns those that are fitted, chosen anew in every fit of the evaluation."""

    features: int = Field(ge=1, description="columns that are kept; a level counts as one")
    by: Literal["association", "variance"] = Field(
        "association",
        description="association: score test of the endpoint, each column by itself; variance: in the column's own units",
    )
    modalities: list[str] | None = Field(
        None, description="tables of which columns are chosen, those of others are all kept; default: all of the fit"
    )


class FederationSpec(Declaration):
    """What leaves a site, and when there is an answer. ``run`` does not look at it."""

    modalities: list[str] | None = Field(
        None, description="tables whose features are used; default: the reference, else all modalities"
    )
    penalty: float = Field(0.0, ge=0, description="ridge on coefficients of standardised columns")
    least_patients: int = Field(10, ge=1, description="a site with fewer patients takes no part")
    least_events: int = Field(10, ge=1, description="so does one with fewer events, or patients in a class")
    least_cell: int = Field(10, ge=1, description="what fewer patients of a site share is unknown there")
    quorum: int = Field(2, ge=1, description="with fewer sites there is no answer")
    rounds: int = Field(50, ge=3, le=500, description="at most")
    evaluate: bool = Field(False, description="also how well the model predicts, by sites and folds held out")
    folds: int = Field(5, ge=2, le=20, description="that each site deals its patients into for the evaluation")
    patience: float = Field(600.0, gt=0, description="seconds that are waited for a site in a round")
    select: SelectSpec | None = Field(None, description="fit some of many columns only")
    method: Literal["linear", "network"] = Field(
        "linear", description="linear: exact, on sums; network: deep fusion, averaged over sites"
    )
    network: NetworkSpec = NetworkSpec()
    lacks: list[str] = Field(
        default_factory=list, description="modalities that other sites have and this one does not (method network)"
    )
