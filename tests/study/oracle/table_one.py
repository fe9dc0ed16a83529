"""Data of table one, and standardised differences of another library, to three digits as it prints them.

python table_one.py, in this folder, with tableone (0.9.6; not needed to run the tests): writes table_one_data.csv and
table_one_smd.csv. Then Rscript table_one.R.
"""

import numpy as np
import pandas as pd

rng = np.random.default_rng(2026)
n = 320
site = rng.choice(["north", "south", "west"], n, p=[0.5, 0.3, 0.2])
age = np.round(rng.normal(60, 9, n) + 3 * (site == "south"), 1)
stage = rng.choice(["I", "II", "III", "IV"], n, p=[0.35, 0.3, 0.2, 0.15])
sex = rng.choice(["f", "m"], n)
died, lost = rng.exponential(300, n), rng.exponential(400, n)
data = pd.DataFrame(
    {
        "id": [f"{i:04d}" for i in range(n)],
        "site": site,
        "age": np.where(rng.random(n) < 0.06, np.nan, age),
        "stage": stage,
        "sex": sex,
        "days": np.round(np.minimum(died, lost), 1) + 1,
        "event": (died <= lost).astype(int),
        "part": np.where(rng.random(n) < 0.3, "test", "train"),
    }
)
data.to_csv("table_one_data.csv", index=False)

if __name__ == "__main__":
    from tableone import TableOne

    rows = []
    for column, group in (("site", "north"), ("site", "south"), ("site", "west"), ("part", "test")):
        own = data.assign(group=np.where(data[column] == group, "in", "out"))
        t = TableOne(own, columns=["age", "stage", "sex"], categorical=["stage", "sex"], groupby="group", smd=True)
        smd = t.tableone.xs("SMD (in,out)", axis=1, level=1).iloc[:, 0]
        for name in ("age", "stage", "sex"):
            value = next(x for k, x in smd.items() if str(k[0]).startswith(name) and str(x).strip())
            rows.append({"name": f"{column}_{group}_{name}", "value": abs(float(value))})
    pd.DataFrame(rows).to_csv("table_one_smd.csv", index=False)
