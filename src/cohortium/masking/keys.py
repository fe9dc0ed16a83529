"""A site's key, and the public keys of the others. Made with the kits, or for one simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cohortium._optional import require

PURPOSE = "Secure aggregation"


def need(module: str) -> Any:
    """A module of the extra, or the error that names it."""
    return require(module, extra="secure", purpose=PURPOSE)


@dataclass(frozen=True)
class SiteKeys:
    """private: X25519, 32 bytes. public: site -> its public key, this one's too."""

    name: str
    private: bytes = field(repr=False)
    public: Mapping[str, bytes]
    derived: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Secrets shared with other sites, once computed."""

    def plain(self) -> dict[str, Any]:
        """For a file that only its site may read."""
        public = {s: k.hex() for s, k in sorted(self.public.items())}
        return {"name": self.name, "private": self.private.hex(), "public": public}

    def shared(self, other: str) -> bytes:
        """What this site and another know, and nobody else: X25519, then HKDF. Raises :class:`KeyError` for a stranger."""
        if other not in self.derived:
            x25519 = need("cryptography.hazmat.primitives.asymmetric.x25519")
            theirs = x25519.X25519PublicKey.from_public_bytes(self.public[other])
            agreed = x25519.X25519PrivateKey.from_private_bytes(self.private).exchange(theirs)
            self.derived[other] = derive(agreed, b"pair", *sorted((self.name.encode(), other.encode())))
        return self.derived[other]


def derive(secret: bytes, *about: bytes, size: int = 32) -> bytes:
    """HKDF-SHA256. about: what the new key is for, each part with its length so that no two lists are the same bytes."""
    hashes = need("cryptography.hazmat.primitives.hashes")
    hkdf = need("cryptography.hazmat.primitives.kdf.hkdf")
    info = b"cohortium" + b"".join(len(a).to_bytes(4, "big") + a for a in about)
    return bytes(hkdf.HKDF(hashes.SHA256(), size, None, info).derive(secret))


def make_keys(sites: Sequence[str]) -> dict[str, SiteKeys]:
    """A new key for each site. Raises :class:`cohortium.errors.MissingExtra`."""
    x25519 = need("cryptography.hazmat.primitives.asymmetric.x25519")
    made = {s: x25519.X25519PrivateKey.generate() for s in sites}
    public = {s: k.public_key().public_bytes_raw() for s, k in made.items()}
    return {s: SiteKeys(s, k.private_bytes_raw(), public) for s, k in made.items()}


def keys_from(plain: Mapping[str, Any]) -> SiteKeys:
    """What :meth:`SiteKeys.plain` gave. Raises :class:`ValueError` or :class:`KeyError` for anything else."""
    public = {str(s): bytes.fromhex(k) for s, k in dict(plain["public"]).items()}
    found = SiteKeys(str(plain["name"]), bytes.fromhex(plain["private"]), public)
    if len(found.private) != 32 or any(len(k) != 32 for k in public.values()) or found.name not in public:
        raise ValueError("a key has another length")
    return found
