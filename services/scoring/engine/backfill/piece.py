"""A piece of what the kept log says."""

from typing import Any

import msgspec
import numpy as np

Arrays = dict[str, Any]
"""Columns of rows by name; `account` is the place in the piece's list of ids."""

PieceFact = tuple[int, str, int, str, Any]
"""The account's place, the name without the signal's own part, time in ms, event id, value."""

_DTYPES = {"things": "<u8", "low": "<u8", "high": "<u8", "faded": "<f8"}
_INTEGER = "<i8"


class Piece(msgspec.Struct, array_like=True):
    """What the log says of a signal and some accounts, before the running day `as_of_day` went on.

    `signal_no` is that of the partition which takes it in, `since_day` the day from which on the
    log tells all.
    """

    signal_no: int
    since_day: int
    as_of_day: int
    account_ids: list[str]
    columns: dict[str, bytes]
    facts: list[PieceFact]

    def arrays(self) -> Arrays:
        """The columns as arrays, all [row]."""
        return {
            name: np.frombuffer(column, _DTYPES.get(name, _INTEGER)).copy()
            for name, column in self.columns.items()
        }


def packed(arrays: Arrays) -> dict[str, bytes]:
    """Arrays as a piece holds them."""
    return {
        name: column.astype(_DTYPES.get(name, _INTEGER)).tobytes()
        for name, column in arrays.items()
    }
