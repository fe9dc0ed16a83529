"""Values of venn_abers.csv: python -m venv v; v/bin/pip install venn-abers==1.5.4; v/bin/python venn_abers_values.py"""

from pathlib import Path

import numpy as np
from venn_abers import VennAbers

rng = np.random.default_rng(11)
score = np.round(rng.random(120), 2)  # ties
label = (rng.random(120) < score**1.5).astype(int)
new = np.round(np.linspace(0, 1, 41), 3)
va = VennAbers()
va.fit(np.column_stack([1 - score, score]), label)
p, _ = va.predict_proba(np.column_stack([1 - new, new]))
rows = [("calibration", s, y) for s, y in zip(score, label, strict=True)] + [
    ("new", s, q) for s, q in zip(new, p[:, 1], strict=True)
]
text = "part,score,value\n" + "".join(f"{a},{float(b)!r},{float(c)!r}\n" for a, b, c in rows)
Path("venn_abers.csv").write_text(text)
