"""Lines of event files as the records that scoring would read of them, by ingest's own rules."""

from collections import Counter
from typing import NamedTuple

from msgspec import UNSET

from shared.events import encode
from shared.history.lines import Line
from shared.native import Event, Memberships, Refused, examine
from shared.times import time_ms


class Accepted(NamedTuple):
    """An accepted event."""

    account_id: str
    type: str
    time_ms: int
    value: bytes
    """As it stands in `usage.accepted`."""


class Acceptance:
    """Accepts one history; counts what it refuses in `refused`, by reason.

    An event without an account follows the memberships known before it. None waits for one that
    comes later, as it does for some days in a deployment.
    """

    def __init__(self, received_ms: int) -> None:
        self.received_ms = received_ms
        self.refused: Counter[str] = Counter()
        self._memberships = Memberships()

    def accept(self, line: Line) -> Accepted | None:
        """The event of a line; None where it is refused."""
        try:
            event = examine(line.value, self.received_ms)
            account_id = self._account(event)
        except Refused as refused:
            self.refused[refused.reason] += 1
            return None
        event.account_id = account_id
        self._memberships.follow(event)
        return Accepted(account_id, event.type, time_ms(event.time), encode(event))

    def _account(self, event: Event) -> str:
        if event.account_id is not UNSET:
            return event.account_id
        assert event.user_id is not UNSET
        accounts = self._memberships.accounts(event.user_id)
        if len(accounts) == 1:
            return accounts[0]
        if accounts:
            raise Refused("ambiguous_account", "The user belongs to several accounts.")
        raise Refused("unknown_account", "The user's account is not known.")
