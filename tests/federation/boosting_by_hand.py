"""Boosting on all rows in one place, written down as plainly as can be: loops over rows, nothing shared with the package but the
edges of bins. ``site`` says whose a row is, for the rule of small counts; with least = 1 it does not matter."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, softmax


def group_means(x, least):
    """Each value of one column of one site as the mean of its group of neighbouring values."""
    known = sorted({v for v in x if v == v})
    groups, now = [], []
    for v in known:
        now.append(v)
        if sum(1 for u in x if u in now) >= least:
            groups.append(now)
            now = []
    if now:
        groups[-1] = groups[-1] + now
    mean = {v: np.mean([u for u in x if u in g]) for g in groups for v in g}
    lacking = sum(1 for v in x if v != v)
    middle = np.nan
    if 0 < lacking < least:
        half, seen = (len(x) - lacking) / 2, 0
        for v in known:
            seen += sum(1 for u in x if u == v)
            if seen >= half:
                middle = mean[v]
                break
    return np.array([mean[v] if v == v else middle for v in x])


def bin_rows(x, edges, site, least):
    """(n, q) bins; -1 where unknown."""
    out = np.zeros(x.shape, int)
    for j in range(x.shape[1]):
        for s in set(site):
            rows = site == s
            values = x[rows, j] if least <= 1 else group_means(x[rows, j], least)
            out[rows, j] = [sum(e < v for e in edges[j]) if v == v else -1 for v in values]
    return out


def efron(f, time, event, entry, site):
    """Gradient and second derivative of Cox's likelihood by each row, a stratum for each site, event by event."""
    n, r = len(f), np.exp(f)
    g, h = -event.astype(float), np.zeros(n)
    for s in set(site):
        for t in {t for t, e, w in zip(time, event, site, strict=True) if e and w == s}:
            at_risk = [i for i in range(n) if site[i] == s and entry[i] < t <= time[i]]
            dead = [i for i in at_risk if event[i] and time[i] == t]
            for step in range(len(dead)):
                share = {i: r[i] * (1 - step / len(dead) if i in dead else 1.0) for i in at_risk}
                whole = sum(share.values())
                for i in at_risk:
                    p = share[i] / whole
                    g[i] += p
                    h[i] += p * (1 - p)
    return g[:, None], h[:, None]


def derivatives(kind, f, y, outcome, time, entry, site):
    if kind == "survival":
        return efron(f[:, 0], time, y, entry, site)
    if kind == "continuous":
        return f - ((y - outcome[0]) / outcome[1])[:, None], np.ones_like(f)
    if kind == "binary":
        p = expit(f)
        return p - y[:, None], p * (1 - p)
    p, k = softmax(f, axis=1), f.shape[1]
    return p - np.eye(k)[y.astype(int)], p * (1 - p) * k / (k - 1)


def groups_of_bins(left, right, before, least):
    """Lists of bins that are put together, from those of the parent: both children hold none, or enough, of each."""

    def fine(bins):
        return all(sum(c[b] for b in bins) == 0 or sum(c[b] for b in bins) >= least for c in (left, right))

    out, now = [], []
    for g in before:
        now = now + g
        if fine(now):
            out.append(now)
            now = []
    while now and not fine(now):
        now = out.pop() + now
    return [*out, now] if now else out


def table(values, bins, width):
    """Sums of values by bin, unknown last."""
    out = np.zeros(width)
    for v, b in zip(values, bins, strict=True):
        out[b] += v
    return out


class Tree:
    """One tree: node (level, place) -> rows of it, split level by level."""

    def __init__(self, bins, g, h, site, plan, least, widths):
        self.bins, self.g, self.h, self.site, self.plan, self.least, self.widths = bins, g, h, site, plan, least, widths
        n = len(bins)
        self.value = np.zeros(n)
        self.splits = []
        sites = {s: [[[b] for b in range(w)] for w in widths] for s in sorted(set(site))}
        self.grow(np.ones(n, bool), 0, sites)

    def sums(self, rows, s, j, groups):
        """(3, width) of a site's rows in a node, dealt out within groups of bins by the site's rows at the root."""
        width = self.widths[j]
        mine = rows & (self.site == s)
        parts = [table(v[mine], self.bins[mine, j], width) for v in (self.g, self.h, np.ones(len(self.g)))]
        root = table(np.ones((self.site == s).sum()), self.bins[self.site == s, j], width)
        out = np.zeros((3, width))
        for bins in groups:
            held = sum(root[b] for b in bins)
            for b in bins:
                for m in range(3):
                    out[m, b] = sum(parts[m][c] for c in bins) * root[b] / held if held else 0.0
        return out

    def grow(self, rows, level, sites):
        if level == self.plan.depth or not rows.any() or not sites:
            return
        best, lam = None, self.plan.ridge
        for j in range(self.bins.shape[1]):
            whole = sum(self.sums(rows, s, j, sites[s][j]) for s in sites)
            total = whole.sum(1)
            lacking = whole[:, -1]
            for b in range(self.widths[j] - 1):
                for unknown_left in (True, False):
                    if unknown_left and lacking[2] < 1e-9:
                        continue
                    left = whole[:, : b + 1].sum(1) + (lacking if unknown_left else 0)
                    right = total - left
                    if min(left[2], right[2]) < self.plan.least_leaf - 1e-6:
                        continue
                    if min(left[1], right[1]) < self.plan.least_curvature - 1e-6:
                        continue
                    gain = sum(z[0] ** 2 / (z[1] + lam) for z in (left, right)) - total[0] ** 2 / (total[1] + lam)
                    if gain > 1e-7 and (best is None or gain > best[0] + 1e-8):
                        side = left[2] >= right[2] if lacking[2] < 1e-9 else unknown_left
                        best = gain, j, b, side, left, right
        if best is None:
            return
        _, j, b, unknown_left, left, right = best
        self.splits.append((level, j, b))
        goes = np.array([unknown_left if c == -1 else c <= b for c in self.bins[:, j]])
        children = [rows & goes, rows & ~goes]
        for child, z in zip(children, (left, right), strict=True):
            self.value[child] = -self.plan.learning_rate * z[0] / (z[1] + lam)
        under = {}
        for s in sites:
            counts = [(c & (self.site == s)).sum() for c in children]
            if any(0 < c < self.least for c in counts):
                continue
            under[s] = [
                groups_of_bins(*(table(np.ones((c & (self.site == s)).sum()), self.bins[c & (self.site == s), k], w)
                                 for c in children), sites[s][k], self.least)
                for k, w in enumerate(self.widths)
            ]  # fmt: skip
        for child in children:
            self.grow(child, level + 1, under)


def boost(kind, x, y, site, edges, plan, least, base, outcome=(0.0, 1.0), time=None, entry=None):
    """(n, K) scores of the rows, and the splits (level, column, bin) of each tree."""
    bins = bin_rows(x, edges, site, least)
    widths = [len(e) + 2 for e in edges]
    f = np.tile(np.asarray(base, float), (len(x), 1))
    trees = []
    for _ in range(plan.rounds):
        g, h = derivatives(kind, f, y, outcome, time, entry, site)
        made = [Tree(bins, g[:, k], h[:, k], site, plan, least, widths) for k in range(f.shape[1])]
        trees += [t.splits for t in made]
        f = f + np.stack([t.value for t in made], axis=1)
    return f, trees
