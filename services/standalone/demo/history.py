"""What the simulated customers did on each day. Pure; every day follows from seed and day alone."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from services.standalone.demo.product import (
    DAYS,
    PRICE_PER_SEAT,
    SEED,
    Account,
    Person,
    first_date,
)
from shared.times import iso_time

Event = dict[str, Any]
Moment = tuple[float, Event]
"""The hour of the day (UTC), and what happens then."""

WORKDAY, DAY_OFF = 0.5, 0.06
"""How likely a person who is there is to use the product on such a day."""
HOURS = {"DE": (6, 18, 10), "US": (13, 24, 17), "JP": (0, 9, 3)}
"""When people work (UTC): from, to, and when most of them do."""
HOLIDAYS = {
    "DE": {(1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31)},
    "US": {(1, 1), (7, 4), (11, 11), (11, 26), (11, 27), (12, 24), (12, 25)},
    "JP": {(1, 1), (1, 2), (1, 3), (5, 3), (5, 4), (5, 5), (8, 13), (8, 14), (11, 3), (11, 23)},
}
"""Month and day; the movable ones are left out."""
WAIT_DAYS = {"storm": 7, "unhappy": 40, "content": 3}
"""How long a question waits for its answer: one of those who struggle is a hard one."""
MILESTONES = {4: "kickoff", 16: "setup", 45: "first_value"}
"""On which day from the start newcomers reach what somebody has to say that they did."""
BACKEND, WEB = "backend", "web"
"""Where events come from: enterprises have servers of their own, the others a browser."""


def events(
    customers: Sequence[Account], until: datetime, seed: int = SEED
) -> Iterator[dict[str, Any]]:
    """All that happened in the 90 days up to a moment, ascending in time, in the native form."""
    today = until.astimezone(UTC).date()
    for day in range(DAYS):
        for at, event in on_day(customers, day, today, seed):
            if at < until:
                yield event


def on_day(
    customers: Sequence[Account], day: int, today: date, seed: int = SEED
) -> list[tuple[datetime, Event]]:
    """What happens on a day (from 0), ascending in time."""
    on = first_date(today) + timedelta(days=day)
    midnight = datetime.combine(on, datetime.min.time(), UTC)
    found = []
    for account in customers:
        chance = random.Random(f"{seed}/{account.id}/{day}")
        for number, (hour, event) in enumerate(_life(chance, account, day, on, seed)):
            at = midnight + timedelta(milliseconds=int(hour * 3_600_000))
            found.append((at, native(account, f"{account.id}-{day}-{number}", at, event)))
    found.sort(key=lambda each: (each[0], each[1]["id"]))
    return found


def native(account: Account, event_id: str, at: datetime, event: Event) -> Event:
    """An event as it is sent."""
    return {
        "id": event_id,
        "account_id": account.id,
        "time": iso_time(int(at.timestamp() * 1000)),
        "source": BACKEND if account.size == "E" else WEB,
        **event,
    }


def ndjson(lines: Iterator[Event]) -> Iterator[bytes]:
    """Events as lines."""
    return (msgspec.json.encode(event) + b"\n" for event in lines)


def is_day_off(account: Account, on: date) -> bool:
    """Whether it is a weekend or a holiday where the account is."""
    return on.weekday() >= 5 or (on.month, on.day) in HOLIDAYS[account.country]


def _life(
    chance: random.Random, account: Account, day: int, on: date, seed: int
) -> Iterator[Moment]:
    if day < account.first_day or (account.story == "churned" and day > account.ends):
        return
    if day == account.first_day:
        yield 0.0, {"type": "account.updated", "properties": _profile(account, on, day)}
    likely = DAY_OFF if is_day_off(account, on) else WORKDAY
    for person in there(account, day):
        if chance.random() < likely:
            yield from _use(chance, account, person)
    yield from _voice(chance, account, day)
    yield from _support(account, day, seed)
    yield from _turns(account, day)


def there(account: Account, day: int) -> Sequence[Person]:
    """Who still uses the product on a day."""
    has_left = account.story == "champion left" and day >= account.begins
    count = round(len(account.people) * account.activity(day))
    return account.people[1 if has_left else 0 : count]


def _use(chance: random.Random, account: Account, person: Person) -> Iterator[Moment]:
    first, last, most = HOURS[account.country]
    uses = chance.choice((1, 1, 2, 3)) * (3 if person is account.champion else 1)
    for _ in range(uses):
        yield chance.triangular(first, last, most), use(chance, person)


def use(chance: random.Random, person: Person) -> Event:
    """One use of one feature."""
    feature = chance.choice(person.features)
    return {"type": "feature.used", "user_id": person.id, "properties": {"feature": feature}}


def _voice(chance: random.Random, account: Account, day: int) -> Iterator[Moment]:
    """What an account says: answers to surveys, worse ones when it struggles."""
    mood = _mood(account, day)
    likely = 0.06 if account.story == "wavering" else 0.25 if mood == "storm" else 0.02
    if account.activity(day) and chance.random() < likely:
        yield 15.0, answer(chance.randint(8, 10) if mood == "content" else chance.randint(1, 6))


def _support(account: Account, day: int, seed: int) -> Iterator[Moment]:
    """The questions to support that are opened on a day, and those that are solved."""
    mood = _mood(account, day)
    for ticket_id in _opened(account, day, seed):
        yield 16.0, ticket(ticket_id, urgent=mood != "content")
    for then, wait_days in WAIT_DAYS.items():
        opened_on = day - wait_days
        if opened_on >= account.first_day and _mood(account, opened_on) == then:
            for ticket_id in _opened(account, opened_on, seed):
                yield 17.0, solved(ticket_id)


def _opened(account: Account, day: int, seed: int) -> list[str]:
    """The ids of the questions that an account asks on a day."""
    chance = random.Random(f"{seed}/{account.id}/{day}/tickets")
    mood = _mood(account, day)
    likely = {"storm": 0.9, "unhappy": 0.12, "content": 0.04}[mood]
    if not account.activity(day):
        return []
    count = 3 if mood == "storm" else 1
    return [f"{account.id}-{day}-{at}" for at in range(count) if chance.random() < likely]


def _mood(account: Account, day: int) -> str:
    if account.story == "support storm" and account.begins < day < account.ends:
        return "storm"
    struggles = account.activity(day) < 0.6 and account.story != "wavering"
    return "unhappy" if struggles else "content"


def answer(score: int) -> Event:
    """An answer to whether they would recommend the product."""
    return {"type": "survey.answered", "properties": {"survey": "nps", "score": score}}


def ticket(ticket_id: str, *, urgent: bool) -> Event:
    """A question to support."""
    properties = {"ticket_id": ticket_id, "priority": "high" if urgent else "normal"}
    return {"type": "support.ticket_opened", "properties": properties}


def solved(ticket_id: str) -> Event:
    """A question that support has answered."""
    return {"type": "support.ticket_solved", "properties": {"ticket_id": ticket_id}}


def _turns(account: Account, day: int) -> Iterator[Moment]:
    """What happens once: the steps of onboarding, a champion who leaves, more seats, the end."""
    if account.story == "onboarding" and day - account.begins in MILESTONES:
        step = {"milestone": MILESTONES[day - account.begins], "status": "done"}
        yield 14.0, {"type": "onboarding.milestone", "properties": step}
    if account.story == "champion left":
        if day == 0:
            yield 1.0, {"type": "user.joined", "user_id": account.champion.id}
        if day == account.begins:
            yield 9.0, {"type": "user.left", "user_id": account.champion.id}
    if account.story == "growing" and day == account.ends:
        yield (
            11.0,
            {"type": "subscription.expanded", "properties": contract(account, account.seats)},
        )
    if account.story == "churned" and day == account.ends:
        yield 17.0, {"type": "account.closed", "properties": {"reason": "cancelled"}}


def contract(account: Account, seats: int) -> dict[str, Any]:
    """What a customer pays for so many seats, in a month."""
    return {"seats": seats, "mrr": f"{seats * PRICE_PER_SEAT[account.size]}.00", "currency": "EUR"}


def _profile(account: Account, on: date, day: int) -> dict[str, Any]:
    part = 0.7 if account.story == "growing" else 1.0
    renews_on = on + timedelta(days=account.renews_on_day + DAYS - day)
    is_new = account.story == "onboarding"
    return {
        "name": account.name,
        "size": account.size,
        **contract(account, max(2, round(account.seats * part))),
        "country": account.country,
        "csm": account.owner,
        "renews_on": renews_on.isoformat(),
        **({"onboarding_started_on": on.isoformat()} if is_new else {}),
    }
