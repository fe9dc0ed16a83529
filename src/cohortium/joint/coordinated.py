"""Coordinated embeddings of the modalities of a cohort: each in one space, those of the same unit pulled together.

The network is :mod:`cohortium.networks.coordinated`; torch is imported where it runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cohortium.cohort import Cohort
from cohortium.joint.model import Array
from cohortium.joint.network import JointNetwork, NetworkSettings, infer
from cohortium.joint.readout import Readout


@dataclass(frozen=True)
class CoordinatedSettings(NetworkSettings):
    """alignment: infonce, sigmoid or correlation."""

    alignment: str = "infonce"


@dataclass(frozen=True, eq=False)
class JointCoordinated(JointNetwork):
    """Trained embeddings. design: of :mod:`cohortium.networks.coordinated`. readout: None where it was not asked for."""

    readout: Readout | None = None

    def build(self) -> Any:
        from cohortium.networks.coordinated import Coordinated, CoordinatedDesign

        return Coordinated(CoordinatedDesign.restore(self.design))

    def predict(self, cohort: Cohort, target: str) -> tuple[Array, Array]:
        """(n, q) expected features of ``target`` given the others, and their standard deviations."""
        assert self.readout is not None, "fitted without a readout"
        inputs, _ = self.views.inputs(cohort, without=target)
        mean, _ = infer(self.model(), inputs, len(cohort))
        return self.readout.predict(self.names.index(target), mean[:, list(self.kept)])

    @property
    def loadings(self) -> tuple[Array, ...]:
        """Per modality (q, K): change of its encoded features with each coordinate."""
        assert self.readout is not None, "fitted without a readout"
        return self.readout.weights
