"""Masks: each site adds one of its own and one for each other site; those between two sites cancel in the sum.

A site's own mask, and those that it has with others, come from seeds of 128 bits that it shares out among all sites (Shamir 1979,
CACM 22:612), each share in a box that only its receiver can open. To open a sum the sites tell their shares of the own seeds
of those who are in it, and of the seeds that these have with those who are not. A site tells never both of one site, so that
a single one's numbers stay hidden, whatever the coordinator claims; with shares of more than two thirds needed this
holds with up to a third of the sites on its side, as long as the smallest sum that they open has two honest ones.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cohortium.masking.fixed import Words, add, negative
from cohortium.masking.keys import SiteKeys, derive, need

SEED = 16
"""Bytes of a seed; one share of it has as many."""


class MaskError(ValueError):
    """Shares or boxes that are not what they should be."""


@dataclass(frozen=True)
class Sealed:
    """words: masked numbers as bytes. own: commitment to the own seed; pairs: to those with the others, in their order.
    own_boxes, pair_boxes: by receiver."""

    words: bytes
    own: str
    pairs: tuple[str, ...]
    own_boxes: dict[str, bytes]
    pair_boxes: dict[str, bytes]


def threshold(sites: int) -> int:
    """Sites whose shares open a sum: more than two thirds (Bonawitz 2017, theorem 6.5, against a coordinator that lies)."""
    return 2 * sites // 3 + 1


def seal(keys: SiteKeys, sites: Sequence[str], context: bytes, numbers: Words) -> Sealed:
    """Numbers (w, n) under fresh masks. sites: all that are invited, this one too, sorted. context: what is asked, of whom."""
    me, n, t = keys.name, len(sites), threshold(len(sites))
    others = [s for s in sites if s != me]
    own = secrets.token_bytes(SEED)
    seeds = {s: derive(keys.shared(s), b"mask", context, size=SEED) for s in others}
    hidden = add(numbers, stream(own, numbers.shape))
    for s, seed in seeds.items():
        hidden = add(hidden, signed(me, s, stream(seed, numbers.shape)))
    own_shares = _split(own, t, n)
    pair_shares = [_split(seeds[s], t, n) for s in others]
    return Sealed(
        hidden.astype("<u8").tobytes(),
        commitment(own),
        tuple(commitment(seeds[s]) for s in others),
        {s: close_box(keys, s, context, b"own", own_shares[k]) for k, s in enumerate(sites)},
        {s: close_box(keys, s, context, b"pairs", b"".join(p[k] for p in pair_shares)) for k, s in enumerate(sites)},
    )


def signed(me: str, other: str, mask: Words) -> Words:
    """Of a pair one adds and one subtracts."""
    return mask if me < other else negative(mask)


def stream(seed: bytes, shape: tuple[int, ...]) -> Words:
    """(w, n) uniform words: ChaCha20 under a key of the seed, which is used for nothing else."""
    ciphers = need("cryptography.hazmat.primitives.ciphers")
    key = derive(seed, b"stream")
    made = ciphers.Cipher(ciphers.algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    return np.frombuffer(made.update(bytes(8 * int(np.prod(shape)))), "<u8").astype(np.uint64).reshape(shape)


def commitment(seed: bytes) -> str:
    """By which a seed that was put together of shares is recognised; of 128 random bits it tells nothing."""
    return hashlib.sha256(b"cohortium seed" + seed).hexdigest()


def close_box(keys: SiteKeys, to: str, context: bytes, what: bytes, data: bytes) -> bytes:
    """ChaCha20-Poly1305 under a key of sender, receiver and context: nonce, then ciphertext."""
    aead, nonce = _aead(keys, to, keys.name, to, context, what), secrets.token_bytes(12)
    return nonce + bytes(aead.encrypt(nonce, data, context))


def open_box(keys: SiteKeys, sender: str, context: bytes, what: bytes, box: bytes) -> bytes:
    """What ``sender`` put in for this site, for this very question. Raises :class:`MaskError`."""
    invalid = need("cryptography.exceptions").InvalidTag
    try:
        aead = _aead(keys, sender, sender, keys.name, context, what)
        return bytes(aead.decrypt(box[:12], box[12:], context))
    except (invalid, ValueError, KeyError) as e:
        raise MaskError(f"a share of '{sender}' cannot be read") from e


def _aead(keys: SiteKeys, with_: str, sender: str, to: str, context: bytes, what: bytes):  # type: ignore[no-untyped-def]
    aead = need("cryptography.hazmat.primitives.ciphers.aead")
    return aead.ChaCha20Poly1305(derive(keys.shared(with_), b"box", sender.encode(), to.encode(), what, context))


def _split(seed: bytes, t: int, n: int) -> list[bytes]:
    return [share for _, share in need("Crypto.Protocol.SecretSharing").Shamir.split(t, n, seed)]


def recover(shares: Mapping[int, bytes], t: int, expected: str) -> bytes:
    """The seed of shares by place (from 1). A wrong share among them is found, if enough are right. Raises :class:`MaskError`."""
    shamir = need("Crypto.Protocol.SecretSharing").Shamir
    places = sorted(shares)
    # All of the first t, then with one of the others in the place of each: one wrong share, or two in many cases, are borne.
    tries = [places[:t], *([*places[:t][:i], x, *places[:t][i + 1 :]] for x in places[t:] for i in range(t))]
    for some in tries if len(places) >= t else []:
        try:
            seed = bytes(shamir.combine([(p, shares[p]) for p in some]))
        except (ValueError, TypeError):
            continue
        if commitment(seed) == expected:
            return seed
    raise MaskError("too few shares are right")


Told = Mapping[int, Mapping[tuple[str, str], bytes]]
"""Place of a site, from 1 -> what it told: ``(k, "")`` its share of k's own seed, ``(k, j)`` of that which k has with j."""


def masks_of(
    site: str, sites: Sequence[str], inside: Sequence[str], sealed: Sealed, told: Told, shape: tuple[int, ...]
) -> Words:
    """All masks of one site's numbers that do not cancel: its own, and those with sites that are not in the sum."""
    t = threshold(len(sites))
    others = [s for s in sites if s != site]

    def put(key: tuple[str, str], expected: str) -> Words:
        return stream(recover({p: said[key] for p, said in told.items() if key in said}, t, expected), shape)

    out = put((site, ""), sealed.own)
    for s, expected in zip(others, sealed.pairs, strict=True):
        if s not in inside:
            out = add(out, signed(site, s, put((site, s), expected)))
    return out


def unmask(sites: Sequence[str], sealed: Mapping[str, Sealed], told: Told, shape: tuple[int, int]) -> Words:
    """The sum (w, n) of all that were sealed. Raises :class:`MaskError` where shares are missing or wrong."""
    total = np.zeros(shape, np.uint64)
    for site, s in sealed.items():
        words = np.frombuffer(s.words, "<u8").astype(np.uint64).reshape(shape)
        total = add(total, words)
        total = add(total, negative(masks_of(site, sites, list(sealed), s, told, shape)))
    return total
