"""Write keys and tokens: what they look like, what they allow. Pure, but for `generate`'s dice.

The text is `myaku_ACCESS_ID_SECRET`: the prefix lets scanners find one that leaked, the id finds
its row, and the secret has 256 bits, so that a plain SHA-256 of the whole is safe to keep.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec

Access = Literal["write", "read", "act", "admin"]
"""`write` sends events and nothing else; of the others each includes those before it."""

TOKENS: tuple[Access, ...] = ("read", "act", "admin")
SECRET_BYTES = 32
ID_DIGITS = 12


class Key(msgspec.Struct, frozen=True):
    """A write key (of a source) or a token, as it is kept: its text is not."""

    id: str
    access: Access
    source: str | None
    name: str
    hash: bytes
    created_ms: int
    revoked_ms: int | None = None

    def is_of(self, text: str) -> bool:
        """Whether this is the text that was shown once; compared in constant time."""
        return hmac.compare_digest(self.hash, digest(text))


class Written(NamedTuple):
    """A key as it is shown, once."""

    access: Access
    id: str
    text: str

    def kept(self, name: str, source: str | None, created_ms: int) -> Key:
        """What is kept of it; a write key has a source, a token has none."""
        return Key(self.id, self.access, source, name, digest(self.text), created_ms)


def generate(access: Access) -> Written:
    """A new key that nobody can guess."""
    return _written(access, secrets.token_bytes(SECRET_BYTES))


def derive(secret_key: str, access: Access) -> Written:
    """The one key that whoever holds the deployment's secret key can always make again."""
    return _written(access, hmac.digest(secret_key.encode(), f"key {access}".encode(), "sha256"))


def _written(access: Access, secret: bytes) -> Written:
    key_id = sha256(secret).hexdigest()[:ID_DIGITS]
    shown = urlsafe_b64encode(secret).decode().rstrip("=")
    return Written(access, key_id, f"myaku_{access}_{key_id}_{shown}")


def digest(text: str) -> bytes:
    """What is kept of a key's text."""
    return sha256(text.encode(errors="replace")).digest()


def id_in(text: str) -> str:
    """The id in a key's text; what is no key of ours has an id that nobody has."""
    parts = text.split("_", 3)
    return parts[2] if len(parts) == 4 else ""


def allows(held: Access, needed: Access) -> bool:
    """Whether a key of one access may do what needs the other."""
    if "write" in (held, needed):
        return held == needed
    return TOKENS.index(held) >= TOKENS.index(needed)
