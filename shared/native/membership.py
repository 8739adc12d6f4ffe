"""Which accounts a user belongs to: the newest of joining and leaving decides, in any order."""

from collections import defaultdict
from collections.abc import Iterable

import msgspec
from msgspec import UNSET

from shared.native.event import JOINED, LEFT, Event

KNOWN_AT_MAX = 10
"""So many other accounts of a user who joins one are named."""


class Membership(msgspec.Struct, frozen=True):
    """What is known of a user and an account, and the event (time, id) that said so."""

    user_id: str
    account_id: str
    joined: bool
    time: str
    event_id: str


class Memberships:
    """The memberships of the users at hand; what changed in `changed`."""

    def __init__(self, known: Iterable[Membership] = ()) -> None:
        self._of: dict[str, dict[str, Membership]] = defaultdict(dict)
        self.changed: dict[tuple[str, str], Membership] = {}
        for one in known:
            self._of[one.user_id][one.account_id] = one

    def accounts(self, user_id: str) -> list[str]:
        """The accounts that the user belongs to now."""
        return [one.account_id for one in self._of.get(user_id, {}).values() if one.joined]

    def forget(self, user_id: str, until: str) -> None:
        """The user was erased: what was told up to a time is not known any more."""
        of_user = self._of.get(user_id, {})
        for account_id in [name for name, told in of_user.items() if told.time <= until]:
            del of_user[account_id]
            self.changed.pop((user_id, account_id), None)

    def elsewhere(self, event: Event) -> list[str]:
        """The other accounts that a joining user had to do with before, if this one is new."""
        of_user = self._of.get(str(event.user_id), {})
        earlier = [one.account_id for one in of_user.values() if one.time < event.time]
        return [] if event.account_id in earlier else sorted(earlier)[:KNOWN_AT_MAX]

    def follow(self, event: Event) -> None:
        """Take in a joining or leaving; other events, and those that name no user, say nothing."""
        user, account = event.user_id, event.account_id
        if event.type not in (JOINED, LEFT) or user is UNSET or account is UNSET:
            return
        told = Membership(user, account, event.type == JOINED, event.time, event.id)
        known = self._of[user].get(account)
        if known is None or (known.time, known.event_id) < (told.time, told.event_id):
            self._of[user][account] = self.changed[user, account] = told
