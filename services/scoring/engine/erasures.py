"""Erased people: what is dated up to their erasure counts on, and names nobody.

A person is a user id until its first erasure; who comes with the same id later is somebody new.
"""

from bisect import bisect_left, insort

from xxhash import xxh3_64_intdigest

from services.scoring.engine.effects import Effects, ErasedUser
from services.scoring.engine.state import State
from shared.events import Erasure
from shared.times import time_ms


def erase(state: State, erasure: Erasure, effects: Effects) -> None:
    """From now on nothing that is dated up to the erasure names the user."""
    person, at_ms = person_of(state, erasure.user_id), time_ms(erasure.time)
    times = state.erased.setdefault(person, [])
    if at_ms not in times:
        insort(times, at_ms)
    effects.erased.append(ErasedUser(person, at_ms, erasure.user_id))


def person_of(state: State, user_id: str) -> int:
    """The keyed hash by which an erased user is found again."""
    return xxh3_64_intdigest(user_id.encode(), state.hash_seed)


def known_by(state: State, user_id: str, at_ms: int) -> tuple[bytes, bool]:
    """What tells the user of an event of this time from others, and whether it may be named."""
    text = user_id.encode()
    times = state.erased.get(person_of(state, user_id)) if state.erased else None
    if not times:
        return text, True
    before = bisect_left(times, at_ms)  # an event of the erasure's own time is of before it
    key = text if not before else b"%s\0%d" % (text, times[before - 1])
    return key, before == len(times)
