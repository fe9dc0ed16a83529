"""The optimiser is torch's own to the bit, and does not import torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.training.adamw import AdamW  # noqa: E402

SHAPES = ((7, 5), (5,), (3, 2, 4), ())


def made(seed):
    g = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(s, generator=g, dtype=torch.float32)) for s in SHAPES]


def test_it_is_torch_s_to_the_bit_with_gradients_that_are_absent_and_rates_that_change():
    ours, theirs, g = made(1), made(1), torch.Generator().manual_seed(2)
    decays = [0.05 if p.ndim > 1 else 0.0 for p in ours]
    mine = AdamW(ours, decays)
    other = torch.optim.AdamW([{"params": [p], "weight_decay": d} for p, d in zip(theirs, decays, strict=True)])
    for step in range(25):
        rate = 3e-3 * min(1, (step + 1) / 10)
        for group in other.param_groups:
            group["lr"] = rate
        mine.clear()
        other.zero_grad()
        for k, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            if (step + k) % 4:
                p.grad = torch.randn(p.shape, generator=g) * 10.0 ** (k - 2)
                q.grad = p.grad.clone()
        mine.step(rate)
        other.step()
        if step == 12:
            kept, mine = mine.checkpoint(), AdamW(ours, decays)
            mine.resume(kept)
        assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True)), step


def test_training_does_not_import_the_compiler():
    code = """
import sys, torch
from cohortium.networks.batch import Inputs, Rows
from cohortium.networks.build import Design, build
from cohortium.networks.objectives import Bernoulli
from cohortium.training.loop import Settings, Trainer
x = torch.arange(40.0).reshape(20, 2) / 40
inputs = Inputs(20, (Rows(x, torch.arange(20)), Rows(x, torch.arange(20))))
t = Trainer(lambda: build(Design((2, 2), ("mlp", "mlp"), "attention", 1, width=4)), inputs, Bernoulli((x[:, 0] > .4).long().numpy()),
    torch.arange(20), 0, Settings(batch=10))
t.advance(2)
with t.averaged() as m:
    m(inputs.batch(torch.arange(20)))
print([m for m in ("torch._dynamo", "torch._inductor", "sympy") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
