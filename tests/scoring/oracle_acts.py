"""The oracle's reading of what people do: overrides, and erased people."""

import re
from typing import TYPE_CHECKING, Any

from tests.scoring.oracle_metrics import Fact
from tests.scoring.oracle_records import milliseconds
from tests.scoring.oracle_score import Override

if TYPE_CHECKING:
    from tests.scoring.oracle_health import Scored

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def learn_override(account: "Scored", event: dict[str, Any]) -> bool:
    """The newest override wins; whether this is the newest."""
    if event["type"] != "account.overridden" or not is_readable(event["properties"]):
        return False
    new = Fact(milliseconds(event["time"]), event["id"].encode(), event["properties"])
    old = account.override
    if old is not None and (new.time, new.id) <= (old.time, old.id):
        return False
    account.override = new
    return True


def is_readable(properties: dict[str, Any]) -> bool:
    """Whether an override says a score with its end, or null, and no more than texts beside it."""
    if "score" not in properties:
        return False
    score = properties["score"]
    texts = [properties.get(name, "") for name in ("author", "reason")]
    if not all(isinstance(text, str) and len(text) <= 500 for text in texts):
        return False
    if score is None:
        return isinstance(properties.get("expires_at", ""), str)
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 100:
        return False
    return bool(TIME.fullmatch(str(properties.get("expires_at"))))


def in_force(account: "Scored", clock: int) -> Override | None:
    """The override that stands at a time."""
    if account.override is None or account.override.value["score"] is None:
        return None
    given = account.override.value
    expires = milliseconds(given["expires_at"])
    tenths = int(given["score"] * 10 + 0.5)
    override = Override(tenths, given.get("author", ""), given.get("reason", ""), expires)
    return override if expires > clock else None


def person_of(erased: set[tuple[str, int]], event: dict[str, Any]) -> tuple[str, int] | None:
    """Who did it: after each erasure of a user, who comes with the id is somebody new."""
    user, time = event.get("user_id"), milliseconds(event["time"])
    if user is None:
        return None
    return user, sum(1 for name, until in erased if name == user and until < time)


def erasures_of(erased: set[tuple[str, int]], user: str | None) -> int:
    """How many different erasures of a user there were."""
    return sum(1 for name, _ in erased if name == user)
