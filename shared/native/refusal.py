"""Why an event is refused: a reason from the contract, and a sentence for whoever sent it."""

from typing import Literal

Reason = Literal[
    "corrupt_batch",
    "undecodable",
    "missing_id",
    "bad_id",
    "missing_type",
    "bad_type",
    "unknown_account",
    "ambiguous_account",
    "bad_user",
    "missing_time",
    "bad_time",
    "future_time",
    "bad_properties",
    "too_large",
]


class Refused(Exception):
    """The event is not accepted; `detail` is for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
