"""Fixed-point sums and masks: exact to the derived bound, with and without sites that are gone, and closed to everyone else."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from cohortium.masking.fixed import MOST_TERMS, add, from_fixed, largest, negative, resolution, to_fixed

NAMES = ("a", "b", "c", "d", "e")


@pytest.mark.parametrize(("words", "bits"), [(2, 64), (2, 20), (4, 128), (1, 30)])
def test_sums_are_exact_to_the_derived_bound(words, bits):
    """Against rational arithmetic: n numbers are off by at most n 2^-(f+1), and the rounding of a float64."""
    rng = np.random.default_rng(0)
    size = min(9, int(np.log10(largest(words, bits))) - 1)
    x = rng.normal(size=(7, 300)) * 10.0 ** rng.integers(-15, size, (7, 300))
    total = to_fixed(x[0], words, bits)
    for row in x[1:]:
        total = add(total, to_fixed(row, words, bits))
    exact = [sum(map(Fraction, column)) for column in x.T]
    off = [
        abs(Fraction(g) - e) - abs(e) * Fraction(2) ** -52 for g, e in zip(from_fixed(total, bits), exact, strict=True)
    ]
    assert max(off) <= resolution(bits, 7)
    if bits < 64:  # and the bound is not a wide one
        assert max(off) > resolution(bits, 7) / 5


def test_signs_carries_and_the_top():
    x = np.array([0.0, -0.0, 1.0, -1.0, 2.0**-64, -(2.0**-64), 2.0**40, -(2.0**40), 1e-30])
    u = to_fixed(x, 2, 64)
    np.testing.assert_array_equal(from_fixed(u, 64), np.where(np.abs(x) < 2.0**-65, 0, x))
    np.testing.assert_array_equal(from_fixed(negative(u), 64), -from_fixed(u, 64))
    assert not add(u, negative(u)).any()
    most = np.nextafter(largest(2, 64), 0)
    total = to_fixed(np.array([most, -most]), 2, 64)
    for _ in range(MOST_TERMS - 1):
        total = add(total, to_fixed(np.array([most, -most]), 2, 64))
    np.testing.assert_allclose(from_fixed(total, 64), [MOST_TERMS * most, -MOST_TERMS * most], rtol=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, largest(2, 64), -1e300])
def test_what_cannot_be_sealed(bad):
    with pytest.raises(ValueError):
        to_fixed(np.array([1.0, bad]), 2, 64)


@pytest.fixture(scope="module")
def sealed():
    pytest.importorskip("cryptography", reason="needs pip install 'cohortium[secure]'")
    pytest.importorskip("Crypto", reason="needs pip install 'cohortium[secure]'")
    from cohortium.masking import make_keys, seal

    keys = make_keys(NAMES)
    x = np.random.default_rng(1).normal(size=(5, 40)) * 1e3
    made = {n: seal(keys[n], NAMES, b"question", to_fixed(x[i], 2, 64)) for i, n in enumerate(NAMES)}
    return keys, x, made


def told_by(keys, made, openers, inside):
    """What these sites tell for a sum of ``inside``."""
    from cohortium.masking import open_box

    out = {}
    for o in openers:
        said = out.setdefault(NAMES.index(o) + 1, {})
        for s in inside:
            said[s, ""] = open_box(keys[o], s, b"question", b"own", made[s].own_boxes[o])
            pairs = open_box(keys[o], s, b"question", b"pairs", made[s].pair_boxes[o])
            others = [n for n in NAMES if n != s]
            for t in set(NAMES) - set(inside):
                said[s, t] = pairs[16 * others.index(t) :][:16]
    return out


@pytest.mark.parametrize("absent", [(), ("b",), ("a", "e")])
def test_the_sum_is_that_of_those_who_sealed(sealed, absent):
    """Whoever opens it, if they are enough: 4 of 5."""
    from cohortium.masking import unmask

    keys, x, made = sealed
    inside = [n for n in NAMES if n not in absent]
    for openers in combinations(NAMES, 4):
        total = unmask(NAMES, {n: made[n] for n in inside}, told_by(keys, made, openers, inside), (2, 40))
        exact = x[[NAMES.index(n) for n in inside]].sum(0)
        np.testing.assert_allclose(from_fixed(total, 64), exact, rtol=1e-15, atol=1e-12)


def test_too_few_shares_open_nothing_and_a_wrong_one_is_borne(sealed):
    from cohortium.masking import MaskError, unmask

    keys, x, made = sealed
    told = told_by(keys, made, NAMES[:3], NAMES)
    with pytest.raises(MaskError, match="too few"):
        unmask(NAMES, made, told, (2, 40))
    told = told_by(keys, made, NAMES, NAMES)
    told[2] = {k: bytes(16) for k in told[2]}
    np.testing.assert_allclose(from_fixed(unmask(NAMES, made, told, (2, 40)), 64), x.sum(0), rtol=1e-15, atol=1e-12)
    told[3] = {k: bytes(16) for k in told[3]}
    with pytest.raises(MaskError):
        unmask(NAMES, made, told, (2, 40))


def test_one_site_stays_hidden_when_the_sum_is_open(sealed):
    """All that the coordinator has after an honest opening: the masked numbers, and the own seed of every site. The masks that a
    site has with each other one are still on."""
    from cohortium.masking.masks import recover, stream

    keys, x, made = sealed
    told = told_by(keys, made, NAMES, NAMES)
    own = recover({p: said["a", ""] for p, said in told.items()}, 4, made["a"].own)
    masked = np.frombuffer(made["a"].words, "<u8").astype(np.uint64).reshape(2, 40)
    left = add(masked, negative(stream(own, (2, 40))))
    # Uniform words: as many bits set as not (80 words of 64 bits), and nothing like the numbers.
    bits = np.unpackbits(left.view(np.uint8)).mean()
    assert abs(bits - 0.5) < 5 * 0.5 / np.sqrt(left.size * 64)
    assert (np.abs(from_fixed(left, 64) - x[0]) > 1e9).all()
    with pytest.raises(KeyError):
        told[1]["a", "b"]  # no share of a seed between two that are in the sum


def test_boxes_are_for_their_receiver_sender_and_question_alone(sealed):
    from cohortium.masking import MaskError, make_keys, open_box

    keys, _, made = sealed
    box = made["a"].own_boxes["b"]
    assert len(open_box(keys["b"], "a", b"question", b"own", box)) == 16
    stranger = make_keys(NAMES)["b"]
    for k, sender, question, what, data in (
        (keys["c"], "a", b"question", b"own", box), (keys["b"], "c", b"question", b"own", box),
        (keys["b"], "a", b"another", b"own", box), (keys["b"], "a", b"question", b"pairs", box),
        (keys["b"], "a", b"question", b"own", box[:-1]), (keys["b"], "a", b"question", b"own", b""),
        (keys["b"], "a", b"question", b"own", box[:-1] + bytes([box[-1] ^ 1])), (stranger, "a", b"question", b"own", box),
        (keys["b"], "nobody", b"question", b"own", box),
    ):  # fmt: skip
        with pytest.raises(MaskError):
            open_box(k, sender, question, what, data)


def test_the_same_numbers_never_look_the_same_and_others_have_the_same_size(sealed):
    from cohortium.masking import seal

    keys, x, made = sealed
    again = seal(keys["a"], NAMES, b"question", to_fixed(x[0], 2, 64))
    other = seal(keys["a"], NAMES, b"question", to_fixed(np.zeros(40), 2, 64))
    assert again.words != made["a"].words and again.own_boxes["b"] != made["a"].own_boxes["b"]
    assert len(again.words) == len(other.words) == len(made["a"].words)
    assert {len(b) for s in (again, other) for b in s.own_boxes.values()} == {12 + 16 + 16}


def test_keys_are_read_back_and_damaged_ones_are_not():
    pytest.importorskip("cryptography", reason="needs pip install 'cohortium[secure]'")
    from cohortium.masking import keys_from, make_keys

    made = make_keys(["a", "b"])
    plain = made["a"].plain()
    assert keys_from(plain).shared("b") == made["b"].shared("a")
    assert made["a"].private.hex() not in repr(made["a"])
    for bad in (
        {**plain, "private": "00"},
        {**plain, "name": "x"},
        {**plain, "private": "no"},
        {**plain, "public": {"a": "00"}},
    ):
        with pytest.raises(ValueError):
            keys_from(bad)
