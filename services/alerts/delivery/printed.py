"""Texts from elsewhere as they may be shown, sent and kept: characters that can be seen. Pure."""

import re

UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, what turns the direction of writing, and halves of characters."""


def printed(text: str) -> str:
    """One line of characters that can be seen: nothing in it can become a header of its own.

    Nor what is written as an encoded word: it would be decoded, with the line breaks in it.
    """
    return " ".join(UNPRINTED.sub(" ", text).replace("=?", "= ?").split())


def printed_lines(text: str) -> str:
    """The same, line by line."""
    return "\n".join(UNPRINTED.sub(" ", line).rstrip() for line in text.split("\n"))
