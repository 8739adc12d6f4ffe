"""A simulated product: its customers, and what their people did in 90 days. Pure.

The same seed gives the same events to the last byte. The days are fixed, not the last ones before
today, so that whoever runs the demo sees the same customers at risk as everybody else. They end on
a Thursday: at a weekend every company would look a little silent.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from shared.times import iso_time

SEED = 20260528
LAST_DAY = date(2026, 5, 28)
DAYS = 90
FIRST_DAY = LAST_DAY - timedelta(days=DAYS - 1)
SOURCE = "demo"

NAMES = (
    "Aalto Logistics",
    "Banyan Health",
    "Cobalt Mining",
    "Delft Optics",
    "Emberly",
    "Fjord Foods",
    "Granite Bank",
    "Helio Solar",
    "Ibis Travel",
    "Juniper Legal",
    "Kestrel Air",
    "Lumen Schools",
    "Marlow Books",
    "Nimbus Hosting",
    "Osprey Retail",
    "Pinecrest Homes",
    "Quarry Tools",
    "Rosewood Hotels",
    "Saffron Kitchens",
    "Tidewater Shipping",
    "Umber Studio",
    "Vela Robotics",
    "Willow Clinics",
    "Xylo Instruments",
    "Yarrow Gardens",
    "Zephyr Wind",
    "Amber Dental",
    "Birch & Sons",
    "Cedar Bikes",
    "Dune Surf",
    "Elm Tutors",
    "Flint Coffee",
    "Grove Yoga",
    "Hazel Bakery",
    "Iris Florists",
    "Jade Ceramics",
    "Koi Design",
    "Larch Carpentry",
    "Moss Outdoor",
    "Nettle Tea",
)
OWNERS = ("ana@example.com", "ben@example.com", "chloe@example.com", "daichi@example.com")
FEATURES = ("board", "search", "report", "export", "share", "comment", "automation", "import")
SEATS = {"E": (60, 120), "M": (14, 36), "S": (3, 9)}
PRICE_PER_SEAT = {"E": 38, "M": 32, "S": 24}
STORIES = {
    "steady": 16,
    "growing": 8,
    "fading": 7,
    "silent": 4,
    "returning": 3,
    "never at home": 2,
}
"""What becomes of how many accounts."""

WORKDAY, WEEKEND = 0.5, 0.06
"""How likely a person who is there is to use the product on such a day."""


@dataclass(frozen=True)
class Account:
    """A customer, its story, and the days (from 0) between which it unfolds."""

    id: str
    name: str
    size: str
    seats: int
    owner: str
    renews_on: date
    story: str
    begins: int
    ends: int

    @property
    def mrr(self) -> str:
        """What it pays in a month."""
        return f"{self.seats * PRICE_PER_SEAT[self.size]}.00"

    def activity(self, day: int) -> float:
        """Which part of its people is there on a day (from 0); 1 is as usual."""
        part = min(max((day - self.begins) / (self.ends - self.begins), 0), 1)
        return {
            "steady": 1.0,
            "growing": 0.5 + 0.5 * part,
            "fading": 1 - 0.95 * part,
            "silent": 0.0 if part else 1.0,
            "returning": 0.0 if 0 < part < 1 else 1.0,
            "never at home": 0.2,
        }[self.story]


def accounts(seed: int = SEED) -> list[Account]:
    """The customers."""
    chance = random.Random(seed)
    stories = [story for story, count in STORIES.items() for _ in range(count)]
    chance.shuffle(stories)
    sizes = ["E"] * 7 + ["M"] * 14 + ["S"] * 19
    return [
        _account(chance, number, size, story)
        for number, (size, story) in enumerate(zip(sizes, stories, strict=True))
    ]


def _account(chance: random.Random, number: int, size: str, story: str) -> Account:
    returns = story == "returning"
    begins = chance.randrange(28, 32) if returns else chance.randrange(28, 50)
    return Account(
        id=f"demo-{number + 1:02}",
        name=NAMES[number],
        size=size,
        seats=chance.randint(*SEATS[size]),
        owner=OWNERS[number % len(OWNERS)],
        renews_on=LAST_DAY + timedelta(days=chance.randrange(14, 330)),
        story=story,
        begins=begins,
        ends=begins + (33 if returns else chance.randrange(16, 24)),
    )


def events(seed: int = SEED) -> list[dict[str, Any]]:
    """What happened, ascending in time, in the native form."""
    found = [
        (at, account.id, event)
        for number, account in enumerate(accounts(seed))
        for at, event in _life(random.Random(f"{seed}/{number}"), account)
    ]
    found.sort(key=lambda each: each[:2])
    return [
        {
            "id": f"demo-{number:06}",
            "account_id": account_id,
            "time": iso_time(int(at.timestamp() * 1000)),
            "source": SOURCE,
            **event,
        }
        for number, (at, account_id, event) in enumerate(found)
    ]


def ndjson(seed: int = SEED) -> bytes:
    """The events as lines."""
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events(seed))


Moment = tuple[datetime, dict[str, Any]]


def _life(chance: random.Random, account: Account) -> Iterator[Moment]:
    yield _at(0, 0), {"type": "account.updated", "properties": _profile(account)}
    known = chance.sample(FEATURES, chance.randint(5, 8))
    people = [
        (f"{account.id}-u{number}", chance.sample(known, chance.randint(2, 4)))
        for number in range(max(2, round(account.seats * chance.uniform(0.65, 0.95))))
    ]
    for day in range(DAYS):
        weekend = (FIRST_DAY + timedelta(days=day)).weekday() >= 5
        there = people[: round(len(people) * account.activity(day))]
        for user_id, features in there:
            if chance.random() < (WEEKEND if weekend else WORKDAY):
                yield from _use(chance, day, user_id, features)
        yield from _voice(chance, account, day)


def _use(chance: random.Random, day: int, user_id: str, features: list[str]) -> Iterator[Moment]:
    for _ in range(chance.choice((1, 1, 1, 2))):
        yield (
            _at(day, chance.triangular(7, 19, 11)),
            {
                "type": "feature.used",
                "user_id": user_id,
                "properties": {"feature": chance.choice(features)},
            },
        )


def _voice(chance: random.Random, account: Account, day: int) -> Iterator[Moment]:
    """What an account says: answers to surveys, and questions to support when it struggles."""
    unhappy = account.activity(day) < 0.6
    if chance.random() < 0.02:
        score = chance.randint(1, 6) if unhappy else chance.randint(7, 10)
        answer = {"survey": "nps", "score": score}
        yield _at(day, 15), {"type": "survey.answered", "properties": answer}
    if chance.random() < (0.12 if unhappy else 0.04) and account.activity(day):
        ticket = {"ticket_id": f"{account.id}-t{day}", "priority": "high" if unhappy else "normal"}
        yield _at(day, 16), {"type": "support.ticket_opened", "properties": ticket}


def _profile(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "size": account.size,
        "seats": account.seats,
        "mrr": account.mrr,
        "currency": "EUR",
        "csm": account.owner,
        "renews_on": account.renews_on.isoformat(),
    }


def _at(day: int, hour: float) -> datetime:
    midnight = datetime.combine(FIRST_DAY + timedelta(days=day), datetime.min.time(), UTC)
    return midnight + timedelta(milliseconds=int(hour * 3_600_000))
