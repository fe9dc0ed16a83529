"""Factors of mofapy2 on a small cohort with missing blocks and cells: writes mofa_data.csv, mofa_factors.csv, mofa_r2.csv.

usage: python mofa.py   (in an environment of its own: pip install mofapy2; versions go to mofa_versions.txt)
Three views of 150 units: 30, 20 and 15 features; five factors, in views 1+2+3, 1+2, 2+3, 1 and 3; a quarter lacks view 2, a
quarter view 3, and 5% of the cells are unknown.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from mofapy2.run.entry_point import entry_point

HERE = Path(__file__).parent
SIZES, ACTIVE = (30, 20, 15), [[1, 1, 0, 1, 0], [1, 1, 1, 0, 0], [1, 0, 1, 0, 1]]


def simulate() -> list[np.ndarray]:
    rng, n = np.random.default_rng(20), 150
    z, views = rng.normal(size=(n, 5)), []
    for m, (p, active) in enumerate(zip(SIZES, ACTIVE, strict=True)):
        x = z @ (rng.normal(size=(p, 5)) * active * 0.8).T + rng.normal(size=(n, p)) * rng.uniform(0.5, 1.5, p)
        x = (x - x.mean(0)) / x.std(0)
        x[rng.random(x.shape) < 0.05] = np.nan
        if m:
            x[rng.random(n) < 0.25] = np.nan
        views.append(x.round(4))
    return views


views = simulate()
names = [f"v{m}_{j}" for m, p in enumerate(SIZES) for j in range(p)]
pd.DataFrame(np.hstack(views), columns=names).to_csv(HERE / "mofa_data.csv", index=False)
m = entry_point()
m.set_data_options(scale_views=False)
m.set_data_matrix([[x] for x in views], likelihoods=["gaussian"] * 3)
m.set_model_options(factors=12, spikeslab_weights=False, ard_weights=True, ard_factors=False)
m.set_train_options(iter=2000, convergence_mode="slow", dropR2=0.005, seed=1, quiet=True)
m.build()
m.run()
z = np.asarray(m.model.nodes["Z"].getExpectations()["E"])
r2 = m.model.calculate_variance_explained()[0]
total = m.model.calculate_variance_explained(total=True)[0]
pd.DataFrame(z).to_csv(HERE / "mofa_factors.csv", index=False, float_format="%.5f")
frame = pd.DataFrame(np.asarray(r2)).assign(total=np.ravel(total))
frame.to_csv(HERE / "mofa_r2.csv", index=False, float_format="%.5f")
(HERE / "mofa_versions.txt").write_text(f"mofapy2 {version('mofapy2')}, numpy {version('numpy')}\n")
