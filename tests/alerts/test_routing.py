"""Who is told, and where: people who are away, managers, routes, and nobody at all."""

from datetime import date
from typing import Any

import msgspec
import pytest

from services.alerts.routing import Directory, Owner
from shared.configuration import People, Routing
from tests.alerts.world import RULE, T0_MS, World, config

TODAY = date(2026, 3, 2)
PEOPLE: list[dict[str, Any]] = [
    {"id": "ana", "email": "ana@example.com", "manager": "cy", "title": "senior"},
    {"id": "bo@example.com", "manager": "CY", "out_of_office_until": "2026-03-02"},
    {"id": "cy", "email": "cy@example.com", "manager": "dee", "active": False},
    {"id": "dee", "email": "dee@example.com", "manager": "cy"},
    {"id": "eve", "email": "eve@example.com", "out_of_office_until": "2026-03-01"},
]
MAIL = {"type": "email", "from": "health@example.com", "smtp": "secret://smtp"}
ROUTING: dict[str, Any] = {
    "fallback": "cs@example.com",
    "owner_chain": ["profile.csm", "profile.backup_csm"],
    "destinations": {
        "mail": MAIL,
        "team": {**MAIL, "to": "team@example.com"},
        "log": {"type": "log"},
    },
    "to": ["mail", "log"],
}


def directory(people: list[dict[str, Any]] = PEOPLE, **routing: Any) -> Directory:
    """Of these people and the destinations above."""
    return Directory(
        msgspec.convert({**ROUTING, **routing}, Routing),
        msgspec.convert({"people": people}, People),
    )


@pytest.mark.parametrize(
    ("csm", "backup", "owner"),
    [
        ("ana", None, "ana"),
        (" ANA@example.com ", None, "ana"),
        ("cy", "eve", "eve"),  # has left; is back since today
        ("bo@example.com", "ana", "ana"),  # today is the last day away
        ("bo@example.com", None, "dee"),  # nor is the manager there: their manager is
        ("fay@example.com", None, "fay@example.com"),  # not in people.yaml, but an address
        ("fay", "ana", "ana"),
        (7, "  ", None),
        ("fay", None, None),
        (None, None, None),
    ],
)
def test_the_owner_is_the_first_who_is_there(csm: Any, backup: Any, owner: str | None) -> None:
    found = directory().owner({"csm": csm, "backup_csm": backup}, TODAY)
    assert found == (Owner(owner) if owner else Owner("cs@example.com", known=False))


def test_where_nobody_is_known_any_name_is_an_owner() -> None:
    assert directory([]).owner({"csm": "fay"}, TODAY) == Owner("fay")


def test_managers_of_one_another_who_are_all_away_leave_the_fallback() -> None:
    away = [{**person, "active": False} for person in PEOPLE]
    assert directory(away).owner({"csm": "ana"}, TODAY).name == "cs@example.com"


@pytest.mark.parametrize(
    ("owner", "address"),
    [
        ("ana", "ana@example.com"),
        ("bo@example.com", "bo@example.com"),
        ("fay@example.com", "fay@example.com"),
        ("fay", "cs@example.com"),  # no address: nothing goes nowhere
    ],
)
def test_mail_reaches_the_owner_or_the_fallback(owner: str, address: str) -> None:
    assert directory().lanes(owner, "warning", "churn_risk", {}) == [("mail", address), ("log", "")]


@pytest.mark.parametrize(
    ("match", "profile", "is_met"),
    [
        ({"severity": "critical"}, {}, True),
        ({"severity": ["info", "warning"]}, {}, False),
        ({"rule": "churn_risk", "owner.title": "senior"}, {}, True),
        ({"rule": "churn_risk", "owner.title": "junior"}, {}, False),
        ({"profile.size": ["M", "E"]}, {"size": "E"}, True),
        ({"profile.size": ["M", "E"]}, {}, False),
        ({"profile.seats": 1}, {"seats": 1.0}, True),
        ({"profile.seats": 1}, {"seats": True}, False),
        ({"profile.seats": 1}, {"seats": "1"}, False),
    ],
)
def test_a_route_counts_if_all_of_it_is_met(
    match: dict[str, Any], profile: dict[str, Any], is_met: bool
) -> None:
    routes = [{"match": match, "to": ["team", "team"]}, {"match": match, "to": ["log"]}]
    there = directory(routes=routes)
    lanes = there.lanes("ana", "critical", "churn_risk", profile)
    assert (lanes == [("team", "team@example.com")]) is is_met
    assert len(lanes) == (1 if is_met else 2)


def test_who_was_told_by_one_route_hears_of_the_end_though_another_is_in_force() -> None:
    world = World({**RULE, "for": "0s", "clear_for": "0s"})
    routes = [{"match": {"severity": "critical"}, "to": ["team"]}]
    rule = {**RULE, "for": "0s", "clear_for": "0s"}
    world.read(config(rule, **ROUTING, routes=routes))
    world.score(0, 55)
    world.score(1, 35)
    world.score(2, 70)
    told = [(note.kind, note.lane) for effects in world.told for note in effects.notifications]
    mail, log, team = ("mail", "ana@example.com"), ("log", ""), ("team", "team@example.com")
    assert told == [
        ("opened", mail),
        ("opened", log),
        ("raised", team),
        ("resolved", mail),
        ("resolved", log),
        ("resolved", team),
    ]


def test_an_owner_whom_nobody_named_is_said_to_be_unknown() -> None:
    world = World({**RULE, "for": "0s"})
    [note] = world.score(0, 55, profile={"name": "Acme"}).notifications
    change = msgspec.json.decode(note.body)["data"]["change"]
    assert change["owner_known"] is False
    assert "owner cs-ops (owner unknown)." in change["text"]


def test_the_day_is_that_of_the_products_calendar() -> None:
    world = World(RULE)
    book = world.state.rulebook
    assert book is not None
    assert book.today(T0_MS + 15 * 3_600_000 - 1) == date(2026, 3, 2)
    assert book.today(T0_MS + 15 * 3_600_000) == date(2026, 3, 3)
