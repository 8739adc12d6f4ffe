"""What happens from second to second once the demo is live. Pure: seed and second say it all.

The customers go on as in their history, only that a working day's use comes in minutes. Beside
that, every quarter of a minute an act begins: a customer who wavers gets into trouble (and every
second one is won back), one who was away comes back, one buys more seats.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from services.standalone.demo.history import Event, answer, contract, native, there, ticket, use
from services.standalone.demo.product import SEED, TODAY, Account

USES_A_SECOND = (5, 10)
ACT_EVERY_SECONDS = 15
FIRST_ACT_SECONDS = 3
ACTS = ("trouble", "comeback", "trouble", "more seats")
CAST = {
    "trouble": ("wavering",),
    "comeback": ("silent", "fading"),
    "more seats": ("steady",),
}
"""Customers of which stories play in an act; those of the first come first."""
UNREST_SECONDS = 40
RETURN_SECONDS = 45
WON_BACK_SECONDS = (150, 180)
MORE_SEATS = 1.6


class Live:
    """The customers from the moment at which the demo went live."""

    def __init__(self, customers: Sequence[Account], began: datetime, seed: int = SEED) -> None:
        self.began = began
        self._seed = seed
        self._customers = customers
        self._weights = [len(there(account, TODAY)) for account in customers]
        chance = random.Random(f"{seed}/cast")
        self._cast: dict[str, list[Account]] = {}
        for act, stories in CAST.items():
            self._cast[act] = []
            for story in stories:
                cast = [account for account in customers if account.story == story]
                self._cast[act] += chance.sample(cast, len(cast))

    def second(self, number: int) -> list[Event]:
        """The events of one second (from 0) since going live, ascending in time."""
        chance = random.Random(f"{self._seed}/live/{number}")
        happens = [*self._as_usual(chance), *self._acts(chance, number)]
        moments = sorted(chance.randrange(1000) for _ in happens)
        start = self.began + timedelta(seconds=number)
        return [
            native(account, f"live-{number}-{place}", start + timedelta(milliseconds=ms), event)
            for place, (ms, (account, event)) in enumerate(zip(moments, happens, strict=True))
        ]

    def _as_usual(self, chance: random.Random) -> Iterator[tuple[Account, Event]]:
        count = chance.randint(*USES_A_SECOND)
        for account in chance.choices(self._customers, self._weights, k=count):
            yield account, use(chance, chance.choice(there(account, TODAY)))

    def _acts(self, chance: random.Random, number: int) -> Iterator[tuple[Account, Event]]:
        newest = (number - FIRST_ACT_SECONDS) // ACT_EVERY_SECONDS
        oldest = newest - WON_BACK_SECONDS[1] // ACT_EVERY_SECONDS
        for act in range(max(0, oldest), newest + 1):
            since = number - FIRST_ACT_SECONDS - act * ACT_EVERY_SECONDS
            round_number, part = divmod(act, len(ACTS))
            kind = ACTS[part]
            turn = round_number * ACTS.count(kind) + ACTS[:part].count(kind)
            account = self._cast[kind][turn % len(self._cast[kind])]
            for event in _act(chance, kind, account, since, turn):
                yield account, event


def _act(
    chance: random.Random, kind: str, account: Account, since: int, turn: int
) -> Iterator[Event]:
    """What an act brings in its second `since`; `turn` counts the acts of its kind."""
    if kind == "trouble":
        yield from _unrest(chance, account, since, turn)
        if turn % 2:
            yield from _won_back(chance, account, since)
    elif kind == "comeback" and since < RETURN_SECONDS:
        for person in chance.choices(account.people, k=2):
            yield use(chance, person)
    elif kind == "more seats" and since == 0:
        seats = round(account.seats * MORE_SEATS)
        yield {"type": "subscription.expanded", "properties": contract(account, seats)}


def _unrest(chance: random.Random, account: Account, since: int, turn: int) -> Iterator[Event]:
    if since == 0:
        yield answer(chance.randint(0, 2))
    if since < UNREST_SECONDS and since % 4 == 1:
        yield ticket(f"{account.id}-live-{turn}-{since}", urgent=True)


def _won_back(chance: random.Random, account: Account, since: int) -> Iterator[Event]:
    first, end = WON_BACK_SECONDS
    if since == first:
        yield answer(10)
    if first <= since < end:
        for person in chance.choices(account.people, k=2):
            yield use(chance, person)
