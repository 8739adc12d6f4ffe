"""Who may do what: write keys and tokens, how they are kept, and what a route demands."""

from shared.access.guard import Caller, Keyring, Needs
from shared.access.keys import Access, Key, allows, derive, generate

__all__ = ["Access", "Caller", "Key", "Keyring", "Needs", "allows", "derive", "generate"]
