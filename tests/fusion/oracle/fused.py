"""Similarity network fusion by snfpy on a small cohort with complete blocks: writes snf_data.csv, snf_affinity.csv, snf_fused.csv.

usage: python fused.py   (in an environment of its own: pip install snfpy 'scikit-learn<1.6'; versions go to snf_versions.txt)
Three blocks of 60 units in four groups: 8, 5 and 30 features. Written are the first 12 rows of the first block's affinities
and of the fused network, with K = 10 neighbours, mu = 0.5 and 20 rounds.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from snf.compute import affinity_matrix, snf

HERE = Path(__file__).parent
SIZES, K, SHOWN = (8, 5, 30), 10, 12

rng = np.random.default_rng(8)
group = np.arange(60) % 4
blocks = [(rng.normal(size=(4, p))[group] + rng.normal(size=(60, p))).round(4) for p in SIZES]
names = [f"b{m}_{j}" for m, p in enumerate(SIZES) for j in range(p)]
pd.DataFrame(np.hstack(blocks), columns=names).to_csv(HERE / "snf_data.csv", index=False)
affinities = [affinity_matrix(cdist(x, x), K=K, mu=0.5) for x in blocks]
pd.DataFrame(affinities[0][:SHOWN]).to_csv(HERE / "snf_affinity.csv", index=False, float_format="%.12g")
fused = snf(affinities, K=K, t=20)
pd.DataFrame(fused[:SHOWN]).to_csv(HERE / "snf_fused.csv", index=False, float_format="%.12g")
(HERE / "snf_versions.txt").write_text(
    f"snfpy {version('snfpy')}, numpy {version('numpy')}, scipy {version('scipy')}\n"
)
