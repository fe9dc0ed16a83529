"""Epsilons of dp-accounting and Opacus, as a second opinion. Versions: dp-accounting 0.6.0, opacus 1.6.0.

usage: python tests/privacy/oracle/make.py > tests/privacy/oracle/values.csv

releases: ``kind:noise:times:rate`` with + between. dp: by privacy loss distributions, pessimistic. rdp: dp-accounting's Renyi bound. opacus: its PRV
accountant (of one kind of sampled Gaussian steps only), empty where it has none.
"""

from __future__ import annotations

import warnings

import dp_accounting as dp
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

CASES = [
    "gaussian:1:1:1", "gaussian:4:1:1", "gaussian:0.5:1:1", "gaussian:20:100:1", "gaussian:3:1:1+gaussian:7:20:1",
    "gaussian:2:1:1+gaussian:5:3:1+gaussian:40:250:1", "sampled_gaussian:1:100:0.02", "sampled_gaussian:2:500:0.1",
    "laplace:4:1:1", "laplace:10:30:1", "gaussian:5:2:1+laplace:6:3:1+sampled_gaussian:1.5:200:0.05",
]  # fmt: skip
DELTAS = (1e-3, 1e-5, 1e-7)


def event(kind: str, noise: float, rate: float) -> dp.DpEvent:
    """One release."""
    if kind == "laplace":
        return dp.LaplaceDpEvent(noise)
    one = dp.GaussianDpEvent(noise)
    return dp.PoissonSampledDpEvent(rate, one) if kind == "sampled_gaussian" else one


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    from opacus.accountants import PRVAccountant

    print("releases,delta,dp,rdp,opacus")
    for case in CASES:
        parts = [(k, float(n), int(t), float(r)) for k, n, t, r in (c.split(":") for c in case.split("+"))]
        pld, rdp = PLDAccountant(), RdpAccountant()
        for kind, noise, times, rate in parts:
            pld.compose(event(kind, noise, rate), times)
            rdp.compose(event(kind, noise, rate), times)
        for delta in DELTAS:
            third = ""
            if len(parts) == 1 and parts[0][0] == "sampled_gaussian":
                prv = PRVAccountant()
                prv.history = [(parts[0][1], parts[0][3], parts[0][2])]
                third = repr(float(prv.get_epsilon(delta)))
            print(f"{case},{delta},{pld.get_epsilon(delta)!r},{float(rdp.get_epsilon(delta))!r},{third}")


if __name__ == "__main__":
    main()
