"""Heads: from features (or scores) to link-scale scores and from scores to a typed prediction.

A *score* is a linear predictor on the endpoint's link scale, (n, K): log odds (binary), one per class
(multiclass), latent location (ordinal), standardised value (continuous), log hazard ratio (survival), log
subdistribution hazard ratio or one log hazard ratio per cause (competing risks).
May know: contracts, schema, metrics, numpy, scipy, scikit-learn, LightGBM. May not know: modalities, folds of an
experiment, files.
"""

from cohortium.heads.families import Family, family_of

__all__ = ["Family", "family_of"]
