"""Sums of numbers that nobody sees one by one: fixed-point numbers, masks that cancel, shares of what undoes them.

Nothing cryptographic is written here: X25519, HKDF, ChaCha20 and ChaCha20-Poly1305 are those of ``cryptography``, Shamir's
shares those of ``pycryptodome`` (extra ``secure``). How they are put together is Bonawitz et al. 2017 (CCS, 1175). May know:
numpy, these two packages. May not know: studies, sites, messages.
"""

from cohortium.masking.fixed import add, from_fixed, negative, resolution, to_fixed
from cohortium.masking.keys import SiteKeys, keys_from, make_keys
from cohortium.masking.masks import MaskError, Sealed, masks_of, open_box, seal, threshold, unmask

__all__ = [
    "MaskError", "Sealed", "SiteKeys", "add", "from_fixed", "keys_from", "make_keys", "masks_of", "negative", "open_box",
    "resolution", "seal", "threshold", "to_fixed", "unmask",
]  # fmt: skip
