"""By what an erased person is known again, without being named."""

import hmac

HASH_BYTES = 16


def person(user_id: str, secret_key: str) -> bytes:
    """By what an erased user is found again; says nothing to whoever has not the key."""
    return hmac.digest(secret_key.encode(), f"user {user_id}".encode(), "sha256")[:HASH_BYTES]
