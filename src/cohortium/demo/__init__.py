"""The demonstration: the TRANSBIG breast-cancer cohort as the files a group would have, and its study file.

May know: errors. May not know how a study is done: it writes files, as a user would.

Source: Desmedt et al. 2007, Clin Cancer Res 13:3207 (GEO GSE7390), 198 node-negative patients without systemic
treatment; the 76 genes are the signature of Wang et al. 2005, Lancet 365:671, developed on other patients, so that
choosing them leaks nothing. The data come inside the package scikit-survival (extra ``demo``), which is not imported.
"""

from cohortium.demo.transbig import write

__all__ = ["write"]
