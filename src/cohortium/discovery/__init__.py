"""Biomarkers: which features an outcome depends on, with control of false discoveries.

May know: encoded features, outcomes, heads, metrics. May not know: files of a study, learners, the command line. Nothing
here predicts: a feature that is found is a finding about patients, not a model.
"""

from cohortium.discovery.features import Features, encoded_features
from cohortium.discovery.finding import Discovery, discover
from cohortium.discovery.null import NullModel, fit_null
from cohortium.discovery.univariate import univariate

__all__ = ["Discovery", "Features", "NullModel", "discover", "encoded_features", "fit_null", "univariate"]
