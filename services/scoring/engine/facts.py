"""Last-writer-wins facts: profile fields and latest values, whatever the order of arrival."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from services.scoring.engine.columns import Columns
from services.scoring.engine.effects import Effects
from services.scoring.engine.numbers import number_of
from services.scoring.engine.overrides import OVERRIDE, readable, refresh_override
from services.scoring.engine.plan import Plan, same
from services.scoring.engine.plan_scorecards import Condition
from services.scoring.engine.state import Fact, State
from services.scoring.engine.success import facts as success
from services.scoring.engine.success.onboarding import WHOLE, refresh
from services.scoring.engine.table import BoolArray, IntArray
from shared.events import encode

PROFILE = "profile."
LATEST = "latest."
SUBSCRIPTION_FIELDS = ("mrr", "currency", "seats", "renews_on")
SUBSCRIPTIONS = frozenset(
    f"subscription.{what}" for what in ("started", "renewed", "expanded", "contracted", "cancelled")
)
REOPENING = frozenset({"subscription.started", "subscription.renewed"})
OVERRIDDEN = "account.overridden"
TYPES = SUBSCRIPTIONS | success.TYPES | {"account.updated", "account.closed", OVERRIDDEN}


FACT_NAME_CHARACTERS_MAX = 250
"""A longer one is ignored: it would not fit into an index."""

NAMES_MAX = 200
"""So many profile fields an account may have, deleted ones among them; so many milestones, too, and
problems: a record has to fit into the topic, and what is known of an account into memory."""

FIELD_BYTES_MAX = 1_000
"""Of a profile field, as JSON: its name and its value."""

OWN_FIELDS = frozenset(
    PROFILE + name
    for name in (
        *("name", "mrr", "arr", "currency", "seats", "employees", "size", "plan", "stage", "tier"),
        *("csm", "backup_csm", "renews_on", "renewal_stage", "onboarding_started_on"),
        *("excluded", "closed"),
    )
)
"""Fields that have a meaning of their own: there is always room for them."""


def fold_facts(state: State, batch: Columns, accounts: IntArray, effects: Effects) -> BoolArray:
    """Fold the events of a batch that state facts; which changed one. `accounts`: [event]."""
    news = np.zeros(len(batch.events), dtype=bool)
    for position in batch.of(TYPES):
        event = batch.events[position]
        account, at_ms = int(accounts[position]), int(batch.times_ms[position])
        for name, value in _facts(event.type, batch.all_properties(position)):
            room = has_room(state.accounts.facts[account], name)
            fits = not name.startswith(PROFILE) or is_short(name, value)
            effects.fields_left_out += not (room and fits)
            if room:
                fact = Fact(at_ms, event.id, value if fits else None)
                news[position] |= put(state, account, name, fact, effects)
    for account in np.unique(accounts[news]).tolist():
        refresh_profile(state, account)
        refresh_override(state, account)
    return news


def _facts(event_type: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if event_type in success.TYPES:
        yield from success.success_facts(event_type, properties)
    elif event_type != OVERRIDDEN:
        fields = _profile_fields(event_type, properties)
        yield from ((PROFILE + name, value) for name, value in fields)
    elif readable(properties):
        yield OVERRIDE, None if properties["score"] is None else properties


def _profile_fields(event_type: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if event_type == "account.closed":
        yield "closed", True
        return
    if event_type == "account.updated":
        yield from properties.items()
        return
    yield from ((name, properties[name]) for name in SUBSCRIPTION_FIELDS if name in properties)
    if event_type in REOPENING:
        yield "closed", False


def has_room(facts: Mapping[str, Fact], name: str) -> bool:
    """Whether an account may have a fact of this name: the first names stay."""
    if name in facts or name in OWN_FIELDS or len(facts) < NAMES_MAX:
        return True
    kind = name.partition(".")[0] + "."
    return sum(one.startswith(kind) for one in facts) < NAMES_MAX


def is_short(name: str, value: Any) -> bool:
    """Whether a profile field is not too long to be shown."""
    return len(encode(name.removeprefix(PROFILE))) + len(encode(value)) <= FIELD_BYTES_MAX


def put(state: State, account: int, name: str, fact: Fact, effects: Effects) -> bool:
    """Keep the fact if it is the newest of its name; whether it is."""
    if len(name) > FACT_NAME_CHARACTERS_MAX:
        return False
    facts = state.accounts.facts[account]
    known = facts.get(name)
    if known is not None and (known.time_ms, known.event_id) >= (
        fact.time_ms,
        fact.event_id,
    ):
        return False
    facts[name] = fact
    effects.facts.add((account, name))
    return True


def refresh_profile(state: State, account: int) -> None:
    """Bring what is derived of an account's profile up to date."""
    assert state.plan is not None
    accounts = state.accounts
    profile = {
        name.removeprefix(PROFILE): fact.value
        for name, fact in sorted(accounts.facts[account].items())
        if name.startswith(PROFILE) and fact.value is not None
    }
    accounts.profiles[account] = profile
    published = state.published
    accounts.differs[account] = (
        not published.sequences[account]
        or published.heading(account).revision != state.plan.revision
        or not same(published.profiles[account], profile)
    )
    accounts.cards[account] = [choose_card(state.plan, profile, whole) for whole in WHOLE]
    refresh(state, account)
    for row, condition in enumerate(state.plan.conditions):
        state.profile_matches[row, account] = fits(profile, condition)
    for row, name in enumerate(state.plan.profile_numbers):
        number = number_of(profile.get(name))
        state.profile_numbers[row, account] = np.nan if number is None else number


def choose_card(plan: Plan, profile: Mapping[str, Any], onboarding: str | None) -> int:
    """The first scorecard whose `when` matches the account; the last has none.

    0 where a plan has no scorecards.
    """
    matching = (
        number
        for number, card in enumerate(plan.scorecards)
        if (not card.onboarding or onboarding in card.onboarding)
        and all(fits(profile, condition) for condition in card.when)
    )
    return next(matching, 0)


def fits(profile: Mapping[str, Any], condition: Condition) -> bool:
    """Whether the profile field has one of the values."""
    name, values = condition
    return any(same(profile.get(name), one) for one in values)
